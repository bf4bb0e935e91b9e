//! Objects of libraries as plain Rust traits. Answers are checked here, where they enter.

mod sampler;

use expanse_abi::{
    BackendBox, DTYPE_F32, DTYPE_I64, Fallible, RecorderBox, SessionBox, TensorMut, TensorRef,
    abi_stable::std_types::{RSlice, RSliceMut},
};
use expanse_domain::Seed;
use expanse_program::{Optimizer, Program, TensorData, TensorView};
use serde::Serialize;

use crate::{
    Device, HostError, Kind, TensorKind,
    calls::{Frequency, watched},
};

pub(crate) use sampler::Sampler;

/// Whose object it is, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub kind: Kind,
    pub name: String,
}

impl Named {
    /// Calls into the plugin.
    fn call<T>(
        &self,
        call: &'static str,
        frequency: Frequency,
        work: impl FnOnce() -> Fallible<T>,
    ) -> Result<T, HostError> {
        self.result(watched(self, call, frequency, work))
    }

    fn result<T>(&self, result: Fallible<T>) -> Result<T, HostError> {
        result.into_result().map_err(|error| HostError::of_plugin(self.kind, &self.name, error, &[]))
    }

    pub(crate) fn process(&self, message: String) -> HostError {
        HostError::Process { kind: self.kind, name: self.name.clone(), message }
    }

    pub(crate) fn contract(&self, problem: impl ToString) -> HostError {
        HostError::Contract { kind: self.kind, name: self.name.clone(), problem: problem.to_string() }
    }
}

pub(crate) struct Recorder {
    pub plugin: Named,
    pub object: RecorderBox,
}

impl<Request: Serialize> crate::Recorder<Request> for Recorder {
    fn record(&self, request: &Request) -> Result<Program, HostError> {
        let bytes = self
            .plugin
            .call("record", Frequency::Rare, || self.object.record(json(request).as_str().into()))?;
        Program::from_bytes(&bytes).map_err(|error| self.plugin.contract(error))
    }

    fn initialize(&self, request: &Request, seed: Seed) -> Result<Vec<u8>, HostError> {
        let bytes = self.plugin.call("initialize", Frequency::Rare, || {
            self.object.initialize(json(request).as_str().into(), seed.0)
        })?;
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
        self.plugin.call("evaluate", Frequency::Rare, || {
            self.object.evaluate(request.as_str().into(), seed.0, inputs.as_slice().into(), outputs)
        })
    }
}

pub(crate) struct Backend {
    pub plugin: Named,
    pub object: BackendBox,
}

impl crate::Backend for Backend {
    fn device(&self) -> Result<Device, HostError> {
        let json = self.plugin.call("device", Frequency::Rare, || self.object.device())?;
        serde_json::from_str(&json).map_err(|error| self.plugin.contract(error))
    }

    fn missing_operations(&self, program: &Program) -> Result<Vec<String>, HostError> {
        let bytes = program.to_bytes().map_err(|error| self.plugin.contract(error))?;
        let json = self.plugin.call("missing_operations", Frequency::Rare, || {
            self.object.missing_operations(bytes.as_slice().into())
        })?;
        serde_json::from_str(&json).map_err(|error| self.plugin.contract(error))
    }

    fn open_session(&self, optimizer: Optimizer) -> Result<Box<dyn crate::Session>, HostError> {
        let object = self.plugin.call("open_session", Frequency::Rare, || {
            self.object.open_session(json(&optimizer).as_str().into())
        })?;
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
        self.plugin.call("load", Frequency::Rare, || self.object.load(slices.as_slice().into()))
    }

    fn import(&mut self, kind: TensorKind, tensors: &[u8]) -> Result<(), HostError> {
        self.plugin.call("import", Frequency::Rare, || self.object.import(number(kind), tensors.into()))
    }

    fn export(&self, kind: TensorKind) -> Result<Vec<u8>, HostError> {
        Ok(self.plugin.call("export", Frequency::Rare, || self.object.export(number(kind)))?.into())
    }

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), HostError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        self.plugin.call("step", Frequency::Step, || {
            self.object.step(program, inputs.as_slice().into(), learning_rate)
        })
    }

    fn losses(&mut self) -> Result<Vec<f32>, HostError> {
        Ok(self.plugin.call("losses", Frequency::Step, || self.object.losses())?.into())
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
        self.plugin.call("forward", Frequency::Step, || {
            self.object.forward(program, inputs.as_slice().into(), outputs)
        })
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, HostError> {
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        Ok(self
            .plugin
            .call("gradients", Frequency::Rare, || self.object.gradients(program, inputs.as_slice().into()))?
            .into())
    }
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
        TensorKind::Kept => 2,
    }
}

/// Requests are plain structs of numbers and strings, which JSON can always hold.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
