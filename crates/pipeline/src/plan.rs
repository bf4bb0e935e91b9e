//! What a run would do, found out without doing it.

use std::{path::Path, time::Instant};

use expanse_config::{Experiment, Schedule};
use expanse_data::write_batch;
use expanse_domain::{Matrix, Seed};
use expanse_host::Backend;
use serde::Serialize;

use crate::{
    Components, PipelineError, Prepared, cache,
    kept::Images,
    model::{Model, Parts},
    phases::{batch_size, class_weights, optimizer},
    rehearsal::{Rehearsed, rehearse},
    standing::Keeper,
};

/// Steps that are timed, after one that is not: memory is taken and programs are compiled in the first.
const TIMED_STEPS: usize = 3;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The device.
    pub device: String,
    /// Threads that it works with.
    pub threads: usize,
    /// Trainable values of backbone and head.
    pub trainable_values: u64,
    /// Multiplications with an addition for the logits of one image.
    pub multiply_adds: u64,
    /// Length of an embedding.
    pub features: usize,
    /// Phase 1.
    pub train: TrainingPlan,
    /// Synthetic embeddings of each class.
    pub synthetic: Vec<u64>,
    /// Phase 3.
    pub finetune: TrainingPlan,
    /// The most bytes that the process has had with the data and a step of each training phase, and so about what a run
    /// takes; none where the system does not tell.
    pub peak_memory: Option<u64>,
}

/// What a phase that trains would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingPlan {
    /// Epochs.
    pub epochs: u64,
    /// Steps of each.
    pub steps: u64,
    /// Samples of a step; the last of an epoch may have fewer.
    pub batch_size: usize,
    /// Wall-clock seconds of a step, measured; the fastest of some.
    pub step_seconds: f64,
    /// What is there from earlier runs.
    pub kept: KeptPhase,
}

/// What is there of a phase from earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptPhase {
    /// Nothing.
    Nothing,
    /// A run was stopped in this epoch, from 1.
    StoppedIn(u64),
    /// Its result.
    Result,
}

impl TrainingPlan {
    /// Seconds that the phase would take; those of what is kept are not counted.
    pub fn seconds(&self) -> f64 {
        let epochs = match self.kept {
            KeptPhase::Nothing => self.epochs,
            KeptPhase::StoppedIn(epoch) => (self.epochs + 1).saturating_sub(epoch),
            KeptPhase::Result => 0,
        };
        (epochs * self.steps) as f64 * self.step_seconds
    }
}

/// Checks all that a run checks before it trains, and measures a few steps; nothing is written.
///
/// # Errors
///
/// Whatever a run would be refused for.
pub fn plan(
    experiment: &Experiment,
    data: &Prepared,
    components: &Components,
    cache: Option<&Path>,
) -> Result<Plan, PipelineError> {
    let backend = &*components.backend;
    let Rehearsed { parts, trainable_values, wanted, device } = rehearse(experiment, data, components)?;
    let train = TrainingPlan {
        kept: cache.map_or(KeptPhase::Nothing, |folder| kept(folder, experiment, data, components)),
        ..training(
            &experiment.train.schedule,
            data.train.len(),
            train_step(experiment, parts, data, backend)?,
        )
    };
    let rows = data.train.len() + wanted.iter().sum::<u64>() as usize;
    let step = finetune_step(experiment, parts, data, rows, backend)?;
    Ok(Plan {
        device: device.name,
        threads: device.threads,
        trainable_values,
        multiply_adds: parts.multiply_adds()?,
        features: parts.features,
        train,
        synthetic: wanted,
        finetune: TrainingPlan {
            epochs: if experiment.finetune.method.is_trained() {
                experiment.finetune.schedule.epochs
            } else {
                0
            },
            ..training(&experiment.finetune.schedule, rows, step)
        },
        peak_memory: expanse_host::peak_memory(),
    })
}

fn kept(folder: &Path, experiment: &Experiment, data: &Prepared, components: &Components) -> KeptPhase {
    let key = cache::key(experiment, data, components);
    if cache::find(folder, &key).is_some() {
        return KeptPhase::Result;
    }
    let standing = Keeper::new(folder, &key, std::time::Duration::ZERO).read();
    standing.ok().flatten().map_or(KeptPhase::Nothing, |standing| KeptPhase::StoppedIn(standing.epoch))
}

fn training(schedule: &Schedule, samples: usize, step_seconds: f64) -> TrainingPlan {
    let batch_size = batch_size(schedule, samples).get();
    let steps = samples.div_ceil(batch_size) as u64;
    TrainingPlan { epochs: schedule.epochs, steps, batch_size, step_seconds, kept: KeptPhase::Nothing }
}

/// Seconds of a step of phase 1, on the first images.
fn train_step(
    experiment: &Experiment,
    parts: Parts<'_>,
    data: &Prepared,
    backend: &dyn Backend,
) -> Result<f64, PipelineError> {
    let schedule = &experiment.train.schedule;
    let weights = class_weights(schedule, &data.counts)?;
    let mut model = Model::new(parts, backend, optimizer(schedule))?;
    model.initialize(Seed(experiment.seed))?;
    let batch: Vec<usize> = (0..batch_size(schedule, data.train.len()).get()).collect();
    let mut images = vec![0.0; batch.len() * data.train.shape.values()];
    write_batch(&data.train, &batch, &data.normalization, None, &mut images);
    let targets: Vec<i64> = batch.iter().map(|&index| data.train.labels()[index].into()).collect();
    let images = Images::Sent(images);
    fastest(&mut model, |model| model.step_images(&images, &targets, weights.of(1), schedule.learning_rate))
}

/// Seconds of a step of phase 3, on embeddings that are 0.
fn finetune_step(
    experiment: &Experiment,
    parts: Parts<'_>,
    data: &Prepared,
    rows: usize,
    backend: &dyn Backend,
) -> Result<f64, PipelineError> {
    let schedule = &experiment.finetune.schedule;
    let weights = class_weights(schedule, &data.counts)?;
    let batch = batch_size(schedule, rows).get();
    let mut model = Model::new(parts, backend, optimizer(schedule))?;
    let initial = parts.head.initialize(&parts.head_request(1), Seed(experiment.seed))?;
    model.import_head(&initial, batch)?;
    let (embeddings, targets) = (Matrix::zeros(batch, parts.features), vec![0; batch]);
    fastest(&mut model, |model| {
        model.step_embeddings(&embeddings, &targets, weights.of(1), schedule.learning_rate)
    })
}

/// The seconds of the fastest of a few steps. The loss is read after each, so that a device that works on its own is
/// waited for.
fn fastest(
    model: &mut Model<'_>,
    mut step: impl FnMut(&mut Model<'_>) -> Result<(), PipelineError>,
) -> Result<f64, PipelineError> {
    step(model)?;
    model.losses()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..TIMED_STEPS {
        let began = Instant::now();
        step(model)?;
        model.losses()?;
        fastest = fastest.min(began.elapsed().as_secs_f64());
    }
    Ok(fastest)
}
