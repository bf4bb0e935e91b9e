use std::collections::BTreeMap;

use burn_autodiff::Autodiff;
use burn_backend::{
    AutodiffBackend, Backend, DType as BurnDType, FloatDType, Scalar, TensorData as BurnData, TensorMetadata,
    ops::FloatTensorOps,
    read_sync,
    tensor::{FloatTensor, IntTensor},
};
use burn_ir::OperationIr;
use expanse_program::{
    DROPOUT, DType, NamedTensor, Optimizer, ParameterKind, Port, Program, TensorData, TensorView,
    tensors_from_bytes, tensors_to_bytes,
};

use crate::{
    EngineError,
    check::{check_import, check_parameters, find_input, find_loss, find_output},
    compile::{Instruction, compile, kept_as},
    contribution::Contribution,
    frame::{BatchStatistics, Frame, Operand, Value},
    kept,
    limit::Limit,
    link::{Linked, link},
    optimizer::{self, Moments},
    state::OptimizerState,
};

/// Share of the batch in the running statistics of batch norm, as in PyTorch.
pub const STATISTICS_MOMENTUM: f64 = 0.1;

/// What the loss is multiplied with where products are in `f16`, so that fewer gradients become 0; they are divided again.
const HALF_SCALE: f64 = 1024.0;

/// Which tensors an import or export is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Trainable parameters and running statistics.
    Parameters,
    /// What the optimiser remembers: see [`OptimizerState`].
    Optimizer,
    /// Inputs that stay on the device, and are picked from there: see [`Session::import`].
    Kept,
}

/// Parameters, optimiser state and linked programs on one device.
///
/// All programs of a session share the parameters of the same name.
pub struct Session<B: Backend> {
    device: B::Device,
    optimizer: Optimizer,
    /// In what convolutions, linear layers and products of matrices are computed.
    products: FloatDType,
    limit: Option<Limit>,
    programs: Vec<Loaded<B>>,
    parameters: BTreeMap<String, Slot<B>>,
    /// Inputs that stay, by the names of their ports.
    kept: BTreeMap<String, FloatTensor<B>>,
    losses: Vec<FloatTensor<B>>,
    /// Training steps that were taken.
    steps: u64,
}

struct Loaded<B: Backend> {
    linked: Linked,
    /// Values fixed at recording, by their slots.
    constants: Vec<(usize, Value<B>)>,
    training: Vec<Instruction<Autodiff<B>>>,
    evaluation: Vec<Instruction<B>>,
}

struct Slot<B: Backend> {
    shape: Vec<usize>,
    kind: ParameterKind,
    value: Option<FloatTensor<B>>,
    moments: Moments<B>,
}

/// What a batch in training form says about the parameters.
pub(crate) struct Change<B: Backend> {
    pub gradients: Vec<(String, FloatTensor<B>)>,
    pub statistics: Vec<BatchStatistics<B>>,
}

impl<B: Backend> Session<B> {
    /// A session without programs.
    pub fn new(device: B::Device, optimizer: Optimizer) -> Self {
        Self {
            device,
            optimizer,
            products: FloatDType::F32,
            limit: None,
            programs: Vec::new(),
            parameters: BTreeMap::new(),
            kept: BTreeMap::new(),
            losses: Vec::new(),
            steps: 0,
        }
    }

    /// With the factors of convolutions, linear layers and products of matrices rounded to another type, and their
    /// gradients likewise. All else stays in `f32`: parameters, sums over the batch, the optimiser.
    pub fn with_products_in(self, products: FloatDType) -> Self {
        Self { products, ..self }
    }

    /// With a limit on what may be taken of the device's memory. After each call that has taken more it is an error: what is
    /// needed is known only once it is taken.
    pub fn with_limit(self, limit: Option<Limit>) -> Self {
        Self { limit, ..self }
    }

    /// Links programs by the names of their ports and answers the number of the result.
    pub fn load(&mut self, programs: &[Program]) -> Result<usize, EngineError> {
        let linked = link(programs)?;
        let missing = |operations| EngineError::Missing { program: linked.source.clone(), operations };
        let training = compile(&linked, &self.device, self.products).map_err(missing)?;
        let evaluation = compile(&linked, &self.device, self.products).map_err(missing)?;
        check_parameters(&linked.source, &linked.parameters, |name| {
            self.parameters.get(name).map(|slot| slot.shape.as_slice())
        })?;
        for parameter in &linked.parameters {
            self.parameters.entry(parameter.name.clone()).or_insert_with(|| Slot {
                shape: parameter.shape.clone(),
                kind: parameter.kind,
                value: None,
                moments: Moments::default(),
            });
        }
        let constants = linked.constants.iter().map(|(constant, bytes)| {
            let data = |dtype| BurnData::from_bytes_vec(bytes.clone(), constant.shape.clone(), dtype);
            let value = match constant.dtype {
                DType::F32 => Value::Float(B::float_from_data(data(BurnDType::F32), &self.device)),
                DType::I64 => Value::Int(self.upload_int(data(BurnDType::I64))),
            };
            (constant.tensor as usize, value)
        });
        let constants = constants.collect();
        self.programs.push(Loaded { linked, constants, training, evaluation });
        Ok(self.programs.len() - 1)
    }

