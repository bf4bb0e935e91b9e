//! Runs recorded programs on any burn backend: links them, differentiates them, and takes training steps.
//!
//! A [`Session`] keeps parameters and optimiser state on its device. A step uploads the batch and leaves the
//! loss on the device until [`Session::losses`] asks for it, so a device that works asynchronously is never
//! waited for. A [`Parallel`] is a session on each of several devices, which share every batch. The engine knows nothing of
//! plugins or of the host.

mod check;
mod compile;
mod contribution;
mod error;
mod frame;
mod kept;
mod limit;
mod link;
mod optimizer;
mod owned;
mod parallel;
mod running;
mod session;
mod state;
mod worker;

pub use check::{check_import, check_inputs, check_parameters, find_loss, find_output};
pub use compile::operation_name;
pub use error::EngineError;
pub use limit::Limit;
pub use link::{Linked, link};
pub use owned::{Owned, forward_owned};
pub use parallel::Parallel;
pub use running::Running;
pub use session::{Kind, STATISTICS_MOMENTUM, Session};
pub use state::OptimizerState;
pub use worker::Worker;

use burn_backend::{Backend, FloatDType};
use expanse_program::Program;

/// The operations of a program that the engine cannot run, each once, in order; empty if it can run it.
pub fn missing_operations<B: Backend>(
    program: &Program,
    device: &B::Device,
) -> Result<Vec<String>, EngineError> {
    match compile::compile::<B>(&link(std::slice::from_ref(program))?, device, FloatDType::F32) {
        Ok(_) => Ok(Vec::new()),
        Err(missing) => Ok(missing),
    }
}
