//! Finds, checks and loads plugins. Every component appears as a plain Rust trait ([`Backbone`], [`Head`],
//! [`Loss`], [`Sampler`], [`Backend`], [`Session`]), so that whoever composes them never sees a library.
//!
//! A [`Host`] looks for libraries named `KIND_NAME` (`libsampler_eos.so`) in the folders of its search path,
//! first match wins. A library is opened once in a process and never unloaded.

mod admission;
mod bare;
mod calls;
mod components;
mod descriptions;
mod error;
mod file;
mod isolated;
mod kind;
mod library;
mod messages;
mod objects;
mod pages;
mod records;
mod registry;
mod sealed;
mod services;
mod shared;
mod sidecar;
mod trust;
mod worker;

pub use bare::{Bare, BareObject, backend_of, recorder_of, sampler_of};
pub use calls::{Calls, peak_memory, set_stall_limit, take_calls};
pub use components::{
    Backbone, Backend, Device, Head, Loss, Recorder, Sampler, Session, Synthetic, TensorKind,
};
pub use error::HostError;
pub use expanse_abi::{Manifest, PluginEntry, VERSION as BOUNDARY};
pub use file::FileProblem;
pub use isolated::Worker;
pub use kind::Kind;
pub use library::Growth;
pub use records::LOG_TARGET;
pub use registry::{Found, Host, Identified};
pub use services::{cancel, cancelled, on_progress, set_threads};
pub use sidecar::{Sidecar, SidecarError, SidecarPlugin, TARGET};
pub use trust::{Trust, TrustError, TrustList};
pub use worker::serve;
