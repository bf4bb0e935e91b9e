//! Lends the devices of this machine to backends `remote` on others.
//!
//! The process that listens touches no device: each session has a worker process of its own, which ends with it. So a
//! session that fails, or runs out of memory, takes nothing else with it.

mod devices;
mod error;
mod gate;
#[cfg(feature = "wgpu")]
#[path = "../../../backend-wgpu/src/numbers.rs"]
mod numbers;
mod token;
mod worker;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use clap::CommandFactory;
use clap::{Parser, ValueEnum};
use error::ServerError;

/// Lends the devices of this machine to backends `remote` on others, until it is stopped.
///
/// What travels is not encrypted, the token included: listen beyond this machine only in a network that you trust, or
/// through a tunnel such as `ssh -L`.
#[derive(Clone, Debug, Parser)]
#[command(name = "expanse-server")]
struct Arguments {
    /// The backend whose devices are lent.
    #[arg(long, value_enum, default_value_t = Lent::Flex)]
    backend: Lent,
    /// Where to listen: HOST:PORT; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7341", value_name = "ADDRESS")]
    listen: String,
    /// File with the token that sessions must have; made, with a new token, if there is none.
    #[arg(long, default_value = "expanse-token", value_name = "FILE")]
    token_file: PathBuf,
    /// Serve everybody who reaches the address.
    #[arg(long, conflicts_with = "token_file")]
    no_token: bool,
    /// Sessions at a time; each has a process.
    #[arg(long, default_value_t = 4, value_name = "NUMBER")]
    sessions: usize,
    /// Main memory that a session may take, in MiB.
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// Memory of its GPUs that a session may take, in MiB.
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    #[arg(long, value_name = "MIB")]
    gpu_memory: Option<u64>,
    /// Be the worker of one session.
    #[arg(long, hide = true)]
    worker: bool,
}

/// Backends whose devices can be lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lent {
    /// The processor, by burn-flex.
    Flex,
    /// GPUs by Vulkan, Metal, DirectX 12 or OpenGL, by burn-wgpu.
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// NVIDIA's GPUs by CUDA, by burn-cuda.
    #[cfg(feature = "cuda")]
    Cuda,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if arguments.backend == Lent::Flex && arguments.gpu_memory.is_some() {
        let message = "--gpu-memory bounds GPUs, and --backend flex lends none";
        Arguments::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit();
    }
    let served = if arguments.worker { worker::serve(&arguments) } else { gate::serve(&arguments) };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        // The process that listens reads it, and tells it.
        Err(error @ ServerError::NoDevice { .. }) if arguments.worker => {
            let _ = writeln!(io::stdout(), "{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
