use expanse_neighbors::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of [`adasyn()`](crate::adasyn()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdasynParams {
    /// K, the neighbours that are counted, and those within the class that a row steps towards: at least 1.
    pub n_neighbors: usize,
    /// Whether neighbours are searched exactly, or approximately among very many rows.
    pub neighbors: Index,
}

impl Default for AdasynParams {
    fn default() -> Self {
        Self { n_neighbors: 5, neighbors: Index::default() }
    }
}

/// [`AdasynParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adasyn(AdasynParams);

/// An option of [`AdasynParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdasynParamsError {
    /// No neighbour to count.
    #[error("n_neighbors of adasyn is 0; it must be at least 1")]
    NNeighbors,
}

impl TryFrom<AdasynParams> for Adasyn {
    type Error = AdasynParamsError;

    fn try_from(params: AdasynParams) -> Result<Self, AdasynParamsError> {
        if params.n_neighbors == 0 { Err(AdasynParamsError::NNeighbors) } else { Ok(Self(params)) }
    }
}

impl Adasyn {
    pub(super) fn n_neighbors(&self) -> usize {
        self.0.n_neighbors
    }

    pub(super) fn neighbors(&self) -> Index {
        self.0.neighbors
    }
}
