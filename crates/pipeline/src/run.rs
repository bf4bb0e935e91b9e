use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use expanse_config::Experiment;
use expanse_domain::{Matrix, Seed};
use expanse_host::{Backbone, Backend, Head, Loss, Sampler, Synthetic};
use expanse_metrics::{Labelled, generalization_gap};
use expanse_report::{GapReport, Metrics};
use serde::Serialize;

use crate::{
    Augmented, Event, Observer, PipelineError, Prepared, augment,
    cache::{self, Trained},
    model::{Model, Parts, check_finite, score},
    phases::{self, Balanced, check_cancelled},
    rehearsal::{Rehearsed, rehearse},
    standing::Keeper,
    train::train,
};

/// The components of a run, with what they are.
pub struct Components {
    /// Images to embeddings.
    pub backbone: Box<Backbone>,
    /// Embeddings to logits.
    pub head: Box<Head>,
    /// Logits and targets to a loss.
    pub loss: Box<Loss>,
    /// What balances the embeddings.
    pub sampler: Box<dyn Sampler>,
    /// The device.
    pub backend: Box<dyn Backend>,
    /// By stage (`backbone` and so on): what made the run.
    pub identities: BTreeMap<String, Identity>,
}

/// What a component is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Identity {
    /// The plugin's name.
    pub plugin: String,
    /// Its library's version.
    pub version: String,
    /// SHA-256 of its library.
    pub sha256: String,
    /// Its options as configured.
    pub options: serde_json::Value,
}

/// What a run has made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it has measured.
    pub metrics: Metrics,
    /// The model of phase 1, as safetensors.
    pub baseline: Vec<u8>,
    /// The reassembled model, as safetensors.
    pub three_phase: Vec<u8>,
    /// Training embeddings in their natural order with labels.
    pub train: (Matrix, Vec<u32>),
    /// Test embeddings with labels.
    pub test: (Matrix, Vec<u32>),
    /// Synthetic embeddings.
    pub synthetic: Synthetic,
}

