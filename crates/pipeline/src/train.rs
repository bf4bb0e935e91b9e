//! Phase 1: backbone and head, end to end on images.

use std::{num::NonZeroUsize, time::Instant};

use expanse_config::{Experiment, Selection};
use expanse_data::{Augmentation, Prefetch, epoch_order};
use expanse_domain::Seed;
use expanse_host::Backend;
use expanse_report::Epochs;

use crate::{
    Event, Observer, PipelineError, Prepared,
    cache::Trained,
    kept::{Batches, Images, is_kept, note},
    learning_rate,
    mixup::Mixture,
    model::{Model, Parts, score},
    phases::{ClassWeights, batch_size, check_cancelled, class_weights, mean_loss, optimizer},
    standing::{Best, Keeper, Standing},
};

const PHASE: &str = "train";

/// Trains backbone and head; answers all parameters as safetensors.
///
/// With a keeper, training goes on where an earlier run has stopped, and is kept from time to time and when the user
/// asks to stop.
pub(crate) fn train(
    experiment: &Experiment,
    parts: Parts<'_>,
    data: &Prepared,
    backend: &dyn Backend,
    keeper: Option<Keeper<'_>>,
    observer: &dyn Observer,
) -> Result<Trained, PipelineError> {
    let schedule = &experiment.train.schedule;
    let mut training = Training {
        experiment,
        data,
        observer,
        weights: class_weights(schedule, &data.counts)?,
        batch_size: batch_size(schedule, data.train.len()),
        model: Model::new(parts, backend, optimizer(schedule))?,
        kept: false,
        standing: Standing { epoch: 1, ..Standing::default() },
        began: Instant::now(),
        keeper,
    };
    training.begin()?;
    match training.epochs() {
        Err(error) if error.is_cancelled() && training.keeper.is_some() => {
            training.keep()?;
            let Standing { epoch, .. } = training.standing;
            Err(PipelineError::Stopped { epoch, epochs: schedule.epochs })
        }
        Err(error) => Err(error),
        Ok(()) => training.end(),
    }
}

struct Training<'a> {
    experiment: &'a Experiment,
    data: &'a Prepared,
    observer: &'a dyn Observer,
    /// Of the classes, in the loss.
    weights: ClassWeights,
    batch_size: NonZeroUsize,
    model: Model<'a>,
    /// Whether the device has the images.
    kept: bool,
    /// Where training stands; the tensors are those of the model, but for when it is kept.
    standing: Standing,
    /// When this process began, or when it last added its seconds to the standing.
    began: Instant,
    keeper: Option<Keeper<'a>>,
}

