use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of [`random()`](crate::random()), not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomParams {
    /// How far copies are scattered, as a multiple of the rule-of-thumb width: at least 0. Without it, and at
    /// 0, copies are exact.
    pub shrinkage: Option<f32>,
}

/// [`RandomParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Random(RandomParams);

/// An option of [`RandomParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RandomParamsError {
    /// No width of a distribution.
    #[error(
        "shrinkage of random is {shrinkage}; it must be finite and at least 0, or left out for exact copies"
    )]
    Shrinkage {
        /// The shrinkage given.
        shrinkage: f32,
    },
}

impl TryFrom<RandomParams> for Random {
    type Error = RandomParamsError;

    fn try_from(params: RandomParams) -> Result<Self, RandomParamsError> {
        match params.shrinkage {
            Some(shrinkage) if !(shrinkage.is_finite() && shrinkage >= 0.0) => {
                Err(RandomParamsError::Shrinkage { shrinkage })
            }
            _ => Ok(Self(params)),
        }
    }
}

impl Random {
    pub(super) fn shrinkage(&self) -> Option<f32> {
        self.0.shrinkage
    }
}
