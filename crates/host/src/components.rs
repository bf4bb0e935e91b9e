//! Every component as the rest of Expanse sees it.

use expanse_domain::{Matrix, MatrixView, Provenance, Seed};
use expanse_program::{BackboneRequest, HeadRequest, LossRequest, Optimizer, Program, TensorView};
use serde::{Deserialize, Serialize};

use crate::HostError;

/// Records a model part for a request, and gives its parameters their first values.
pub trait Recorder<Request>: Send + Sync {
    /// The program for a request.
    fn record(&self, request: &Request) -> Result<Program, HostError>;

    /// The first values of the parameters of that program, as safetensors.
    fn initialize(&self, request: &Request, seed: Seed) -> Result<Vec<u8>, HostError>;

    /// Runs the module itself and not its record, in evaluation form with the first values of that seed: what a
    /// backend's replay of the record is compared with. `output` has the length of the program's one output.
    fn evaluate(
        &self,
        request: &Request,
        seed: Seed,
        inputs: &[TensorView<'_>],
        output: &mut [f32],
    ) -> Result<(), HostError> {
        let _ = (request, seed, inputs, output);
        Err(HostError::RecordOnly)
    }
}

/// `images` `[batch, channels, height, width]` → `embedding` `[batch, features]`.
pub type Backbone = dyn Recorder<BackboneRequest>;
/// `embedding` `[batch, features]` → `logits` `[batch, classes]`.
pub type Head = dyn Recorder<HeadRequest>;
/// `logits`, `targets` `[batch]`, `class_weights` `[classes]` → `loss` `[1]`.
pub type Loss = dyn Recorder<LossRequest>;

/// Makes synthetic rows.
pub trait Sampler: Send + Sync {
    /// For every class exactly as many rows as `wanted` says.
    fn resample(
        &self,
        features: MatrixView<'_>,
        labels: &[u32],
        wanted: &[u64],
        seed: Seed,
    ) -> Result<Synthetic, HostError>;
}

/// What a sampler has made.
#[derive(Clone, Debug, PartialEq)]
pub struct Synthetic {
    /// One synthetic sample a row.
    pub features: Matrix,
    /// The class of each row.
    pub labels: Vec<u32>,
    /// Where each row comes from.
    pub provenance: Vec<Provenance>,
    /// What the sampler says of its work, as JSON.
    pub report: serde_json::Value,
}

/// A device that runs programs.
pub trait Backend: Send + Sync {
    /// What the device is.
    fn device(&self) -> Result<Device, HostError>;

    /// The operations of a program that the device lacks.
    fn missing_operations(&self, program: &Program) -> Result<Vec<String>, HostError>;

    /// Parameters and optimiser state on the device.
    fn open_session(&self, optimizer: Optimizer) -> Result<Box<dyn Session>, HostError>;
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What users know it as.
    pub name: String,
    /// Threads that it may use.
    pub threads: usize,
    /// Devices that share every batch: programs are loaded for the part of one of them.
    #[serde(default = "one")]
    pub devices: usize,
    /// Bytes of [`TensorKind::Kept`] that it has room for; none where its memory is that of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<u64>,
}

fn one() -> usize {
    1
}

/// Which tensors of a session are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// Trainable parameters and running statistics.
    Parameters,
    /// The optimiser's velocities, under the names of their parameters.
    Optimizer,
    /// Inputs that stay on the device. Rows are added to those that are there, and calls pick from them by inputs
    /// `images.rows`, `images.ys` and `images.xs` instead of `images`.
    Kept,
}

/// Parameters, optimiser state and linked programs on one device.
pub trait Session: Send {
    /// Links programs by the names of their ports; answers the number of the result.
    fn load(&mut self, programs: &[&Program]) -> Result<usize, HostError>;

    /// Sets the tensors named in safetensors bytes; the others stay.
    fn import(&mut self, kind: TensorKind, tensors: &[u8]) -> Result<(), HostError>;

    /// All tensors of a kind as safetensors.
    fn export(&self, kind: TensorKind) -> Result<Vec<u8>, HostError>;

    /// One training step; its loss is told by [`losses`](Self::losses).
    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), HostError>;

    /// The losses of all steps since the last call, in order.
    fn losses(&mut self) -> Result<Vec<f32>, HostError>;

    /// Runs a program in its evaluation form and fills the named outputs.
    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), HostError>;

    /// Loss (`loss`) and gradients of one batch in training form, as safetensors; nothing is updated.
    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, HostError>;
}
