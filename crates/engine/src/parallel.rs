//! Data-parallel training: a session on each of several devices, which share every batch.

use std::sync::{Arc, mpsc::Receiver};

use burn_backend::Backend;
use expanse_program::{
    NamedTensor, Port, Program, TensorData, TensorView, tensors_from_bytes, tensors_to_bytes,
};

use crate::{
    EngineError, Kind, Owned, Running, Session, Worker, contribution::Contribution, forward_owned,
    kept::given_by,
};

/// A session on each of several devices, with the same parameters at any time.
///
/// Programs are those of a device's part of a batch. Inputs that have as many times the rows of their ports as there are
/// devices are cut into parts, one after another; all others go to each device. A step averages the gradients of the
/// parts, and each device takes it. Inputs of just a part's size are for the first device alone.
///
/// Where the loss is a mean over samples, and but for batch norm and dropout, the result is to rounding that of one device
/// with all of the batch. Batch norm normalises by the part that a device has; its running statistics are those of the
/// whole batch. Each device drops out by the same masks.
pub struct Parallel<B: Backend> {
    first: Session<B>,
    others: Vec<Worker<Session<B>>>,
    /// Whether each step since losses were last asked for was shared.
    shared: Vec<bool>,
}

/// What comes back from another device.
type Answer<T> = Receiver<Result<T, EngineError>>;

impl<B: Backend> Parallel<B> {
    /// Of sessions without programs.
    ///
    /// # Errors
    ///
    /// [`EngineError::Device`] if no thread can be had for one of them.
    pub fn new(first: Session<B>, others: impl IntoIterator<Item = Session<B>>) -> Result<Self, EngineError> {
        let others = others.into_iter().map(|session| {
            Worker::begin("device", session).map_err(|error| EngineError::Device(error.to_string()))
        });
        Ok(Self { first, others: others.collect::<Result<_, _>>()?, shared: Vec::new() })
    }

    fn devices(&self) -> usize {
        self.others.len() + 1
    }

    /// The same call on all other devices.
    fn each<T: Send + 'static>(
        &self,
        call: impl Fn(&mut Session<B>) -> Result<T, EngineError> + Clone + Send + 'static,
    ) -> Vec<Answer<T>> {
        self.others.iter().map(|other| other.call(call.clone())).collect()
    }

    /// A call on all other devices, with the part of the batch that is for each.
    fn each_part<T: Send + 'static>(
        &self,
        parts: &[Vec<Part<'_>>],
        call: impl Fn(&mut Session<B>, &[TensorView<'_>]) -> Result<T, EngineError> + Clone + Send + 'static,
    ) -> Vec<Answer<T>> {
        let others = self.others.iter().zip(&parts[1..]);
        let answers = others.map(|(other, part)| {
            let (part, call) = (Owned::all(&Part::views(part)), call.clone());
            other.call(move |session| call(session, &Owned::views(&part)))
        });
        answers.collect()
    }

    /// The parts of a batch, one for each device; none if it is for the first device alone.
    fn parts<'a>(
        &self,
        program: usize,
        inputs: &[TensorView<'a>],
    ) -> Result<Option<Vec<Vec<Part<'a>>>>, EngineError> {
        let devices = self.devices();
        let ports: Vec<Port> = self.first.inputs(program)?.iter().flat_map(given_by).collect();
        let port = |input: &TensorView<'_>| ports.iter().find(|port| port.name == input.name);
        let shared = |input: &TensorView<'_>| port(input).is_some_and(|port| is_shared(input, port, devices));
        if devices == 1 || !inputs.iter().any(shared) {
            return Ok(None);
        }
        let part = |number: usize| {
            let inputs = inputs.iter().map(|input| match shared(input) {
                true => Part::of(*input, number, devices),
                false => Part { name: input.name, shape: input.shape.to_vec(), data: input.data },
            });
            inputs.collect()
        };
        Ok(Some((0..devices).map(part).collect()))
    }
}

/// Whether an input has a part for each device.
fn is_shared(input: &TensorView<'_>, port: &Port, devices: usize) -> bool {
    match (input.shape, port.shape.as_slice()) {
        ([rows, row @ ..], [part, of_port @ ..]) => *rows == part * devices && *part > 0 && row == of_port,
        _ => false,
    }
}

/// An input for one device.
struct Part<'a> {
    name: &'a str,
    shape: Vec<usize>,
    data: TensorData<'a>,
}

impl<'a> Part<'a> {
    fn of(input: TensorView<'a>, number: usize, devices: usize) -> Self {
        let mut shape = input.shape.to_vec();
        shape[0] /= devices;
        let size: usize = shape.iter().product();
        let range = number * size..(number + 1) * size;
        // Data that is shorter than its shape is refused where it is used.
        let data = match input.data {
            TensorData::F32(values) => TensorData::F32(values.get(range).unwrap_or_default()),
            TensorData::I64(values) => TensorData::I64(values.get(range).unwrap_or_default()),
        };
        Self { name: input.name, shape, data }
    }

