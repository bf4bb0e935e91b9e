use std::fmt;

use serde::{Deserialize, Serialize};

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Images to embeddings.
    Backbone,
    /// Embeddings to logits.
    Head,
    /// Logits and targets to one number.
    Loss,
    /// Rows to more rows.
    Sampler,
    /// A device that runs programs.
    Backend,
}

impl Kind {
    /// Every kind, in the order in which a picture meets them.
    pub const ALL: [Kind; 5] = [Kind::Backbone, Kind::Head, Kind::Loss, Kind::Sampler, Kind::Backend];

    /// The name in configuration files, in file names and of the root module.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Backbone => "backbone",
            Kind::Head => "head",
            Kind::Loss => "loss",
            Kind::Sampler => "sampler",
            Kind::Backend => "backend",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
