//! The configuration of an experiment: layers, weakest first, resolved into one typed [`Experiment`].
//!
//! | layer | place |
//! |---|---|
//! | [`Layer::Defaults`] | `config/default.toml`, built in: the one place of every default |
//! | [`Layer::Protocol`] | `config/protocols/NAME.toml`, chosen by `protocol` |
//! | [`Layer::DataSet`] | `config/data/NAME.toml`, chosen by `data.set` |
//! | [`Layer::Experiment`] | `config/experiments/NAME.toml`, or any `.toml` file, over those that it `extends` |
//! | [`Layer::Environment`] | `EXPANSE_TRAIN__EPOCHS=5` |
//! | [`Layer::Flag`] | `--set train.epochs=5` |
//!
//! Every value knows its [`Origin`], and every error names the place to mend. Options of plugins stay opaque
//! here: whoever knows the plugin's schema checks them, and reports with [`Resolved::option_error`].

mod check;
mod document;
mod error;
mod experiment;
mod explain;
mod extraction;
mod mark;
mod names;
mod origin;
mod resolve;
mod resolved;
mod schema;
mod settings;
#[cfg(test)]
mod tests;

pub use error::{ConfigError, Hint};
pub use experiment::{
    Augment, ClassWeighting, Color, Data, Decay, Experiment, Finetune, Gap, HeadInit, HeadMethod, Isolation,
    OnDevice, OptimizerName, Profile, Run, Schedule, Selection, Stage, Train,
};
pub use explain::{Fate, Said};
pub use mark::Mark;
pub use names::{data_sets, experiments, nearest};
pub use origin::{Layer, Origin};
pub use resolve::{Sources, resolve};
pub use resolved::Resolved;
pub use schema::{meaning, schema};

/// The commented defaults, as they are built in.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");
