//! Phase 3, the head alone on balanced embeddings, and what it shares with phase 1.

use std::{num::NonZeroUsize, time::Instant};

use expanse_config::{Experiment, HeadInit, HeadMethod, OptimizerName, Schedule};
use expanse_data::epoch_order;
use expanse_domain::{ClassCounts, Matrix, Provenance, Seed};
use expanse_host::{Backend, Recorder, cancelled};
use expanse_imbalance::{ClassWeighting, DEFAULT_BETA};
use expanse_program::{Method, Optimizer, tensors_from_bytes, tensors_to_bytes};

use crate::{
    Event, Observer, PipelineError, learning_rate,
    model::{Model, Parts},
    rebalance::{Scaling, class_balanced_order, nearest_mean, tau_norm},
};

/// What phase 3 trains on.
pub(crate) struct Balanced {
    pub embeddings: Matrix,
    pub labels: Vec<u32>,
    /// Of the synthetic embeddings, which come last.
    pub provenance: Vec<Provenance>,
}

impl Balanced {
    /// The class that an embedding is trained with in an epoch. With `soft` a synthetic one has that of its partner with
    /// probability r, so that the expectation of a loss over epochs is (1 − r) times that of its own class and r times
    /// that of the partner's.
    fn target(&self, row: usize, epoch: u64, soft: Option<Seed>) -> u32 {
        let real = self.labels.len() - self.provenance.len();
        match (soft, row.checked_sub(real)) {
            (Some(seed), Some(made)) => {
                let from = self.provenance[made];
                let drawn = seed.derive("soft-label", &[epoch, made as u64]).rng().unit_f32();
                if drawn < from.r { from.partner_class } else { self.labels[row] }
            }
            _ => self.labels[row],
        }
    }
}

/// Phase 3: balances the head; answers its parameters as safetensors.
pub(crate) fn finetune(
    experiment: &Experiment,
    parts: Parts<'_>,
    balanced: &Balanced,
    phase1: &[u8],
    backend: &dyn Backend,
    observer: &dyn Observer,
) -> Result<Vec<u8>, PipelineError> {
    let config = &experiment.finetune;
    let seed = Seed(experiment.seed);
    match config.method {
        HeadMethod::TauNorm => return tau_norm(&parts, &head_of(&parts, phase1)?, config.tau),
        HeadMethod::Ncm => {
            let head = head_of(&parts, phase1)?;
            return nearest_mean(&parts, &head, &balanced.embeddings, &balanced.labels);
        }
        HeadMethod::OverSampled | HeadMethod::Crt | HeadMethod::Lws => {}
    }
    // Of what is trained on: in class-balanced batches all classes are as large.
    let classes = parts.class_counts.len();
    let counts = match config.method {
        HeadMethod::OverSampled => ClassCounts::of(&balanced.labels, classes),
        _ => ClassCounts::new(vec![balanced.labels.len().div_ceil(classes) as u64; classes]),
    };
    let parts = Parts { class_counts: counts.as_slice(), ..parts };
    let batch_size = batch_size(&config.schedule, balanced.embeddings.rows()).get();
    let mut model = Model::new(parts, backend, optimizer(&config.schedule))?;
    let initial = match (config.method, config.head_init) {
        (HeadMethod::Lws, _) | (_, HeadInit::Phase1) => head_of(&parts, phase1)?,
        (_, HeadInit::Fresh) => {
            parts.head.initialize(&parts.head_request(1), seed.derive("fresh-head", &[]))?
        }
    };
    model.import_head(&initial, batch_size)?;
    let scaling = match config.method {
        HeadMethod::Lws => Some(Scaling::new(&parts, &initial, &config.schedule)?),
        _ => None,
    };
    let head = Finetuning { experiment, balanced, counts: &counts, batch_size, model, scaling, observer };
    head.train()
}

/// A head that is being trained.
struct Finetuning<'a> {
    experiment: &'a Experiment,
    balanced: &'a Balanced,
    counts: &'a ClassCounts,
    batch_size: usize,
    model: Model<'a>,
    /// The factors, where they alone are trained.
    scaling: Option<Scaling<'a>>,
    observer: &'a dyn Observer,
}

