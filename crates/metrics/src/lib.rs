//! How good a model is where classes are unequal: [`scores`] of its predictions, and the
//! [`generalization_gap`] of its embeddings.
//!
//! Every number is computed in `f64`. This crate knows nothing of models: it sees labels and matrices.

mod calibration;
mod confusion;
mod gap;
mod scores;

pub use calibration::{BINS, expected_calibration_error, softmax};
pub use confusion::{Confusion, ConfusionError};
pub use gap::{Gap, GapError, Labelled, NullSource, Part, generalization_gap, range_gap};
pub use scores::{Scores, ScoresError, scores};

/// The arithmetic mean; 0 without values.
fn mean(values: &[f64]) -> f64 {
    ratio(values.iter().sum(), values.len() as f64)
}

/// `part / whole`; 0 where `whole` is 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}
