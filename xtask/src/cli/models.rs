//! Models from files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use expanse_checkpoint::Rename;

use super::{Format, PluginOptions};

/// A model from a file.
#[derive(Clone, Debug, Args)]
pub struct ModelOptions {
    /// The model: a .pth file of torch.save, or safetensors, such as checkpoint.safetensors in the folder of a run.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Give names of tensors another beginning, such as fc=linear; may be given several times.
    #[arg(long, value_name = "OLD=NEW")]
    pub rename: Vec<Rename>,
    /// Set a value, such as backbone.depth=20; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateOptions {
    /// The experiment with the test set and, unless the file tells it, the model: a name in config/experiments, or a file
    /// that ends in .toml. If none is named, that of the run that the file belongs to, or else fashion-mnist-lt.
    pub experiment: Option<String>,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// Write embeddings, logits and labels of the test images to this file, .safetensors or .pth.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How to print the scores.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Options of `predict`.
#[derive(Debug, Args)]
pub struct PredictOptions {
    #[command(flatten)]
    pub model: ModelOptions,
    /// The pictures; they are turned upright, scaled until they cover the model's image, and cut in the middle.
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// The experiment whose classes, images and, unless the file tells it, model these are: a name in
    /// config/experiments, or a file that ends in .toml. The models of runs tell all of it.
    #[arg(long, value_name = "EXPERIMENT")]
    pub experiment: Option<String>,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// How to print what is told.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// About files of models.
#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// List the tensors of a file, and what Expanse has written of the model.
    Show {
        /// The file: .pth or safetensors.
        file: PathBuf,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Write a model as .pth, which torch.load reads, or as safetensors.
    Convert {
        /// The file to read: .pth or safetensors.
        from: PathBuf,
        /// The file to write; its extension tells its format.
        to: PathBuf,
        /// Give names of tensors another beginning, such as linear=fc; may be given several times.
        #[arg(long, value_name = "OLD=NEW")]
        rename: Vec<Rename>,
    },
}
