//! Objects of libraries as plain Rust traits. Answers are checked here, where they enter.

use expanse_abi::{
    BackendBox, DTYPE_F32, DTYPE_I64, Fallible, MatrixMut, MatrixRef, RecorderBox, SampleOutput,
    SampleRequest, SamplerBox, SessionBox, SyntheticSource, TensorMut, TensorRef,
    abi_stable::std_types::{RSlice, RSliceMut},
};
use expanse_domain::{ClassCounts, Matrix, MatrixView, Provenance, Seed};
use expanse_program::{Optimizer, Program, TensorData, TensorView};
use serde::Serialize;

use crate::{Device, HostError, Kind, Synthetic, TensorKind};

/// Whose object it is, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub kind: Kind,
    pub name: String,
}

impl Named {
    fn result<T>(&self, result: Fallible<T>) -> Result<T, HostError> {
        result.into_result().map_err(|error| HostError::of_plugin(self.kind, &self.name, error, &[]))
    }

    fn contract(&self, problem: impl ToString) -> HostError {
        HostError::Contract { kind: self.kind, name: self.name.clone(), problem: problem.to_string() }
    }
}

pub(crate) struct Recorder {
    pub plugin: Named,
    pub object: RecorderBox,
}

impl<Request: Serialize> crate::Recorder<Request> for Recorder {
    fn record(&self, request: &Request) -> Result<Program, HostError> {
        let bytes = self.plugin.result(self.object.record(json(request).as_str().into()))?;
        Program::from_bytes(&bytes).map_err(|error| self.plugin.contract(error))
    }

    fn initialize(&self, request: &Request, seed: Seed) -> Result<Vec<u8>, HostError> {
        let bytes = self.plugin.result(self.object.initialize(json(request).as_str().into(), seed.0))?;
        Ok(bytes.into())
    }

    fn evaluate(
        &self,
        request: &Request,
        seed: Seed,
        inputs: &[TensorView<'_>],
        output: &mut [f32],
    ) -> Result<(), HostError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        let mut outputs = [TensorMut { name: "".into(), data: output.into() }];
        let outputs = RSliceMut::from_mut_slice(&mut outputs);
        let request = json(request);
        self.plugin.result(self.object.evaluate(
            request.as_str().into(),
            seed.0,
            inputs.as_slice().into(),
            outputs,
        ))
    }
}

pub(crate) struct Sampler {
    pub plugin: Named,
    pub object: SamplerBox,
}

impl crate::Sampler for Sampler {
    fn resample(
        &self,
        features: MatrixView<'_>,
        labels: &[u32],
        wanted: &[u64],
        seed: Seed,
    ) -> Result<Synthetic, HostError> {
        // The boundary takes one slice; a view that skips values between its rows is copied first.
        let all: Vec<usize> = (0..features.rows()).collect();
        let input = features.select_rows(&all);
        let cols = input.cols();
        let rows = wanted.iter().try_fold(0u64, |sum, &wanted| sum.checked_add(wanted));
        let rows = rows.and_then(|rows| usize::try_from(rows).ok());
        let mut room = Vec::new();
        let (Some(rows), true) = (rows, rows.is_some_and(|rows| reserve(&mut room, rows, cols))) else {
            return Err(HostError::TooManyRows { wanted: wanted.to_vec(), cols });
        };
        let mut made = Matrix::new(room, rows, cols).map_err(|error| self.plugin.contract(error))?;
        let mut made_labels = vec![u32::MAX; rows];
        let mut sources = vec![SyntheticSource::default(); rows];
        let request = SampleRequest {
            features: MatrixRef { data: input.as_slice().into(), rows: input.rows(), cols, stride: cols },
            labels: labels.into(),
            wanted: wanted.into(),
            seed: seed.0,
        };
        let output = SampleOutput {
            features: MatrixMut { data: made.as_mut_slice().into(), rows, cols, stride: cols },
            labels: made_labels.as_mut_slice().into(),
            sources: sources.as_mut_slice().into(),
        };
        let report = self.plugin.result(self.object.resample(request, output))?;

        if ClassCounts::of(&made_labels, wanted.len()).as_slice() != wanted {
            let counts = ClassCounts::of(&made_labels, wanted.len());
            let problem = format!("asked for {wanted:?} rows by class, it labelled {:?}", counts.as_slice());
            return Err(self.plugin.contract(problem));
        }
        if let Some(at) = made.as_slice().iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / cols, at % cols);
            return Err(self.plugin.contract(format!("synthetic row {row}, column {column} is not finite")));
        }
        let provenance = sources
            .into_iter()
            .map(|SyntheticSource { base, partner, partner_class, r }| Provenance {
                base,
                partner,
                partner_class,
                r,
            })
            .collect();
        let report = serde_json::from_str(&report)
            .map_err(|error| self.plugin.contract(format!("its report is no JSON: {error}")))?;
        Ok(Synthetic { features: made, labels: made_labels, provenance, report })
    }
}