impl Finetuning<'_> {
    fn train(mut self) -> Result<Vec<u8>, PipelineError> {
        const PHASE: &str = "finetune";
        let Self { experiment, balanced, batch_size, observer, .. } = self;
        let (config, seed) = (&experiment.finetune, Seed(experiment.seed));
        let schedule = &config.schedule;
        let weights = class_weights(schedule, self.counts)?;
        let rows = balanced.embeddings.rows();
        let soft = config.soft_labels.then_some(seed);
        let steps = rows.div_ceil(batch_size) as u64;
        observer.event(&Event::PhaseBegins { phase: PHASE, steps: steps * schedule.epochs });
        for epoch in 1..=schedule.epochs {
            let began = Instant::now();
            let rate = learning_rate(schedule, epoch);
            let order = match config.method {
                HeadMethod::OverSampled => epoch_order(rows, seed.derive(PHASE, &[]), epoch),
                _ => class_balanced_order(&balanced.labels, self.counts.classes(), seed, epoch),
            };
            let mut losses = Vec::new();
            for batch in order.chunks(batch_size) {
                check_cancelled()?;
                let embeddings = balanced.embeddings.select_rows(batch);
                let targets: Vec<i64> =
                    batch.iter().map(|&row| i64::from(balanced.target(row, epoch, soft))).collect();
                losses.extend(self.step(&embeddings, &targets, weights.of(epoch), rate)?);
                observer.event(&Event::Step);
            }
            losses.extend(self.model.losses()?);
            let loss = mean_loss(&losses, PHASE, epoch, schedule)?;
            observer.event(&Event::Epoch {
                phase: PHASE,
                epoch,
                epochs: schedule.epochs,
                loss,
                learning_rate: rate,
                samples_per_second: rows as f64 / began.elapsed().as_secs_f64(),
                validation_bac: None,
            });
        }
        self.model.parameters()
    }

    /// A step on a batch; answers its loss, unless the model keeps it.
    fn step(
        &mut self,
        embeddings: &Matrix,
        targets: &[i64],
        weights: &[f32],
        rate: f64,
    ) -> Result<Option<f32>, PipelineError> {
        let Some(scaling) = &mut self.scaling else {
            self.model.step_embeddings(embeddings, targets, weights, rate)?;
            return Ok(None);
        };
        let gradients = self.model.head_gradients(embeddings, targets, weights)?;
        scaling.step(&gradients, rate)?;
        self.model.import_head(&scaling.head()?, targets.len())?;
        let loss = tensors_from_bytes(&gradients)?.into_iter().find(|tensor| tensor.name == "loss");
        Ok(loss.and_then(|loss| loss.values.first().copied()))
    }
}

/// One model again: the backbone of phase 1 with the head of phase 3.
pub(crate) fn reassemble(phase1: &[u8], head: &[u8]) -> Result<Vec<u8>, PipelineError> {
    let mut tensors = tensors_from_bytes(phase1)?;
    for new in tensors_from_bytes(head)? {
        if let Some(old) = tensors.iter_mut().find(|tensor| tensor.name == new.name) {
            *old = new;
        }
    }
    Ok(tensors_to_bytes(&tensors)?)
}

pub(crate) fn check_cancelled() -> Result<(), PipelineError> {
    if cancelled() { Err(PipelineError::Cancelled) } else { Ok(()) }
}

/// The head's share of the model's parameters.
fn head_of(parts: &Parts<'_>, model: &[u8]) -> Result<Vec<u8>, PipelineError> {
    let program = Recorder::record(parts.head, &parts.head_request(1))?;
    let mut tensors = tensors_from_bytes(model)?;
    tensors.retain(|tensor| program.header.parameters.iter().any(|p| p.name == tensor.name));
    Ok(tensors_to_bytes(&tensors)?)
}

