use serde::{Deserialize, Deserializer, Serialize, de::IntoDeserializer as _};
use serde_json::{Map, Value};

/// All that a run depends on. The meaning of each key, and its default, stand in `config/default.toml`.
///
/// Keys are checked against that file as the layers are read, so that each unknown one has its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The root of every random choice.
    pub seed: u64,
    /// Worker threads; 0 takes all cores.
    pub threads: usize,
    /// The protocol: the name of its file; empty for none.
    pub protocol: String,
    /// The images and their imbalance.
    pub data: Data,
    /// The network from images to embeddings.
    pub backbone: Stage,
    /// The classifier from embeddings to logits.
    pub head: Stage,
    /// The loss of phases 1 and 3.
    pub loss: Stage,
    /// What balances the embeddings.
    pub sampler: Stage,
    /// The device that runs the networks.
    pub backend: Stage,
    /// Phase 1.
    pub train: Train,
    /// Phase 2.
    pub augment: Augment,
    /// Phase 3.
    pub finetune: Finetune,
    /// The generalization gap.
    pub gap: Gap,
    /// The record of the run.
    pub run: Run,
}

/// A plugin and its options, which only the plugin understands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The name of the plugin.
    pub plugin: String,
    /// All other keys of the stage's table.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

/// The images, and how their training set is made imbalanced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The data set: the name of its file.
    pub set: String,
    /// The format of its files.
    pub format: String,
    /// Where its files lie, relative to the workspace or the standard places.
    pub folder: String,
    /// The names of its classes, by label; 2 or more, or none where the files tell.
    pub classes: Vec<String>,
    /// Side of the square image that each picture becomes, in pixels, 8 or more.
    pub image_size: usize,
    /// Whether pictures are read with their colours.
    #[serde(deserialize_with = "name")]
    pub color: Color,
    /// Share of the pictures of each class that is the test set where the folder has none, in `(0, 0.5]`.
    pub test_share: f64,
    /// Images kept for each class.
    #[serde(deserialize_with = "name")]
    pub profile: Profile,
    /// Largest class to smallest class, 1 or more.
    pub ratio: f64,
    /// Images kept for each class, by label, for [`Profile::Counts`].
    pub counts: Vec<u64>,
    /// Images kept of the largest class; 0 keeps all of it.
    pub largest: u64,
    /// Share of the training images held out, in `[0, 0.5]`.
    pub validation: f64,
    /// Pixels of padding before a random crop.
    pub crop_padding: usize,
    /// Whether images are mirrored at random.
    pub flip: bool,
    /// Whether the training images stay on the device.
    #[serde(deserialize_with = "name")]
    pub on_device: OnDevice,
}

/// What both training phases have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Passes over the data, 1 or more.
    pub epochs: u64,
    /// Samples in one step, 1 or more.
    pub batch_size: usize,
    /// How parameters follow their gradients.
    #[serde(deserialize_with = "name")]
    pub optimizer: OptimizerName,
    /// Learning rate after the warm-up, above 0.
    pub learning_rate: f64,
    /// Momentum, or β₁ of Adam, in `[0, 1)`.
    pub momentum: f64,
    /// Weight decay, 0 or more.
    pub weight_decay: f64,
    /// The largest norm of all gradients together, 0 or more; 0 clips nothing.
    pub clip_norm: f64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: u64,
    /// How the learning rate falls after the warm-up.
    #[serde(deserialize_with = "name")]
    pub decay: Decay,
    /// Shares of the epochs, ascending in `(0, 1]`.
    pub milestones: Vec<f64>,
    /// Multipliers of the learning rate, each in force from the milestone of the same index.
    pub factors: Vec<f64>,
    /// Weights of the classes in the loss.
    #[serde(deserialize_with = "name")]
    pub class_weighting: ClassWeighting,
    /// Share of the epochs, in `[0, 1]`, after which the weighting takes force.
    pub class_weighting_from: f64,
}