    /// Sets the named tensors; those not named stay. All are checked before any is set.
    ///
    /// Of [`Kind::Kept`], rows are added to those that are there. A port of images `[batch, channels, height, width]` whose
    /// name they have need not be given any more: instead of `images` a call may have, of `i64`, `images.rows` `[batch]`,
    /// `images.ys` `[batch, height]` and `images.xs` `[batch, width]`, and then
    /// `images[b, c, y, x] = kept[rows[b], c, ys[b, y], xs[b, x]]`. Kept images may have more rows and columns than the port.
    pub fn import(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), EngineError> {
        let tensors = tensors_from_bytes(bytes)?;
        let known = self.parameters.iter().map(|(name, slot)| (name.as_str(), slot.shape.as_slice()));
        let known = known.collect();
        match kind {
            Kind::Parameters => {
                check_import(&tensors, &known)?;
                self.set(tensors, |slot, value| slot.value = Some(value));
            }
            Kind::Optimizer => {
                let OptimizerState { velocities, squares, steps } =
                    OptimizerState::of(tensors, self.optimizer.method, &known)?;
                self.set(velocities, |slot, value| slot.moments.velocity = Some(value));
                self.set(squares, |slot, value| slot.moments.square = Some(value));
                self.steps = steps.unwrap_or(self.steps);
            }
            Kind::Kept => {
                kept::check::<B>(&tensors, &self.kept)?;
                for NamedTensor { name, shape, values } in tensors {
                    let rows = B::float_from_data(BurnData::new(values, shape), &self.device);
                    let all = self.kept.remove(&name).into_iter().chain([rows]).collect();
                    self.kept.insert(name, B::float_cat(all, 0));
                }
            }
        }
        self.check_limit()
    }

    /// Puts tensors on the device, each where its parameter is.
    fn set(&mut self, tensors: Vec<NamedTensor>, mut place: impl FnMut(&mut Slot<B>, FloatTensor<B>)) {
        for tensor in tensors {
            let value = B::float_from_data(BurnData::new(tensor.values, tensor.shape), &self.device);
            if let Some(slot) = self.parameters.get_mut(&tensor.name) {
                place(slot, value);
            }
        }
    }

    /// All tensors of a kind that have a value.
    pub fn export(&self, kind: Kind) -> Result<Vec<u8>, EngineError> {
        let tensors = match kind {
            Kind::Parameters => self.download(|slot| slot.value.as_ref())?,
            Kind::Optimizer => {
                let counted = self.optimizer.method.has_squares()
                    || self.programs.iter().any(|program| has_dropout(&program.linked));
                let velocities = self.download(|slot| slot.moments.velocity.as_ref())?;
                let squares = self.download(|slot| slot.moments.square.as_ref())?;
                OptimizerState { velocities, squares, steps: counted.then_some(self.steps) }.into_tensors()
            }
            Kind::Kept => {
                let kept = self.kept.iter().map(|(name, kept)| download::<B>(name, kept.clone()));
                kept.collect::<Result<_, _>>()?
            }
        };
        Ok(tensors_to_bytes(&tensors)?)
    }

    /// One tensor of each parameter that has it.
    fn download(
        &self,
        which: impl Fn(&Slot<B>) -> Option<&FloatTensor<B>>,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        let there = self.parameters.iter().filter_map(|(name, slot)| Some((name, which(slot)?)));
        there.map(|(name, value)| download::<B>(name, value.clone())).collect()
    }

