use std::{error::Error as _, path::PathBuf, process::ExitCode};

use expanse_checkpoint::{ReadError, RenameError, WriteError};
use expanse_config::{ConfigError, Mark};
use expanse_data::{DataError, EmbeddingsError, PictureError};
use expanse_host::{HostError, TrustError};
use expanse_pipeline::PipelineError;

use crate::{exit, tidy::TidyError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Box<ConfigError>),
    /// A plugin named in the configuration cannot be had.
    #[error("{origin}: {source}")]
    Plugin {
        /// Where it is named.
        origin: String,
        /// The same, if that is a file.
        mark: Option<Box<Mark>>,
        /// What is wrong with it.
        source: Box<HostError>,
    },
    /// A plugin named in the configuration is built only when asked for, and was not.
    #[error("{origin}: {source}; `{command}` builds it, once")]
    NotBuilt {
        /// Where it is named.
        origin: String,
        /// The place in its file.
        mark: Option<Box<Mark>>,
        /// What builds it.
        command: String,
        /// Where it was looked for.
        source: Box<HostError>,
    },
    /// What is to be built is no plugin that is built only when asked for.
    #[error("plugin build: `{name}` is none of those that are built only when asked for ({}); `cargo xtask plugin list` builds all others", known.join(", "))]
    NotOnDemand {
        /// What was asked for.
        name: String,
        /// What can be.
        known: Vec<String>,
    },
    /// A plugin named on the command line cannot be had.
    #[error(transparent)]
    Host(#[from] Box<HostError>),
    /// The list of trusted plugins cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The run failed.
    #[error(transparent)]
    Pipeline(Box<PipelineError>),
    /// Data cannot be read or written.
    #[error(transparent)]
    Data(Box<DataError>),
    /// Embeddings cannot be read or written.
    #[error(transparent)]
    Embeddings(#[from] Box<EmbeddingsError>),
    /// The file of a model cannot be read.
    #[error(transparent)]
    Checkpoint(Box<ReadError>),
    /// The file of a model cannot be written.
    #[error(transparent)]
    Written(Box<WriteError>),
    /// The file of a model is not one of the experiment's.
    #[error("checkpoint {}: {source}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: Box<PipelineError>,
    },
    /// A picture cannot be read.
    #[error(transparent)]
    Picture(Box<PictureError>),
    /// A model takes images that no picture is.
    #[error("the model takes images of {channels} channels; pictures have 1 or 3: use `evaluate`")]
    Channels {
        /// Channels of its images.
        channels: usize,
    },
    /// The tensors of a model cannot be renamed as asked.
    #[error("checkpoint {}: {source}", path.display())]
    Renaming {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<RenameError>,
    },
    /// Data cannot be packed as asked.
    #[error("data pack: {0}")]
    Pack(String),
    /// A data set cannot be made of a folder.
    #[error("data set `{name}`: {message}")]
    NewData {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A study cannot be read.
    #[error("study {}: {message}", path.display())]
    Study {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A program that the command calls has failed.
    #[error("`{command}` failed{}", code.map(|code| format!(" with exit code {code}")).unwrap_or_default())]
    Command {
        /// The command line.
        command: String,
        /// Its exit code.
        code: Option<i32>,
    },
    /// Files of runs are not what they were.
    #[error("{} files of runs are not what they were:\n{}", .0.len(), .0.join("\n"))]
    Damaged(Vec<String>),
    /// There is no such run.
    #[error("no run `{name}` is kept in {}; known: {}", folder.display(), if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NoRun {
        /// What was asked for.
        name: String,
        /// Where runs are.
        folder: PathBuf,
        /// The runs that there are.
        known: Vec<String>,
    },
    /// The boundary does not suit its version.
    #[error("{0}")]
    Boundary(String),
    /// The rules of the house are broken.
    #[error("{} rules of the house are broken:\n{}", .0.len(), .0.join("\n"))]
    Tidy(Vec<String>),
    /// The rules of the house cannot be checked.
    #[error(transparent)]
    TidyFailed(#[from] TidyError),
    /// A file of a plugin cannot be used as asked.
    #[error("{}: {message}", path.display())]
    PluginFile {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A plugin cannot be checked.
    #[error(transparent)]
    Supervise(#[from] expanse_conformance::SuperviseError),
    /// A plugin does not do what it must.
    #[error("{failed} checks of the conformance kit failed; the report above says why")]
    Conformance {
        /// How many.
        failed: usize,
    },
    /// The result cannot be written as JSON.
    #[error("the result cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<EmbeddingsError> for Error {
    fn from(error: EmbeddingsError) -> Self {
        Self::Embeddings(Box::new(error))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::Written(Box::new(error))
    }
}

impl From<PictureError> for Error {
    fn from(error: PictureError) -> Self {
        Self::Picture(Box::new(error))
    }
}

impl From<PipelineError> for Error {
    fn from(error: PipelineError) -> Self {
        Self::Pipeline(Box::new(error))
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        Self::Data(Box::new(error))
    }
}

impl Error {
    /// The exit code for scripts.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Error::Config(_) | Error::Plugin { .. } | Error::NotBuilt { .. } | Error::Study { .. } => {
                exit::CONFIGURATION
            }
            Error::Pipeline(error) if error.is_cancelled() => exit::INTERRUPTED,
            _ => exit::FAILED,
        })
    }
}

impl Error {
    /// What those who maintain the boundary want to know of it besides.
    pub fn explanation(&self) -> Option<&str> {
        let host = match self {
            Error::Plugin { source, .. } | Error::Host(source) => source,
            _ => return None,
        };
        match &**host {
            HostError::Layout { difference, .. } => Some(difference),
            _ => None,
        }
    }
}

impl Error {
    /// The part of a file that is to be mended.
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Error::Config(error) => error.mark(),
            Error::Plugin { mark, .. } | Error::NotBuilt { mark, .. } => mark.as_deref().cloned(),
            _ => None,
        }
    }

    /// The command that tells more.
    pub fn next(&self) -> Option<String> {
        match self {
            Error::Config(error) => match &**error {
                ConfigError::Value { key, .. } | ConfigError::Refused { key, .. } => {
                    let key = key.split_once('[').map_or(key.as_str(), |(key, _)| key);
                    Some(format!(
                        "`cargo xtask config explain {key}` tells its meaning and what every layer says of it"
                    ))
                }
                ConfigError::UnknownKey { .. } => Some("`cargo xtask config show` prints every key".into()),
                ConfigError::Option { .. } => {
                    Some("`cargo xtask plugin describe NAME` tells the options of a plugin".into())
                }
                _ => None,
            },
            Error::Plugin { .. } => Some("`cargo xtask plugin list` tells what there is".into()),
            Error::Embeddings(error) if matches!(**error, EmbeddingsError::NoParquet { .. }) => Some(
                "`cargo xtask-parquet` does what `cargo xtask` does, and is built with that feature".into(),
            ),
            _ => None,
        }
    }
}

/// An error with the causes that its message does not tell itself.
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    text
}
