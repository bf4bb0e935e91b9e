use std::{io, path::PathBuf};

use expanse_checkpoint::{Misfit, WriteError};
use expanse_data::{DataError, NormalizationError};
use expanse_host::HostError;
use expanse_imbalance::{ProfileError, StrategyError, WeightError};
use expanse_metrics::{GapError, ScoresError};
use expanse_program::{ChainError, CheckpointError};
use expanse_sampling::SamplingError;

/// A run cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The data folder is nowhere.
    #[error(
        "data set `{set}`: folder `{folder}` is not there; looked in {}; get the data set there, or set data.folder",
        bases.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoFolder {
        /// The data set.
        set: String,
        /// Its folder.
        folder: String,
        /// Where it was looked for.
        bases: Vec<PathBuf>,
    },
    /// `data.format` is not known.
    #[error("data.format is `{found}`; it must be one of {}", allowed.join(", "))]
    Format {
        /// The name given.
        found: String,
        /// The names known.
        allowed: Vec<String>,
    },
    /// The files of a data set cannot be used.
    #[error("data set `{set}`: {source}")]
    Data {
        /// The data set.
        set: String,
        /// What is wrong with which file.
        source: DataError,
    },
    /// There is nothing to tell apart.
    #[error("data set `{set}` has the classes [{}]; two or more are needed: is data.folder the right one?", classes.join(", "))]
    OneClass {
        /// The data set.
        set: String,
        /// Its classes.
        classes: Vec<String>,
    },
    /// The imbalance profile cannot be met.
    #[error("data.profile: {0}")]
    Profile(#[from] ProfileError),
    /// A class has nothing to train on or to test with.
    #[error(
        "class {class} (`{name}`) has no {part} image; every class needs at least one: remove the class, or change data.profile"
    )]
    EmptyClass {
        /// The class.
        class: usize,
        /// Its name.
        name: String,
        /// `training` or `test`.
        part: &'static str,
    },
    /// The target counts cannot be met.
    #[error("augment.sampling_strategy: {0}")]
    Strategy(#[from] StrategyError),
    /// A class has no weight.
    #[error("class_weighting: {0}")]
    Weight(#[from] WeightError),
    /// A component fails.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The components do not fit together.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The backend lacks operations.
    #[error("backend `{backend}` cannot run {program}: it lacks {}; choose another backend", missing.join(", "))]
    Missing {
        /// The backend.
        backend: String,
        /// What it cannot run.
        program: String,
        /// The operations that it lacks.
        missing: Vec<String>,
    },
    /// The backend refuses the optimiser of a phase.
    #[error(
        "backend `{backend}` refuses {phase}.optimizer `{method}` with {phase}.clip_norm {clip_norm}: {source}; choose `sgd` with clip_norm 0, or another backend"
    )]
    Optimizer {
        /// The backend.
        backend: String,
        /// The phase, which is also the name of its configuration table.
        phase: &'static str,
        /// The optimiser.
        method: String,
        /// The norm from which gradients are clipped; 0 clips nothing.
        clip_norm: f64,
        /// What the backend says.
        source: Box<HostError>,
    },
    /// Mixup takes the loss twice.
    #[error(
        "train.mixup takes the loss twice, once for each label, and {loss} has parameters, which cannot be held twice; set train.mixup to 0, or choose another loss"
    )]
    MixedParameters {
        /// Who has recorded it.
        loss: String,
    },
    /// The training images cannot stay on the device.
    #[error("data.on_device is `always`, and {reason}; use `auto`")]
    OnDevice {
        /// Why they cannot.
        reason: String,
    },
    /// A method that changes weights and biases meets a head that has others.
    #[error(
        "finetune.method `{method}` needs a head whose logits are W·x + b, and head `{head}` is another; use the head `linear`, or the method `crt`, which takes every head"
    )]
    NotAffine {
        /// The head.
        head: String,
        /// The method.
        method: &'static str,
    },
    /// A program has no port of that name.
    #[error("{program} gives no `{port}`")]
    NoPort {
        /// Who recorded it.
        program: String,
        /// The port.
        port: &'static str,
    },
    /// Training has diverged.
    #[error(
        "{phase}: the loss is {loss} in epoch {epoch}; training has diverged: lower {phase}.learning_rate (it is {learning_rate})"
    )]
    Diverged {
        /// The phase, which is also the name of its configuration table.
        phase: &'static str,
        /// The epoch, from 1.
        epoch: u64,
        /// The loss.
        loss: f32,
        /// The highest learning rate.
        learning_rate: f64,
    },
    /// Embeddings hold NaN or infinities.
    #[error(
        "the {part} embeddings hold {value} at row {row}, column {column}: the model of phase 1 has diverged; lower train.learning_rate"
    )]
    NotFinite {
        /// `training` or `test`.
        part: &'static str,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Scores cannot be computed.
    #[error(transparent)]
    Scores(#[from] ScoresError),
    /// The gap cannot be computed.
    #[error("generalization gap: {0}")]
    Gap(#[from] GapError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Two parameters would have one name in the file of the model.
    #[error(
        "parameters `{first}` and `{second}` would both be called `{usual}` in the model's file; the backbone's usual \
         names must be told apart, tell its author"
    )]
    UsualNames {
        /// A parameter.
        first: String,
        /// Another one.
        second: String,
        /// The name of both.
        usual: String,
    },
    /// A checkpoint is not one of the model.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// What a checkpoint tells of its model is not what Expanse writes.
    #[error(
        "what it tells of its model (`expanse`) cannot be read: {0}; write it anew with the version that made it"
    )]
    About(#[source] serde_json::Error),
    /// What a checkpoint tells of its model does not fit together.
    #[error(
        "what it tells of its model (`expanse`) cannot be: {message}; write it anew with the version that made it"
    )]
    Told {
        /// What does not fit.
        message: String,
    },
    /// A checkpoint tells of a normalisation that is none.
    #[error("what it tells of its model (`expanse`) cannot be: {0}")]
    Normalization(#[from] NormalizationError),
    /// A checkpoint was made for other images.
    #[error(
        "it was made for {what} {told}, and the experiment has {found}; name the experiment that it was made with"
    )]
    Other {
        /// What differs.
        what: &'static str,
        /// What the checkpoint tells.
        told: String,
        /// What the experiment has.
        found: String,
    },
    /// A head has another tensor than the model that it is put into.
    #[error(
        "tensor `{name}` of the head has the shape {found:?}, and the model {}; take a head that was made for this model",
        expected.as_ref().map_or("has no such tensor".into(), |shape| format!("has it in the shape {shape:?}"))
    )]
    NotOfModel {
        /// The tensor.
        name: String,
        /// Its shape in the head.
        found: Vec<usize>,
        /// Its shape in the model; none if that has no such tensor.
        expected: Option<Vec<usize>>,
    },
    /// Embeddings that a head cannot be fine-tuned on.
    #[error("the embeddings have {message}; make them with `embed` and `augment` from this model")]
    Rows {
        /// What is wrong.
        message: String,
    },
    /// A model cannot be written.
    #[error("the model cannot be written: {0}")]
    Model(#[from] WriteError),
    /// A file of the run cannot be written.
    #[error("run folder {}: {doing} failed: {source}; free space there or choose another place with run.folder", path.display())]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("a thread to prepare batches cannot be started: {0}")]
    Thread(io::Error),
    /// The record cannot be written as JSON.
    #[error("the record of the run cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The embeddings cannot be written.
    #[error("the embeddings cannot be written: {0}")]
    Embeddings(#[from] safetensors::SafeTensorError),
    /// What the sampler has made cannot be looked at.
    #[error("the synthetic rows cannot be audited: {0}")]
    Audit(#[source] SamplingError),
    /// The user asked to stop, and training can go on.
    #[error("stopped at your request in epoch {epoch} of {epochs}; the same command goes on from there")]
    Stopped {
        /// The epoch, from 1.
        epoch: u64,
        /// Epochs in all.
        epochs: u64,
    },
    /// The user asked to stop.
    #[error("stopped at your request; this run has left no folder")]
    Cancelled,
}

impl PipelineError {
    /// Whether the user has asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Stopped { .. } | Self::Host(HostError::Cancelled))
    }

    /// Whether it is about the file of a model, which its message does not name.
    pub fn is_about_checkpoint(&self) -> bool {
        use PipelineError::{About, Misfit, Normalization, NotOfModel, Other, Told};
        matches!(
            self,
            Misfit(_) | About(_) | Told { .. } | Normalization(_) | Other { .. } | NotOfModel { .. }
        )
    }
}