    /// One training step. The loss stays on the device until [`losses`](Self::losses) asks for it.
    pub fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), EngineError> {
        let (loss, change) = self.backward(program, inputs)?;
        self.losses.push(loss);
        self.apply(program, change, learning_rate)
    }

    /// The change that one part of a batch asks for, copied from the device. The loss of the part stays there.
    pub(crate) fn contribute(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
    ) -> Result<Contribution, EngineError> {
        let (loss, change) = self.backward(program, inputs)?;
        self.losses.push(loss);
        Contribution::download(change)
    }

    /// A training step by what was agreed on elsewhere.
    pub(crate) fn follow(
        &mut self,
        program: usize,
        agreed: &Contribution,
        learning_rate: f64,
    ) -> Result<(), EngineError> {
        let change = agreed.upload(&self.device);
        self.apply(program, change, learning_rate)
    }

    fn apply(&mut self, program: usize, change: Change<B>, learning_rate: f64) -> Result<(), EngineError> {
        let Change { mut gradients, statistics } = change;
        if let Some(limit) = self.optimizer.clip_norm {
            optimizer::clip::<B>(&mut gradients, limit);
        }
        self.steps += 1;
        let step = optimizer::Step { optimizer: self.optimizer, learning_rate, number: self.steps };
        for (name, gradient) in gradients {
            if let Some(slot) = self.parameters.get_mut(&name)
                && let Some(value) = slot.value.take()
            {
                let moments = std::mem::take(&mut slot.moments);
                let (value, moments) = optimizer::update::<B>(step, value, gradient, moments);
                (slot.value, slot.moments) = (Some(value), moments);
            }
        }
        self.update_statistics(program, statistics);
        // The device works while the next batch is prepared; nothing waits for it here.
        B::flush(&self.device).map_err(|error| EngineError::Device(error.to_string()))?;
        self.check_limit()
    }

    /// The losses of all steps since the last call, in order.
    pub fn losses(&mut self) -> Result<Vec<f32>, EngineError> {
        let losses = std::mem::take(&mut self.losses);
        losses.into_iter().map(|loss| Ok(download::<B>("loss", loss)?.values[0])).collect()
    }

    /// Runs a program in its evaluation form and copies the named outputs.
    pub fn forward(
        &self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError> {
        let loaded = self.loaded(program)?;
        let mut frame = Frame::<B>::new(loaded.linked.slots, None);
        self.fill(loaded, inputs, |slot, value| frame.set(slot, value))?;
        for instruction in &loaded.evaluation {
            instruction(&mut frame);
        }
        for (name, values) in outputs {
            let port = find_output(&loaded.linked.source, &loaded.linked.outputs, name, values.len())?;
            let tensor = frame.float(Operand { slot: port.tensor as usize, last: false });
            values.copy_from_slice(&download::<B>(name, tensor)?.values);
        }
        self.check_limit()
    }

    /// The loss (named `loss`) and the gradient of every trainable parameter; nothing is updated.
    pub fn gradients(&self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError> {
        let (loss, change) = self.backward(program, inputs)?;
        let mut tensors = vec![download::<B>("loss", loss)?];
        for (name, gradient) in change.gradients {
            tensors.push(download::<B>(&name, gradient)?);
        }
        self.check_limit()?;
        Ok(tensors_to_bytes(&tensors)?)
    }

    /// What a program takes.
    pub(crate) fn inputs(&self, program: usize) -> Result<&[Port], EngineError> {
        Ok(&self.loaded(program)?.linked.inputs)
    }

    fn check_limit(&self) -> Result<(), EngineError> {
        self.limit.as_ref().map_or(Ok(()), Limit::check)
    }

    fn loaded(&self, number: usize) -> Result<&Loaded<B>, EngineError> {
        self.programs.get(number).ok_or(EngineError::NoProgram { number, loaded: self.programs.len() })
    }

    /// The loss, and the change that it asks for.
    fn backward(
        &self,
        program: usize,
        inputs: &[TensorView<'_>],
    ) -> Result<(FloatTensor<B>, Change<B>), EngineError> {
        let loaded = self.loaded(program)?;
        let Loaded { linked, training, .. } = loaded;
        let loss = find_loss(&linked.source, &linked.outputs)?;

        let mut frame = Frame::<Autodiff<B>>::new(linked.slots, Some(self.steps));
        let mut tracked = Vec::new();
        let mut parameters =
            linked.parameters.iter().map(|p| (p.tensor as usize, p)).collect::<BTreeMap<_, _>>();
        self.fill(loaded, inputs, |slot, value| {
            let value = match value {
                Value::Float(tensor) => {
                    let mut tensor = Autodiff::<B>::from_inner(tensor);
                    if let Some(parameter) = parameters.remove(&slot)
                        && parameter.kind == ParameterKind::Trainable
                    {
                        tensor = tensor.require_grad();
                        tracked.push((parameter.name.clone(), tensor.clone()));
                    }
                    Value::Float(tensor)
                }
                Value::Int(tensor) => Value::Int(tensor),
                Value::Bool(tensor) => Value::Bool(tensor),
            };
            frame.set(slot, value);
        })?;
        for instruction in training {
            instruction(&mut frame);
        }
        let loss = frame.float(Operand { slot: loss.tensor as usize, last: false });
        let value = Autodiff::<B>::inner(loss.clone());
        let half = self.products == FloatDType::F16;
        let loss = match half {
            true => Autodiff::<B>::float_mul_scalar(loss, Scalar::Float(HALF_SCALE)),
            false => loss,
        };
        let mut computed = Autodiff::<B>::backward(loss);
        let gradients = tracked
            .into_iter()
            .filter_map(|(name, tensor)| {
                let gradient = Autodiff::<B>::grad_remove(&tensor, &mut computed)?;
                let gradient = match half {
                    true => B::float_mul_scalar(gradient, Scalar::Float(HALF_SCALE.recip())),
                    false => gradient,
                };
                Some((name, gradient))
            })
            .collect();
        let statistics = frame.statistics.into_iter().map(BatchStatistics::inner).collect();
        Ok((value, Change { gradients, statistics }))
    }

    /// running ← (1 − m)·running + m·batch, with the unbiased variance of the batch, as in PyTorch.
    fn update_statistics(&mut self, program: usize, statistics: Vec<BatchStatistics<B>>) {
        let Some(Loaded { linked, .. }) = self.programs.get(program) else { return };
        for batch in statistics {
            let unbiased = batch.count as f64 / (batch.count.max(2) - 1) as f64;
            for (slot, value, factor) in
                [(batch.mean_slot, batch.mean, 1.0), (batch.variance_slot, batch.variance, unbiased)]
            {
                let parameter = linked.parameters.iter().find(|p| p.tensor as usize == slot);
                let state = parameter.and_then(|p| self.parameters.get_mut(&p.name));
                let Some(state) = state.filter(|state| state.kind == ParameterKind::State) else { continue };
                state.value = state.value.take().map(|running| {
                    let share = |tensor, share| B::float_mul_scalar(tensor, Scalar::Float(share));
                    B::float_add(
                        share(running, 1.0 - STATISTICS_MOMENTUM),
                        share(value, STATISTICS_MOMENTUM * factor),
                    )
                });
            }
        }
    }

    /// Hands over inputs, parameters and constants with their slots.
    fn fill(
        &self,
        Loaded { linked, constants, .. }: &Loaded<B>,
        inputs: &[TensorView<'_>],
        mut set: impl FnMut(usize, Value<B>),
    ) -> Result<(), EngineError> {
        for port in &linked.inputs {
            let kept =
                self.kept.get(&port.name).filter(|_| inputs.iter().all(|input| input.name != port.name));
            let value = match kept {
                Some(kept) => {
                    let upload = |places: &[i64], shape: [usize; 4]| {
                        self.upload_int(BurnData::new(places.to_vec(), shape))
                    };
                    Value::Float(kept::pick::<B>(&linked.source, port, kept.clone(), inputs, upload)?)
                }
                None => self.upload(find_input(&linked.source, port, inputs)?.data, &port.shape),
            };
            set(port.tensor as usize, value);
        }
        for parameter in &linked.parameters {
            let value = self.parameters.get(&parameter.name).and_then(|slot| slot.value.clone());
            let value = value.ok_or_else(|| EngineError::NoValue { name: parameter.name.clone() })?;
            set(parameter.tensor as usize, Value::Float(value));
        }
        for (slot, value) in constants {
            set(*slot, value.clone());
        }
        Ok(())
    }

    fn upload(&self, data: TensorData<'_>, shape: &[usize]) -> Value<B> {
        match data {
            TensorData::F32(values) => {
                Value::Float(B::float_from_data(BurnData::new(values.to_vec(), shape.to_vec()), &self.device))
            }
            TensorData::I64(values) => {
                Value::Int(self.upload_int(BurnData::new(values.to_vec(), shape.to_vec())))
            }
        }
    }

    fn upload_int(&self, data: BurnData) -> IntTensor<B> {
        let dtype = kept_as::<B>(data.dtype(), &self.device);
        B::int_from_data(data.convert_dtype(dtype), &self.device)
    }
}

fn has_dropout(linked: &Linked) -> bool {
    let custom = |operation: &_| matches!(operation, OperationIr::Custom(custom) if custom.id == DROPOUT);
    linked.operations.iter().any(custom)
}

fn download<B: Backend>(name: &str, tensor: FloatTensor<B>) -> Result<NamedTensor, EngineError> {
    Ok(NamedTensor { name: name.into(), shape: tensor.shape().to_vec(), values: values::<B>(tensor)? })
}

/// The values of a tensor, once the device has them.
pub(crate) fn values<B: Backend>(tensor: FloatTensor<B>) -> Result<Vec<f32>, EngineError> {
    let data = read_sync(B::float_into_data(tensor)).map_err(|e| EngineError::Device(e.to_string()))?;
    Ok(data.as_slice::<f32>().map_err(|e| EngineError::Device(format!("{e:?}")))?.to_vec())
}
