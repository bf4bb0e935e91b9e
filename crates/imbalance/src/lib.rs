//! How unequal the classes are, and what is done about it by counting alone: imbalance profiles
//! ([`Profile`], [`keep`]), stratified splits ([`hold_out`]), the number of synthetic rows a class needs
//! ([`SamplingStrategy`]) and the weight a class has in the loss ([`ClassWeighting`]).
//!
//! This crate knows nothing of images: it sees labels and counts.

mod profile;
mod rounding;
mod split;
mod strategy;
mod weighting;

pub use profile::{Profile, ProfileError};
pub use split::{hold_out, keep};
pub use strategy::{SamplingStrategy, StrategyError};
pub use weighting::{ClassWeighting, DEFAULT_BETA, WeightError};
