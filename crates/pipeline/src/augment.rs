//! Phase 2: the embeddings are over-sampled, and what was made is looked at.

use expanse_config::{Experiment, HeadMethod};
use expanse_domain::{ClassCounts, MatrixView, Seed};
use expanse_host::{Sampler, Synthetic};
use expanse_imbalance::SamplingStrategy;
use expanse_sampling::{ClassAudit, Control, Made, SamplingError, audit};

use crate::PipelineError;

/// What phase 2 has made.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmented {
    /// The synthetic rows.
    pub synthetic: Synthetic,
    /// What they look like, by class.
    pub audit: Vec<ClassAudit>,
}

impl Augmented {
    /// What the sampler notes, a line each, with the names of the classes.
    pub fn notes(&self, classes: &[String]) -> Vec<String> {
        let notes = self.synthetic.report["notes"].as_array().into_iter().flatten();
        let line = |note: &serde_json::Value| {
            let class = note["class"].as_u64().and_then(|class| classes.get(class as usize));
            let (class, message) = (class.map_or("", String::as_str), note["message"].as_str().unwrap_or(""));
            format!("class `{class}`: {message}")
        };
        notes.map(line).collect()
    }
}

/// Over-samples the rows of a matrix as an experiment says it; `counts` are those of the labels.
///
/// # Errors
///
/// The counts asked for cannot be met, the sampler fails, or the user has asked to stop.
pub fn augment(
    experiment: &Experiment,
    (features, labels): (MatrixView<'_>, &[u32]),
    counts: &ClassCounts,
    sampler: &dyn Sampler,
) -> Result<Augmented, PipelineError> {
    let wanted = wanted(experiment, counts)?;
    let seed = Seed(experiment.seed).derive("augment", &[]);
    let synthetic = sampler.resample(features, labels, &wanted, seed)?;
    let made = Made {
        features,
        labels,
        classes: counts.classes(),
        synthetic: &synthetic.features,
        synthetic_labels: &synthetic.labels,
        provenance: &synthetic.provenance,
    };
    let audit = audit(&made, seed, &Stop).map_err(|error| match error {
        SamplingError::Cancelled => PipelineError::Cancelled,
        error => PipelineError::Audit(error),
    })?;
    Ok(Augmented { synthetic, audit })
}

/// The synthetic rows that the experiment wants of each class; none where the head is balanced without them.
pub(crate) fn wanted(experiment: &Experiment, counts: &ClassCounts) -> Result<Vec<u64>, PipelineError> {
    if experiment.finetune.method != HeadMethod::OverSampled {
        return Ok(vec![0; counts.classes()]);
    }
    let strategy: SamplingStrategy = serde_json::from_value(experiment.augment.sampling_strategy.clone())?;
    Ok(strategy.synthetic(counts)?)
}

/// The user's wish to stop.
struct Stop;

impl Control for Stop {
    fn cancelled(&self) -> bool {
        expanse_host::cancelled()
    }
}
