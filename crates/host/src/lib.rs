//! Finds, checks and loads plugins. Every component appears as a plain Rust trait ([`Backbone`], [`Head`],
//! [`Loss`], [`Sampler`], [`Backend`], [`Session`]), so that whoever composes them never sees a library.
//!
//! A [`Host`] looks for libraries named `KIND_NAME` (`libsampler_eos.so`) in the folders of its search path,
//! first match wins. A library is opened once in a process and never unloaded.

mod components;
mod error;
mod file;
mod kind;
mod library;
mod objects;
mod registry;
mod services;
mod sidecar;

pub use components::{
    Backbone, Backend, Device, Head, Loss, Recorder, Sampler, Session, Synthetic, TensorKind,
};
pub use error::HostError;
pub use expanse_abi::{Manifest, PluginEntry};
pub use file::FileProblem;
pub use kind::Kind;
pub use registry::{Found, Host};
pub use services::{LOG_TARGET, cancel, cancelled, on_progress, set_threads};
pub use sidecar::{Sidecar, SidecarError, SidecarPlugin, TARGET};
