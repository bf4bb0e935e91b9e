//! What the author of a plugin writes against.
//!
//! A plugin is a type that implements [`Plugin`] and the trait of its kind, exported by one macro from a crate
//! of type `cdylib`. A whole sampler:
//!
//! ```
//! use expanse_sdk::{Error, Host, Output, Plugin, Provenance, Report, Request, Sampler, options};
//!
//! options! {
//!     /// Options of `copy-first`.
//!     pub struct CopyFirstOptions {
//!         /// Row of each class that is copied, from its first.
//!         pub offset: usize = 0,
//!     }
//! }
//!
//! struct CopyFirst(CopyFirstOptions);
//!
//! impl Plugin for CopyFirst {
//!     const NAME: &'static str = "copy-first";
//!     const SUMMARY: &'static str = "copies one row of each class";
//!     type Options = CopyFirstOptions;
//!     fn new(options: CopyFirstOptions) -> Result<Self, Error> {
//!         Ok(Self(options))
//!     }
//! }
//!
//! impl Sampler for CopyFirst {
//!     fn resample(&self, request: &Request<'_>, mut output: Output<'_>, _: &Host) -> Result<Report, Error> {
//!         let mut to = 0;
//!         for (class, &wanted) in request.wanted.iter().enumerate() {
//!             let mut rows = (0..request.features.rows()).filter(|&row| request.labels[row] == class as u32);
//!             for _ in 0..wanted {
//!                 let row = rows.clone().nth(self.0.offset).or(rows.next()).ok_or_else(|| {
//!                     Error::input(format!("class {class} has no sample to copy"))
//!                 })?;
//!                 let (class, base) = (class as u32, row as u64);
//!                 let source = Provenance { base, partner: base, partner_class: class, r: 0.0 };
//!                 output.write(to, request.features.row(row), class, source);
//!                 to += 1;
//!             }
//!         }
//!         Ok(Report::default())
//!     }
//! }
//!
//! expanse_sdk::export_sampler!(CopyFirst);
//! ```
//!
//! A panic does not bring the host down: the sdk catches it, reports it with its place, and refuses further calls to
//! the instance. Log with `tracing` or `log`;
//! records appear in the host's log. Nothing may be printed.

#[cfg(panic = "abort")]
compile_error!("a plugin must unwind: with panic = \"abort\" a panic would take the host down with it");

mod error;
mod export;
mod guard;
mod host;
mod logging;
mod options;
mod plugin;
mod sampler;

#[cfg(feature = "engine")]
mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "engine")]
mod driver;
#[cfg(feature = "record")]
mod record;
#[cfg(any(feature = "engine", feature = "record"))]
mod tensor;

pub use error::Error;
pub use expanse_domain::{MatrixView, Provenance, Seed};
pub use expanse_sampling::{Note, Output, Report, Request};
pub use host::Host;
pub use options::{NoOptions, OneOrMore, Options};
pub use plugin::Plugin;
pub use sampler::Sampler;

#[cfg(feature = "engine")]
pub use backend::{Backend, Device, Memory, Precision, Runtime};
#[cfg(feature = "record")]
pub use burn;
#[cfg(feature = "engine")]
pub use driver::{CUDA_DRIVER, has_library, no_such_gpu};
#[cfg(feature = "engine")]
pub use expanse_engine as engine;
#[cfg(feature = "record")]
pub use expanse_program::{BackboneRequest, HeadRequest, LossRequest, Meaning};
#[cfg(feature = "engine")]
pub use expanse_program::{Method, Optimizer, Program, TensorData, TensorView};
#[cfg(feature = "record")]
pub use record::{Backbone, Head, Loss, Recording, dropout, record};

/// What the macros of this crate expand to; not for use by hand.
#[doc(hidden)]
pub mod macro_support {
    #[cfg(feature = "engine")]
    pub use crate::backend::backend_root;
    #[cfg(feature = "record")]
    pub use crate::record::{backbone_root, head_root, loss_root};
    pub use crate::{
        export::{Family, Member},
        sampler::sampler_root,
    };
    pub use expanse_abi::{self as abi, abi_stable};
    pub use {schemars, serde};
}
