//! Over-sampling of a feature matrix: [`eos()`], [`smote()`] and [`random()`].
//!
//! Every sampler takes a [`Request`] (features, labels, how many rows to make of each class), its own checked
//! parameters, an [`Output`] that the caller has allocated and a [`Control`], and answers with a [`Report`].
//! The rows come out by class, in ascending order of labels, in exactly the numbers wanted; each carries its
//! provenance. Row `i` of class `c` draws from `seed.derive(sampler, &[c, i])`, so that the same seed gives
//! the same bytes on any number of threads, and what is made of one class never depends on what is made of
//! another.
//!
//! After an error the output holds anything.

mod control;
mod eos;
mod error;
mod fill;
mod output;
mod random;
mod request;
mod smote;

pub use control::{Control, Note, Report, Unattended};
pub use eos::{Eos, EosParams, EosParamsError, eos};
pub use error::SamplingError;
pub use output::{Output, OutputError};
pub use random::{Random, RandomParams, RandomParamsError, random};
pub use request::Request;
pub use smote::{Smote, SmoteParams, SmoteParamsError, smote};

#[cfg(test)]
mod tests;
