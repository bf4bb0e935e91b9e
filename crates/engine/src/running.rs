use burn_backend::Backend;
use expanse_program::{Program, TensorView};

use crate::{EngineError, Kind, Session};

/// What every session does, whether burn runs its programs or something else.
///
/// Errors are those of [`Session`]'s functions of the same name.
#[allow(missing_docs, reason = "they stand at `Session`")]
pub trait Running: Send {
    fn load(&mut self, programs: &[Program]) -> Result<usize, EngineError>;

    fn import(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), EngineError>;

    fn export(&self, kind: Kind) -> Result<Vec<u8>, EngineError>;

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), EngineError>;

    fn losses(&mut self) -> Result<Vec<f32>, EngineError>;

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError>;

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError>;
}

impl<B: Backend> Running for Session<B> {
    fn load(&mut self, programs: &[Program]) -> Result<usize, EngineError> {
        self.load(programs)
    }

    fn import(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), EngineError> {
        self.import(kind, bytes)
    }

    fn export(&self, kind: Kind) -> Result<Vec<u8>, EngineError> {
        self.export(kind)
    }

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), EngineError> {
        self.step(program, inputs, learning_rate)
    }

    fn losses(&mut self) -> Result<Vec<f32>, EngineError> {
        self.losses()
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError> {
        Session::forward(self, program, inputs, outputs)
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError> {
        Session::gradients(self, program, inputs)
    }
}