/// Runs the three phases and evaluates both models on the test set.
///
/// Whatever can be checked before training is checked before training: that the parts fit, that the backend can
/// run them, and that the sampler can serve the counts. With `cache` set, phase 1 is taken from there if
/// everything that it depends on is the same, and kept there otherwise.
pub fn run(
    experiment: &Experiment,
    data: &Prepared,
    components: &Components,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Outcome, PipelineError> {
    let seed = Seed(experiment.seed);
    let backend = &*components.backend;
    let classes = data.counts.classes();
    let mut clock = Clock::new(observer);

    let Rehearsed { parts, trainable_values, device, .. } = rehearse(experiment, data, components)?;
    observer.event(&Event::Note {
        message: format!(
            "{trainable_values} trainable values, embeddings of {}, on {} with {} threads",
            parts.features, device.name, device.threads
        ),
    });

    let Trained { parameters: baseline, epochs, .. } =
        phase1(experiment, parts, data, components, cache, &mut clock)?;

    let mut model = Model::new(parts, backend, phases::optimizer(&experiment.train.schedule))?;
    model.import_model(&baseline)?;
    let (train, test, test_logits) = clock.phase("embed", || {
        let (train, _) = model.predict(&data.train, &data.normalization, check_cancelled)?;
        let (test, test_logits) = model.predict(&data.test, &data.normalization, check_cancelled)?;
        check_finite("training", train.view())?;
        check_finite("test", test.view())?;
        Ok((train, test, test_logits))
    })?;

    let labels = data.train.labels();
    let augmented = clock.phase("augment", || {
        augment::augment(experiment, (train.view(), labels), &data.counts, &*components.sampler)
    })?;
    for message in augmented.notes(&data.train.classes) {
        observer.event(&Event::Note { message });
    }
    let Augmented { synthetic, audit } = augmented;
    let balanced = balance(&train, labels, &synthetic);

    let head = clock
        .phase("finetune", || phases::finetune(experiment, parts, &balanced, &baseline, backend, observer))?;
    let three_phase = phases::reassemble(&baseline, &head)?;

    let (baseline_scores, three_phase_scores, gap) = clock.phase("evaluate", || {
        model.import_model(&three_phase)?;
        let (_, logits) = model.predict(&data.test, &data.normalization, check_cancelled)?;
        let score = |logits| score(logits, data.test.labels(), &data.counts);
        let real = Labelled { matrix: train.view(), labels };
        let test = Labelled { matrix: test.view(), labels: data.test.labels() };
        let after = Labelled { matrix: balanced.embeddings.view(), labels: &balanced.labels };
        let gap = |reference| {
            let draws = experiment.gap.draws as usize;
            generalization_gap(reference, real, test, classes, draws, seed.derive("gap", &[]))
        };
        let gap = GapReport { before: gap(real)?.into(), after: gap(after)?.into() };
        Ok((score(&test_logits)?, score(&logits)?, gap))
    })?;

    Ok(Outcome {
        metrics: Metrics {
            train: epochs,
            method: experiment.finetune.method.name().into(),
            baseline: baseline_scores,
            three_phase: three_phase_scores,
            gap,
            audit,
            seconds: clock.seconds,
        },
        baseline,
        three_phase,
        train: (train, labels.to_vec()),
        test: (test, data.test.labels().to_vec()),
        synthetic,
    })
}

pub(crate) fn phase1(
    experiment: &Experiment,
    parts: Parts<'_>,
    data: &Prepared,
    components: &Components,
    folder: Option<&Path>,
    clock: &mut Clock<'_>,
) -> Result<Trained, PipelineError> {
    let observer = clock.observer;
    let train = |keeper| train(experiment, parts, data, &*components.backend, keeper, observer);
    let Some(folder) = folder else {
        let trained = train(None)?;
        clock.end("train", trained.seconds, false);
        return Ok(trained);
    };
    let key = cache::key(experiment, data, components);
    let kept = cache::find(folder, &key);
    let cached = kept.is_some();
    let keeper = || Keeper::new(folder, &key, Duration::from_secs(experiment.run.checkpoint_seconds));
    let trained = kept.map_or_else(|| train(Some(keeper())), Ok)?;
    if cached {
        observer.event(&Event::Earlier { epochs: trained.history.clone() });
    }
    clock.end("train", trained.seconds, cached);
    if !cached {
        match cache::keep(folder, &key, &trained) {
            Some(event) => observer.event(&event),
            None => keeper().remove(),
        }
    }
    Ok(trained)
}

/// Real embeddings and then synthetic ones.
fn balance(train: &Matrix, labels: &[u32], synthetic: &Synthetic) -> Balanced {
    let mut embeddings = Matrix::zeros(train.rows() + synthetic.features.rows(), train.cols());
    let (real, made) = embeddings.as_mut_slice().split_at_mut(train.as_slice().len());
    real.copy_from_slice(train.as_slice());
    made.copy_from_slice(synthetic.features.as_slice());
    let labels = labels.iter().chain(&synthetic.labels).copied().collect();
    Balanced { embeddings, labels, provenance: synthetic.provenance.clone() }
}

/// Times phases and tells their ends.
pub(crate) struct Clock<'a> {
    seconds: BTreeMap<String, f64>,
    observer: &'a dyn Observer,
}

impl<'a> Clock<'a> {
    pub(crate) fn new(observer: &'a dyn Observer) -> Self {
        Self { seconds: BTreeMap::new(), observer }
    }

    /// Times a phase, if it succeeds.
    fn phase<T>(
        &mut self,
        phase: &'static str,
        work: impl FnOnce() -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        let began = Instant::now();
        let result = work()?;
        self.end(phase, began.elapsed().as_secs_f64(), false);
        Ok(result)
    }

    fn end(&mut self, phase: &'static str, seconds: f64, cached: bool) {
        self.seconds.insert(phase.into(), seconds);
        self.observer.event(&Event::PhaseEnds { phase, seconds, cached });
    }
}

#[cfg(test)]
mod tests;