impl Training<'_> {
    /// Sets the model to its beginning, or to where an earlier run has stopped.
    fn begin(&mut self) -> Result<(), PipelineError> {
        let steps = self.data.train.len().div_ceil(self.batch_size.get()) as u64;
        let all = steps * self.experiment.train.schedule.epochs;
        self.observer.event(&Event::PhaseBegins { phase: PHASE, steps: all });
        self.keep_images()?;
        match self.keeper.as_ref().map_or(Ok(None), Keeper::read) {
            Ok(Some(standing)) => {
                self.model.import_model(&standing.parameters)?;
                self.model.import_optimizer(&standing.optimizer)?;
                self.observer.event(&Event::Resumes {
                    phase: PHASE,
                    epoch: standing.epoch,
                    steps: steps * (standing.epoch - 1) + standing.step as u64,
                });
                self.observer.event(&Event::Earlier { epochs: standing.history.clone() });
                self.standing = standing;
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => {
                let path = self.keeper.as_ref().map(|keeper| keeper.path().display().to_string());
                let message =
                    format!("training begins anew: {} cannot be used: {error}", path.unwrap_or_default());
                self.observer.event(&Event::Note { message });
            }
        }
        self.model.initialize(Seed(self.experiment.seed))
    }

    /// Puts the images on the device, if they are to stay there.
    fn keep_images(&mut self) -> Result<(), PipelineError> {
        let (experiment, images) = (self.experiment, &self.data.train);
        self.kept = is_kept(experiment, images, self.model.device())?;
        if self.kept {
            return self.model.keep_images(images, &self.data.normalization, check_cancelled);
        }
        note(experiment, images, self.model.device()).iter().for_each(|event| self.observer.event(event));
        Ok(())
    }

    /// The epochs that are left.
    fn epochs(&mut self) -> Result<(), PipelineError> {
        let epochs = self.experiment.train.schedule.epochs;
        while self.standing.epoch <= epochs && !self.is_in_vain() {
            self.epoch()?;
        }
        if self.standing.epoch <= epochs {
            let (trained, patience) = (self.standing.epoch - 1, self.experiment.train.patience);
            let message = format!(
                "phase 1 ends early, after epoch {trained} of {epochs}: none of the last {patience} was better on the images held out"
            );
            self.observer.event(&Event::Note { message });
        }
        Ok(())
    }

    /// Whether so many epochs as the patience allows have not been better than the best.
    fn is_in_vain(&self) -> bool {
        let patience = self.experiment.train.patience;
        let done = self.standing.epoch - 1;
        patience > 0 && self.standing.best.as_ref().is_some_and(|best| done - best.epoch >= patience)
    }

    /// What is left of the epoch.
    fn epoch(&mut self) -> Result<(), PipelineError> {
        let (schedule, seed) = (&self.experiment.train.schedule, Seed(self.experiment.seed));
        let Standing { epoch, step, .. } = self.standing;
        let began = Instant::now();
        let rate = learning_rate(schedule, epoch);
        let order = epoch_order(self.data.train.len(), seed.derive(PHASE, &[]), epoch);
        let left = order[(step * self.batch_size.get()).min(order.len())..].to_vec();
        let count = left.len();
        let crop_padding = self.experiment.data.crop_padding;
        let augmentation = Augmentation { crop_padding, flip: self.experiment.data.flip };
        let varied = (augmentation, seed, epoch);
        let batches = match self.kept {
            true => {
                Batches::Kept { images: &self.data.train, left: left.chunks(self.batch_size.get()), varied }
            }
            false => {
                let (images, normalization) = (self.data.train.clone(), self.data.normalization.clone());
                let batches = Prefetch::new(images, left, self.batch_size, normalization, Some(varied));
                Batches::Sent(batches.map_err(PipelineError::Thread)?)
            }
        };
        let mixup = self.experiment.train.mixup;
        for (images, labels) in batches {
            check_cancelled()?;
            let weights = self.weights.of(epoch);
            match images {
                Images::Sent(mut pixels) if mixup > 0.0 => {
                    let mixture = Mixture::draw(mixup, labels.len(), seed, epoch, self.standing.step);
                    mixture.mix(&mut pixels);
                    self.model.step_mixed_images(&pixels, &labels, &mixture, weights, rate)?;
                }
                images => self.model.step_images(&images, &labels, weights, rate)?,
            }
            self.standing.step += 1;
            self.observer.event(&Event::Step);
            if self.keeper.as_ref().is_some_and(Keeper::due)
                && let Err(error) = self.keep()
            {
                // One note is enough: what fails now will fail again.
                self.keeper = None;
                let message = format!("a run that is stopped will not go on from here: {error}");
                self.observer.event(&Event::Note { message });
            }
        }
        self.standing.losses.extend(self.model.losses()?);
        let loss = mean_loss(&self.standing.losses, PHASE, epoch, schedule)?;
        let samples_per_second = count as f64 / began.elapsed().as_secs_f64();
        let validation_bac = match self.experiment.train.selection {
            Selection::Validation => Some(self.validate()?),
            Selection::Last => None,
        };
        let event = Event::Epoch {
            phase: PHASE,
            epoch,
            epochs: schedule.epochs,
            loss,
            learning_rate: rate,
            samples_per_second,
            validation_bac,
        };
        self.standing.history.push(serde_json::to_value(&event)?);
        self.observer.event(&event);
        self.standing.losses.clear();
        (self.standing.epoch, self.standing.step) = (epoch + 1, 0);
        Ok(())
    }

    /// Balanced accuracy on the images held out; keeps the parameters if it is the highest so far.
    fn validate(&mut self) -> Result<f64, PipelineError> {
        let validation = &self.data.validation;
        let (_, logits) = self.model.predict(validation, &self.data.normalization, check_cancelled)?;
        let bac = score(&logits, validation.labels(), &self.data.counts)?.bac;
        if self.standing.best.as_ref().is_none_or(|best| bac > best.bac) {
            let (epoch, parameters) = (self.standing.epoch, self.model.parameters()?);
            self.standing.best = Some(Best { bac, epoch, parameters });
        }
        Ok(bac)
    }

    /// Writes where training stands.
    fn keep(&mut self) -> Result<(), PipelineError> {
        self.count();
        let standing = &mut self.standing;
        standing.losses.extend(self.model.losses()?);
        (standing.parameters, standing.optimizer) = (self.model.parameters()?, self.model.optimizer()?);
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.write(standing))
    }

    fn end(mut self) -> Result<Trained, PipelineError> {
        self.count();
        let trained = self.standing.epoch - 1;
        let (kept, parameters) = match self.standing.best {
            Some(best) => (best.epoch, best.parameters),
            None => (trained, self.model.parameters()?),
        };
        let epochs = Epochs { planned: self.experiment.train.schedule.epochs, trained, kept };
        let Standing { seconds, history, .. } = self.standing;
        Ok(Trained { parameters, epochs, seconds, history })
    }

    /// Adds the seconds that have passed.
    fn count(&mut self) {
        let now = Instant::now();
        self.standing.seconds += (now - self.began).as_secs_f64();
        self.began = now;
    }
}
