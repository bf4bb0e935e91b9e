//! Compiles recorded programs for the CPU and runs them.
//!
//! A program arrives whole, before the first step. So it can be looked at from both ends: operations are fused,
//! images lie in blocks of sixteen channels, derivatives are taken when the program is compiled, and every tensor has
//! its place in memory before anything runs. A step then allocates nothing, and a convolution with batch norm,
//! residual and ReLU is one parallel region.
//!
//! The passes are files of `compile`, in their order: `lower`, `fuse`, `layout`, `schedule`, `plan`. What runs is in
//! `run`, and the arithmetic in `kernels`. Results depend on the instruction set and not on the number of threads.

mod compile;
mod explain;
mod graph;
mod kernels;
mod memory;
mod run;
mod session;
mod team;

pub use compile::convolution::Convolutions;
pub use kernels::simd::Isa;
pub use session::Session;
pub use team::Team;

use expanse_engine::{EngineError, link};
use expanse_program::Program;

/// The operations of a program that cannot be run here, each once, in order; empty if it can be run.
///
/// # Errors
///
/// If the program cannot be decoded.
pub fn missing_operations(program: &Program) -> Result<Vec<String>, EngineError> {
    Ok(compile::lower::lower(&link(std::slice::from_ref(program))?).err().unwrap_or_default())
}
