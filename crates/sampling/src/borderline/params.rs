use expanse_neighbors::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of [`borderline_smote()`](crate::borderline_smote()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BorderlineParams {
    /// K, the neighbours that a row steps towards: at least 1.
    pub k_neighbors: usize,
    /// M, the neighbours that tell whether a sample is in danger: at least 1.
    pub m_neighbors: usize,
    /// Whether rows step towards neighbours of the class alone, or of all classes.
    pub kind: BorderlineKind,
    /// Whether neighbours are searched exactly, or approximately among very many rows.
    pub neighbors: Index,
}

/// Which neighbours rows step towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BorderlineKind {
    /// Those of the class.
    #[default]
    #[serde(rename = "borderline-1")]
    Borderline1,
    /// Those of all classes, half the way at most towards one of another class.
    #[serde(rename = "borderline-2")]
    Borderline2,
}

impl Default for BorderlineParams {
    fn default() -> Self {
        Self { k_neighbors: 5, m_neighbors: 10, kind: BorderlineKind::default(), neighbors: Index::default() }
    }
}

/// [`BorderlineParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Borderline(BorderlineParams);

/// An option of [`BorderlineParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{option} of borderline-smote is 0; it must be at least 1")]
pub struct BorderlineParamsError {
    /// The option.
    pub option: &'static str,
}

impl TryFrom<BorderlineParams> for Borderline {
    type Error = BorderlineParamsError;

    fn try_from(params: BorderlineParams) -> Result<Self, BorderlineParamsError> {
        match params {
            BorderlineParams { k_neighbors: 0, .. } => Err(BorderlineParamsError { option: "k_neighbors" }),
            BorderlineParams { m_neighbors: 0, .. } => Err(BorderlineParamsError { option: "m_neighbors" }),
            params => Ok(Self(params)),
        }
    }
}

impl Borderline {
    pub(super) fn k_neighbors(&self) -> usize {
        self.0.k_neighbors
    }

    pub(super) fn m_neighbors(&self) -> usize {
        self.0.m_neighbors
    }

    pub(super) fn neighbors(&self) -> Index {
        self.0.neighbors
    }

    pub(super) fn kind(&self) -> BorderlineKind {
        self.0.kind
    }
}
