use abi_stable::{
    sabi_trait,
    std_types::{RBox, RResult, RSlice, RSliceMut, RStr, RString, RVec},
};

use crate::{ErrorCode, PluginError, SampleOutput, SampleRequest, TensorMut, TensorRef};

/// The result of every call that may fail.
pub type Fallible<T> = RResult<T, PluginError>;

/// A sampler that is open.
pub type SamplerBox = SamplerObject_TO<'static, RBox<()>>;
/// A backbone, head or loss that is open.
pub type RecorderBox = RecorderObject_TO<'static, RBox<()>>;
/// A backend that is open.
pub type BackendBox = BackendObject_TO<'static, RBox<()>>;
/// A session that is open.
pub type SessionBox = SessionObject_TO<'static, RBox<()>>;

/// Makes synthetic rows.
#[sabi_trait]
pub trait SamplerObject: Send + Sync {
    /// Fills `output` and answers a report in JSON.
    #[sabi(last_prefix_field)]
    fn resample(&self, request: SampleRequest<'_>, output: SampleOutput<'_>) -> Fallible<RString>;
}

/// Records a backbone, a head or a loss into a program.
#[sabi_trait]
pub trait RecorderObject: Send + Sync {
    /// The program (an envelope of `expanse-program`) for a request in JSON.
    fn record(&self, request: RStr<'_>) -> Fallible<RVec<u8>>;

    /// The initial values of all parameters of that program, as safetensors.
    #[sabi(last_prefix_field)]
    fn initialize(&self, request: RStr<'_>, seed: u64) -> Fallible<RVec<u8>>;

    /// Runs the module itself, not its record, in evaluation form with the values that [`initialize`](Self::initialize)
    /// gives for that seed: what a replay of the record is compared with. Plugins built before 0.1.1 lack it.
    fn evaluate(
        &self,
        _request: RStr<'_>,
        _seed: u64,
        _inputs: RSlice<'_, TensorRef<'_>>,
        _outputs: RSliceMut<'_, TensorMut<'_>>,
    ) -> Fallible<()> {
        let message = "this plugin was built before modules could be run directly; rebuild it".into();
        RResult::RErr(PluginError { code: ErrorCode::UNSUPPORTED, message, detail: "{}".into() })
    }
}

/// A device that runs programs.
#[sabi_trait]
pub trait BackendObject: Send + Sync {
    /// The device in JSON: `{"name": …, "threads": …}`, and `"devices"` where several share a batch, and `"keeps"`, the bytes
    /// of inputs that it has room for, where it has memory of its own.
    fn device(&self) -> Fallible<RString>;

    /// The operations of a program that this backend lacks, as a JSON list; empty if it can run it.
    fn missing_operations(&self, program: RSlice<'_, u8>) -> Fallible<RString>;

    /// Opens a session for an optimiser given in JSON.
    #[sabi(last_prefix_field)]
    fn open_session(&self, optimizer: RStr<'_>) -> Fallible<SessionBox>;
}

/// Parameters, optimiser state and linked programs on one device.
#[sabi_trait]
pub trait SessionObject: Send {
    /// Links programs by the names of their ports and answers a number for the result.
    fn load(&mut self, programs: RSlice<'_, RSlice<'_, u8>>) -> Fallible<usize>;

    /// Sets parameters (`kind` 0) or optimiser state (`kind` 1) from safetensors, or adds rows to the inputs that stay on the
    /// device (`kind` 2; for backends whose device tells `keeps`).
    fn import(&mut self, kind: u8, tensors: RSlice<'_, u8>) -> Fallible<()>;

    /// All parameters with running statistics (`kind` 0), optimiser state (`kind` 1), or inputs that stay (`kind` 2), as
    /// safetensors.
    fn export(&self, kind: u8) -> Fallible<RVec<u8>>;

    /// One training step; the loss stays on the device until [`losses`](Self::losses) asks for it.
    fn step(&mut self, program: usize, inputs: RSlice<'_, TensorRef<'_>>, learning_rate: f64)
    -> Fallible<()>;

    /// The losses of all steps since the last call, in order.
    fn losses(&mut self) -> Fallible<RVec<f32>>;

    /// Runs a program in its evaluation form.
    fn forward(
        &mut self,
        program: usize,
        inputs: RSlice<'_, TensorRef<'_>>,
        outputs: RSliceMut<'_, TensorMut<'_>>,
    ) -> Fallible<()>;

    /// The loss (named `loss`) and the gradient of every parameter of one batch in training form, as
    /// safetensors; nothing is updated.
    #[sabi(last_prefix_field)]
    fn gradients(&mut self, program: usize, inputs: RSlice<'_, TensorRef<'_>>) -> Fallible<RVec<u8>>;
}
