use expanse_neighbors::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of [`eos()`](crate::eos()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EosParams {
    /// K, the neighbours among which enemies are looked for: at least 1.
    pub k_neighbors: usize,
    /// What bounds the step towards the enemy: above 0, at most 1.
    pub r_max: f32,
    /// How the enemy of a base is drawn.
    pub enemy_weights: EnemyWeights,
    /// Whether to choose partners as the authors' published code does.
    pub compat: bool,
    /// Whether neighbours are searched exactly, or approximately among very many rows.
    pub neighbors: Index,
}

/// How the enemy of a base is drawn among those near it; the names are those of scikit-learn's `weights`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnemyWeights {
    /// All alike.
    #[default]
    Uniform,
    /// In proportion to 1 / distance.
    Distance,
}

impl Default for EosParams {
    fn default() -> Self {
        Self {
            k_neighbors: 10,
            r_max: 1.0,
            enemy_weights: EnemyWeights::default(),
            compat: false,
            neighbors: Index::default(),
        }
    }
}

/// [`EosParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Eos(EosParams);

/// An option of [`EosParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EosParamsError {
    /// No neighbour to look at.
    #[error("k_neighbors of eos is 0; it must be at least 1")]
    KNeighbors,
    /// A step of no length, or beyond the enemy.
    #[error("r_max of eos is {r_max}; it must be above 0 and at most 1")]
    RMax {
        /// The bound given.
        r_max: f32,
    },
}

impl TryFrom<EosParams> for Eos {
    type Error = EosParamsError;

    fn try_from(params: EosParams) -> Result<Self, EosParamsError> {
        if params.k_neighbors == 0 {
            return Err(EosParamsError::KNeighbors);
        }
        if !(params.r_max > 0.0 && params.r_max <= 1.0) {
            return Err(EosParamsError::RMax { r_max: params.r_max });
        }
        Ok(Self(params))
    }
}

impl Eos {
    pub(super) fn k_neighbors(&self) -> usize {
        self.0.k_neighbors
    }

    pub(super) fn neighbors(&self) -> Index {
        self.0.neighbors
    }

    pub(super) fn r_max(&self) -> f32 {
        self.0.r_max
    }

    pub(super) fn enemy_weights(&self) -> EnemyWeights {
        self.0.enemy_weights
    }

    pub(super) fn compat(&self) -> bool {
        self.0.compat
    }
}
