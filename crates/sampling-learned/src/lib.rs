//! Over-sampling by what a model has learned of the samples: [`svm_smote()`], [`svm_balance()`] and
//! [`kmeans_smote()`]. Models come from [linfa](https://rust-ml.github.io/linfa).
//!
//! They are used as the samplers of [`expanse_sampling`] are, and hold what those hold: counts are met exactly, every
//! row has its provenance, and the same seed gives the same bytes on any number of threads. They are a crate of their
//! own so that nobody else compiles their models.

mod kmeans_smote;
mod points;
mod svm;
mod svm_balance;
mod svm_smote;

pub use kmeans_smote::{Auto, Automatic, KmeansSmote, KmeansSmoteParams, kmeans_smote};
pub use svm_balance::{SvmBalance, SvmBalanceParams, svm_balance};
pub use svm_smote::{SvmSmote, SvmSmoteParams, svm_smote};

/// An option of a sampler is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{option} of {sampler} is {value}; it must be {allowed}")]
pub struct ParamsError {
    /// The option.
    pub option: &'static str,
    /// The sampler.
    pub sampler: &'static str,
    /// The value given.
    pub value: f64,
    /// What is allowed.
    pub allowed: &'static str,
}

#[cfg(test)]
mod tests;
