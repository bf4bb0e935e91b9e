use expanse_neighbors::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of [`smote()`](crate::smote()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmoteParams {
    /// K, the neighbours in the class among which a partner is drawn: at least 1.
    pub k_neighbors: usize,
    /// Whether neighbours are searched exactly, or approximately among very many rows.
    pub neighbors: Index,
}

impl Default for SmoteParams {
    fn default() -> Self {
        Self { k_neighbors: 5, neighbors: Index::default() }
    }
}

/// [`SmoteParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Smote(SmoteParams);

/// An option of [`SmoteParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SmoteParamsError {
    /// No neighbour to step towards.
    #[error("k_neighbors of smote is 0; it must be at least 1")]
    KNeighbors,
}

impl TryFrom<SmoteParams> for Smote {
    type Error = SmoteParamsError;

    fn try_from(params: SmoteParams) -> Result<Self, SmoteParamsError> {
        if params.k_neighbors == 0 {
            return Err(SmoteParamsError::KNeighbors);
        }
        Ok(Self(params))
    }
}

impl Smote {
    pub(super) fn k_neighbors(&self) -> usize {
        self.0.k_neighbors
    }

    pub(super) fn neighbors(&self) -> Index {
        self.0.neighbors
    }
}