/// Phase 1: backbone and head, end to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// Epochs, optimiser and learning rates.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The epoch whose weights are kept.
    #[serde(deserialize_with = "name")]
    pub selection: Selection,
    /// Epochs without a better one on the images held out after which training ends; 0 never ends it early.
    pub patience: u64,
    /// α of mixup of the images, 0 or more; 0 mixes nothing.
    pub mixup: f64,
}

/// Phase 2: over-sampling of the embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// A strategy's name, a ratio to the largest class, or a count for each class.
    pub sampling_strategy: Value,
    /// Where the sampler's library runs.
    #[serde(deserialize_with = "name")]
    pub isolation: Isolation,
    /// GiB that a sampler in a process of its own may take, 0 or more; 0 takes the memory of the machine.
    pub memory_gib: f64,
    /// Seconds without progress after which a plugin counts as stalled; 0 waits for ever.
    pub stall_seconds: u64,
}

/// Where a sampler's library runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In the process of the driver.
    None,
    /// In a process of its own.
    Process,
}

/// Phase 3: a head alone, on embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finetune {
    /// How the head is balanced.
    #[serde(deserialize_with = "name")]
    pub method: HeadMethod,
    /// Epochs, optimiser and learning rates.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Where the head starts.
    #[serde(deserialize_with = "name")]
    pub head_init: HeadInit,
    /// Whether the labels of synthetic rows are mixed by r, in expectation.
    pub soft_labels: bool,
    /// τ of [`HeadMethod::TauNorm`], 0 or more.
    pub tau: f64,
}

/// The generalization gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Draws from which its null and spread are estimated, 1 or more.
    pub draws: u64,
}

/// The record of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Where runs are kept.
    pub folder: String,
    /// Whether a phase is taken from an earlier run that agrees in all it depends on.
    pub cache: bool,
    /// Seconds after which phase 1 is kept again; 0 keeps it after each step.
    pub checkpoint_seconds: u64,
}

/// Whether pictures are read with their colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// Luminance alone.
    Gray,
    /// Red, green and blue.
    Rgb,
}

/// How many images of each class are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// All of them.
    Natural,
    /// Falling exponentially with the label.
    Exponential,
    /// The first half of the classes full, the rest thinned.
    Step,
    /// The counts that are listed.
    Counts,
}

/// Whether the training images stay on the device, which then crops and mirrors them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDevice {
    /// Where it has memory of its own, and they fit.
    Auto,
    /// It is an error if they cannot.
    Always,
    /// They are sent with every batch.
    Never,
}

/// Weights of the classes in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeighting {
    /// All alike.
    None,
    /// Inverse to the count.
    Inverse,
    /// Inverse to the effective number of samples.
    EffectiveNumber,
}

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// The same with Nesterov's momentum.
    Nesterov,
    /// Adam, whose weight decay goes into the gradient.
    Adam,
    /// Adam with weight decay apart.
    AdamW,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// By the factors of the milestones.
    Step,
    /// By half a wave of the cosine, to 0 after the last epoch.
    Cosine,
}

/// The epoch whose weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The last one.
    Last,
    /// The best one on the images held out.
    Validation,
}

/// How the head is balanced in phase 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadMethod {
    /// Trained on real embeddings and those that phase 2 has made.
    OverSampled,
    /// Trained on real embeddings in class-balanced batches.
    Crt,
    /// That of phase 1, with one learned factor for each class.
    Lws,
    /// That of phase 1, with normalised weights.
    TauNorm,
    /// The nearest class mean.
    Ncm,
}

impl HeadMethod {
    /// Its name in an experiment.
    pub fn name(self) -> &'static str {
        match self {
            Self::OverSampled => "over-sampled",
            Self::Crt => "crt",
            Self::Lws => "lws",
            Self::TauNorm => "tau-norm",
            Self::Ncm => "ncm",
        }
    }

    /// Whether it is trained, in epochs.
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::TauNorm | Self::Ncm)
    }
}

/// Where the head of phase 3 starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadInit {
    /// Newly initialised.
    Fresh,
    /// As phase 1 left it.
    Phase1,
}

/// Reads an enum by its name alone; figment would also take the index of a variant.
fn name<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(deserializer)?.into_deserializer())
}
