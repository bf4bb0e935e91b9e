//! The phases one at a time.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ModelOptions, PluginOptions, Source};

/// Options of `train`.
#[derive(Debug, Args)]
pub struct TrainOptions {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// The file to write the model to, .safetensors or .pth.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// Those that are trained on, thinned as the experiment says.
    Train,
    /// Those of the test.
    Test,
}

/// Options of `embed`.
#[derive(Debug, Args)]
pub struct EmbedOptions {
    /// The experiment with the images, as for `evaluate`.
    pub experiment: Option<String>,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// Which images.
    #[arg(long, value_enum, default_value_t = Split::Train)]
    pub split: Split,
    /// The file to write embeddings, labels and logits to, .safetensors or .pth.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Options of `finetune`.
#[derive(Debug, Args)]
pub struct FinetuneOptions {
    /// The experiment that says how, as for `evaluate`.
    pub experiment: Option<String>,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// The embeddings with their labels: what `augment` has written, .safetensors.
    #[arg(long, value_name = "FILE")]
    pub embeddings: PathBuf,
    /// The file to write the head to, .safetensors or .pth.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Options of `reassemble`.
#[derive(Debug, Args)]
pub struct ReassembleOptions {
    /// The model.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// The head, as `finetune` has written it.
    #[arg(long, value_name = "FILE")]
    pub head: PathBuf,
    /// The file to write the model to, .safetensors or .pth.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