pub(crate) struct Backend {
    pub plugin: Named,
    pub object: BackendBox,
}

impl crate::Backend for Backend {
    fn device(&self) -> Result<Device, HostError> {
        let json = self.plugin.result(self.object.device())?;
        serde_json::from_str(&json).map_err(|error| self.plugin.contract(error))
    }

    fn missing_operations(&self, program: &Program) -> Result<Vec<String>, HostError> {
        let bytes = program.to_bytes().map_err(|error| self.plugin.contract(error))?;
        let json = self.plugin.result(self.object.missing_operations(bytes.as_slice().into()))?;
        serde_json::from_str(&json).map_err(|error| self.plugin.contract(error))
    }

    fn open_session(&self, optimizer: Optimizer) -> Result<Box<dyn crate::Session>, HostError> {
        let object = self.plugin.result(self.object.open_session(json(&optimizer).as_str().into()))?;
        Ok(Box::new(Session { plugin: self.plugin.clone(), object }))
    }
}

struct Session {
    plugin: Named,
    object: SessionBox,
}

impl crate::Session for Session {
    fn load(&mut self, programs: &[&Program]) -> Result<usize, HostError> {
        let bytes: Result<Vec<_>, _> = programs.iter().map(|program| program.to_bytes()).collect();
        let bytes = bytes.map_err(|error| self.plugin.contract(error))?;
        let slices: Vec<RSlice<'_, u8>> = bytes.iter().map(|bytes| bytes.as_slice().into()).collect();
        self.plugin.result(self.object.load(slices.as_slice().into()))
    }

    fn import(&mut self, kind: TensorKind, tensors: &[u8]) -> Result<(), HostError> {
        self.plugin.result(self.object.import(number(kind), tensors.into()))
    }

    fn export(&self, kind: TensorKind) -> Result<Vec<u8>, HostError> {
        Ok(self.plugin.result(self.object.export(number(kind)))?.into())
    }

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), HostError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        self.plugin.result(self.object.step(program, inputs.as_slice().into(), learning_rate))
    }

    fn losses(&mut self) -> Result<Vec<f32>, HostError> {
        Ok(self.plugin.result(self.object.losses())?.into())
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), HostError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        let mut outputs: Vec<TensorMut<'_>> = outputs
            .iter_mut()
            .map(|(name, values)| TensorMut { name: (*name).into(), data: RSliceMut::from_mut_slice(values) })
            .collect();
        let outputs = RSliceMut::from_mut_slice(&mut outputs);
        self.plugin.result(self.object.forward(program, inputs.as_slice().into(), outputs))
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, HostError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        Ok(self.plugin.result(self.object.gradients(program, inputs.as_slice().into()))?.into())
    }
}

/// Makes room for a matrix of zeros, if there is memory for it.
fn reserve(room: &mut Vec<f32>, rows: usize, cols: usize) -> bool {
    let Some(values) = rows.checked_mul(cols) else { return false };
    let reserved = room.try_reserve_exact(values).is_ok();
    if reserved {
        room.resize(values, 0.0);
    }
    reserved
}

fn tensor<'a>(view: &TensorView<'a>) -> TensorRef<'a> {
    let (dtype, data) = match view.data {
        TensorData::F32(values) => (DTYPE_F32, bytemuck::cast_slice(values)),
        TensorData::I64(values) => (DTYPE_I64, bytemuck::cast_slice(values)),
    };
    TensorRef { name: view.name.into(), dtype, shape: view.shape.into(), data: data.into() }
}

fn number(kind: TensorKind) -> u8 {
    match kind {
        TensorKind::Parameters => 0,
        TensorKind::Optimizer => 1,
    }
}

/// Requests are plain structs of numbers and strings, which JSON can always hold.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
