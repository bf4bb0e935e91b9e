//! The result of a run: the document [`Metrics`], and the tables that people read: [`table`],
//! [`scores_table`] and [`audit_table`].

mod summary;
mod table;

pub use summary::{Interval, interval};
pub use table::{audit_table, scores_table, table};

use std::collections::BTreeMap;

use expanse_metrics::{Gap, Scores};
use expanse_sampling::ClassAudit;
use serde::{Deserialize, Serialize};

/// What a run has measured; the content of `metrics.json`.
///
/// Everything but `seconds` is the same for the same configuration, seed and machine type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// How long phase 1 was trained.
    #[serde(default)]
    pub train: Epochs,
    /// How the head of the final model was balanced: `finetune.method`.
    #[serde(default = "over_sampled")]
    pub method: String,
    /// The model of phase 1 on the test set.
    pub baseline: Scores,
    /// The reassembled model on the same test set.
    pub three_phase: Scores,
    /// The generalization gap of the training embeddings to the test embeddings.
    pub gap: GapReport,
    /// By class: what the synthetic embeddings look like.
    pub audit: Vec<ClassAudit>,
    /// Wall-clock time by phase.
    pub seconds: BTreeMap<String, f64>,
}

/// The method of runs from before there was a choice.
fn over_sampled() -> String {
    "over-sampled".into()
}

impl Metrics {
    /// What people call the final model.
    pub fn model(&self) -> &str {
        if self.method == over_sampled() { "three-phase" } else { &self.method }
    }
}

/// Epochs of phase 1. Fewer are trained than planned where training has ended early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    /// `train.epochs`.
    pub planned: u64,
    /// How many were trained.
    pub trained: u64,
    /// The one whose weights were kept, from 1.
    pub kept: u64,
}

/// The generalization gap before and after over-sampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapReport {
    /// Of the real training embeddings.
    pub before: GapWithMean,
    /// Of the balanced embeddings, real and synthetic.
    pub after: GapWithMean,
}

/// A gap by class, with its means over classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapWithMean {
    /// By class.
    #[serde(flatten)]
    pub by_class: Gap,
    /// Means over classes.
    pub mean: GapMean,
}

/// Means over classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapMean {
    /// Of the raw gap.
    pub raw: f64,
    /// Of what it would be without any shift.
    pub null: f64,
    /// Of the difference at equal sizes.
    pub size_matched: f64,
}

impl From<Gap> for GapWithMean {
    fn from(gap: Gap) -> Self {
        let mean =
            GapMean { raw: gap.mean_raw(), null: gap.mean_null(), size_matched: gap.mean_size_matched() };
        Self { by_class: gap, mean }
    }
}