    fn views<'b>(parts: &'b [Part<'a>]) -> Vec<TensorView<'b>> {
        parts.iter().map(|part| TensorView { name: part.name, shape: &part.shape, data: part.data }).collect()
    }
}

/// The mean over all devices, always in their order.
fn mean(first: f32, others: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) =
        others.fold((f64::from(first), 1.0), |(sum, count), value| (sum + f64::from(value), count + 1.0));
    (sum / count) as f32
}

/// Waits for all devices, and answers the first error.
fn gather<T>(answers: Vec<Answer<T>>) -> Result<Vec<T>, EngineError> {
    let ended = || EngineError::Device("the session of another device has ended".into());
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.recv().unwrap_or_else(|_| Err(ended()))).collect();
    answers.into_iter().collect()
}

impl<B: Backend> Running for Parallel<B> {
    fn load(&mut self, programs: &[Program]) -> Result<usize, EngineError> {
        let shared: Arc<[Program]> = programs.into();
        let answers = self.each(move |session| session.load(&shared));
        let number = self.first.load(programs)?;
        gather(answers)?;
        Ok(number)
    }

    fn import(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), EngineError> {
        let shared: Arc<[u8]> = bytes.into();
        let answers = self.each(move |session| session.import(kind, &shared));
        self.first.import(kind, bytes)?;
        gather(answers).map(|_| ())
    }

    fn export(&self, kind: Kind) -> Result<Vec<u8>, EngineError> {
        self.first.export(kind)
    }

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), EngineError> {
        if self.others.is_empty() {
            return self.first.step(program, inputs, learning_rate);
        }
        let parts = self.parts(program, inputs)?;
        self.shared.push(parts.is_some());
        let agreed = match parts {
            None => vec![self.first.contribute(program, inputs)?],
            Some(parts) => {
                let answers =
                    self.each_part(&parts, move |session, inputs| session.contribute(program, inputs));
                let mut contributions = vec![self.first.contribute(program, &Part::views(&parts[0]))?];
                contributions.extend(gather(answers)?);
                contributions
            }
        };
        let Some(agreed) = Contribution::mean(agreed).map(Arc::new) else { return Ok(()) };
        let shared = agreed.clone();
        let answers = self.each(move |session| session.follow(program, &shared, learning_rate));
        self.first.follow(program, &agreed, learning_rate)?;
        gather(answers).map(|_| ())
    }

    fn losses(&mut self) -> Result<Vec<f32>, EngineError> {
        let answers = self.each(Session::losses);
        let mut losses = self.first.losses()?;
        let mut others: Vec<_> = gather(answers)?.into_iter().map(Vec::into_iter).collect();
        for (loss, shared) in losses.iter_mut().zip(std::mem::take(&mut self.shared)) {
            if shared {
                *loss = mean(*loss, others.iter_mut().filter_map(Iterator::next));
            }
        }
        Ok(losses)
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError> {
        let Some(parts) = self.parts(program, inputs)? else {
            return self.first.forward(program, inputs, outputs);
        };
        let devices = self.devices();
        let mut wanted: Vec<_> = outputs
            .iter_mut()
            .map(|(name, values)| {
                let size = values.len() / devices;
                (*name, values.split_at_mut(size))
            })
            .collect();
        let sizes: Vec<_> =
            wanted.iter().map(|(name, (first, _))| ((*name).to_owned(), first.len())).collect();
        let answers =
            self.each_part(&parts, move |session, inputs| forward_owned(session, program, inputs, &sizes));
        let mut first: Vec<_> = wanted.iter_mut().map(|(name, (first, _))| (*name, &mut **first)).collect();
        self.first.forward(program, &Part::views(&parts[0]), &mut first)?;
        for (number, given) in gather(answers)?.into_iter().enumerate() {
            for ((_, (first, rest)), values) in wanted.iter_mut().zip(given) {
                rest[number * first.len()..][..first.len()].copy_from_slice(&values);
            }
        }
        Ok(())
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError> {
        let Some(parts) = self.parts(program, inputs)? else {
            return self.first.gradients(program, inputs);
        };
        let answers = self.each_part(&parts, move |session, inputs| session.gradients(program, inputs));
        let first = self.first.gradients(program, &Part::views(&parts[0]))?;
        let mut means = tensors_from_bytes(&first)?;
        let others =
            gather(answers)?.iter().map(|bytes| tensors_from_bytes(bytes)).collect::<Result<Vec<_>, _>>()?;
        for (number, NamedTensor { values, .. }) in means.iter_mut().enumerate() {
            for (at, value) in values.iter_mut().enumerate() {
                *value = mean(*value, others.iter().map(|tensors| tensors[number].values[at]));
            }
        }
        Ok(tensors_to_bytes(&means)?)
    }
}