pub(crate) fn optimizer(schedule: &Schedule) -> Optimizer {
    let method = match schedule.optimizer {
        OptimizerName::Sgd => Method::Sgd,
        OptimizerName::Nesterov => Method::Nesterov,
        OptimizerName::Adam => Method::Adam,
        OptimizerName::AdamW => Method::AdamW,
    };
    let clip_norm = Some(schedule.clip_norm).filter(|norm| *norm > 0.0);
    Optimizer { momentum: schedule.momentum, weight_decay: schedule.weight_decay, method, clip_norm }
}

/// The configured size, or all samples if they are fewer.
pub(crate) fn batch_size(schedule: &Schedule, samples: usize) -> NonZeroUsize {
    NonZeroUsize::new(schedule.batch_size.min(samples)).unwrap_or(NonZeroUsize::MIN)
}

/// The weights of the classes in the loss, epoch by epoch.
pub(crate) struct ClassWeights {
    equal: Vec<f32>,
    weighted: Vec<f32>,
    /// The last epoch in which all classes weigh alike.
    deferred: u64,
}

impl ClassWeights {
    /// Those of an epoch e, counted from 1: of the configured weighting if e > round(from · epochs), and all alike before.
    ///
    /// Source: deferred re-weighting (DRW) of Cao, Wei, Gaidon, Arechiga, Ma, *Learning Imbalanced Datasets with
    /// Label-Distribution-Aware Margin Loss* (NeurIPS 2019).
    pub fn of(&self, epoch: u64) -> &[f32] {
        if epoch > self.deferred { &self.weighted } else { &self.equal }
    }
}

pub(crate) fn class_weights(
    schedule: &Schedule,
    counts: &ClassCounts,
) -> Result<ClassWeights, PipelineError> {
    let weighting = match schedule.class_weighting {
        expanse_config::ClassWeighting::None => ClassWeighting::None,
        expanse_config::ClassWeighting::Inverse => ClassWeighting::Inverse,
        expanse_config::ClassWeighting::EffectiveNumber => {
            ClassWeighting::EffectiveNumber { beta: DEFAULT_BETA }
        }
    };
    Ok(ClassWeights {
        equal: vec![1.0; counts.classes()],
        weighted: weighting.weights(counts)?.into_iter().map(|weight| weight as f32).collect(),
        deferred: (schedule.class_weighting_from * schedule.epochs as f64).round() as u64,
    })
}

/// The mean of an epoch's losses; an error if one is not a number.
pub(crate) fn mean_loss(
    losses: &[f32],
    phase: &'static str,
    epoch: u64,
    schedule: &Schedule,
) -> Result<f64, PipelineError> {
    if let Some(&loss) = losses.iter().find(|loss| !loss.is_finite()) {
        return Err(PipelineError::Diverged { phase, epoch, loss, learning_rate: schedule.learning_rate });
    }
    Ok(losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deferred_weights_take_force_after_their_share_of_the_epochs() {
        let weights = ClassWeights { equal: vec![1.0], weighted: vec![2.0], deferred: 160 };
        assert_eq!((weights.of(160), weights.of(161)), (&[1.0][..], &[2.0][..]));
        let weights = ClassWeights { deferred: 0, ..weights };
        assert_eq!(weights.of(1), [2.0]);
    }

    #[test]
    fn soft_labels_are_the_partners_as_often_as_r_says() {
        let source = |r| Provenance { base: 0, partner: 1, partner_class: 2, r };
        let balanced = Balanced {
            embeddings: Matrix::zeros(5, 1),
            labels: vec![0, 1, 1, 1, 1],
            provenance: vec![source(0.3), source(0.0), source(-0.5)],
        };
        let of_partner = |row, soft| {
            (0..4000).filter(|&epoch| balanced.target(row, epoch, soft) == 2).count() as f64 / 4000.0
        };
        let soft = Some(Seed(1));
        assert!((of_partner(2, soft) - 0.3).abs() < 0.03, "{}", of_partner(2, soft));
        for (row, soft) in [(0, soft), (1, soft), (3, soft), (4, soft), (2, None)] {
            assert_eq!(of_partner(row, soft), 0.0, "row {row}");
        }
    }
}
