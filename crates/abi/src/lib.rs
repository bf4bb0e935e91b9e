//! The stable boundary between the host and its plugins: root modules, object traits and plain data.
//!
//! Plugin authors use `expanse-sdk` and hosts use `expanse-host`; both hide the types of this crate behind
//! plain Rust. What is here is layout-checked by `abi_stable` when a library is loaded, so a change of any
//! type is a change of the boundary. What must be free to change crosses as data instead: programs and
//! parameters as bytes, options, requests, manifests and reports as JSON.
//!
//! Conventions: the side that allocates also frees. No panic crosses. Every slice is valid for the call only.

#![allow(unsafe_code, reason = "the derives of abi_stable implement its unsafe traits")]
#![allow(non_local_definitions, reason = "raised by the derives of abi_stable 0.11.3")]
#![allow(non_camel_case_types, reason = "abi_stable names references to prefix types X_Ref")]
#![allow(missing_docs, reason = "the derives of abi_stable add public items without documentation")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "the unsafe blocks are those of abi_stable's derives")]

mod data;
mod error;
mod manifest;
mod objects;
mod roots;
mod services;

/// The version of the boundary. Growth is a new patch version; abi_stable refuses libraries of another minor version,
/// so that is what a break would need.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use abi_stable;
pub use data::{
    DTYPE_F32, DTYPE_I64, MatrixMut, MatrixRef, SampleOutput, SampleRequest, SyntheticSource, TensorMut,
    TensorRef,
};
pub use error::{ErrorCode, PluginError};
pub use manifest::{Manifest, PluginEntry};
pub use objects::{
    BackendBox, BackendObject, BackendObject_TO, Fallible, RecorderBox, RecorderObject, RecorderObject_TO,
    SamplerBox, SamplerObject, SamplerObject_TO, SessionBox, SessionObject, SessionObject_TO,
};
pub use roots::{
    BackboneRoot, BackboneRoot_Ref, BackendRoot, BackendRoot_Ref, HeadRoot, HeadRoot_Ref, LossRoot,
    LossRoot_Ref, SamplerRoot, SamplerRoot_Ref,
};
pub use services::{HostServices, HostServices_Ref, LEVELS, LogRecord};
