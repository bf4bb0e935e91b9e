use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of [`mixup()`](crate::mixup()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MixupParams {
    /// α of the distribution of shares, Beta(α, α): above 0, at most 1000; 1 is uniform, less mixes less.
    pub alpha: f32,
}

impl Default for MixupParams {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

/// [`MixupParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixup(MixupParams);

/// An option of [`MixupParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MixupParamsError {
    /// No distribution.
    #[error("alpha of mixup is {alpha}; it must be above 0 and at most {LARGEST_ALPHA}")]
    Alpha {
        /// The α given.
        alpha: f32,
    },
}

/// Beyond this all shares are one half.
const LARGEST_ALPHA: f32 = 1000.0;

impl TryFrom<MixupParams> for Mixup {
    type Error = MixupParamsError;

    fn try_from(params: MixupParams) -> Result<Self, MixupParamsError> {
        let MixupParams { alpha } = params;
        if is_alpha(alpha) { Ok(Self(params)) } else { Err(MixupParamsError::Alpha { alpha }) }
    }
}

impl Mixup {
    pub(super) fn alpha(&self) -> f32 {
        self.0.alpha
    }
}

/// The options of [`remix()`](crate::remix()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemixParams {
    /// α of the distribution of shares, Beta(α, α): above 0, at most 1000.
    pub alpha: f32,
    /// κ, how many times larger a class has to be for the smaller to take the label: above 1.
    pub kappa: f32,
    /// τ, the share of the larger class from which the smaller takes the label no more: in [0, 1].
    pub tau: f32,
}

impl Default for RemixParams {
    fn default() -> Self {
        Self { alpha: 1.0, kappa: 3.0, tau: 0.5 }
    }
}

/// [`RemixParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remix(RemixParams);

/// An option of [`RemixParams`] is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RemixParamsError {
    /// No distribution.
    #[error("alpha of remix is {alpha}; it must be above 0 and at most {LARGEST_ALPHA}")]
    Alpha {
        /// The α given.
        alpha: f32,
    },
    /// A class cannot be larger by less than itself.
    #[error("kappa of remix is {kappa}; it must be finite and above 1")]
    Kappa {
        /// The κ given.
        kappa: f32,
    },
    /// No share.
    #[error("tau of remix is {tau}; it must lie in [0, 1]")]
    Tau {
        /// The τ given.
        tau: f32,
    },
}

impl TryFrom<RemixParams> for Remix {
    type Error = RemixParamsError;

    fn try_from(params: RemixParams) -> Result<Self, RemixParamsError> {
        let RemixParams { alpha, kappa, tau } = params;
        if !is_alpha(alpha) {
            return Err(RemixParamsError::Alpha { alpha });
        }
        if !(kappa.is_finite() && kappa > 1.0) {
            return Err(RemixParamsError::Kappa { kappa });
        }
        if !(0.0..=1.0).contains(&tau) {
            return Err(RemixParamsError::Tau { tau });
        }
        Ok(Self(params))
    }
}

impl Remix {
    pub(super) fn alpha(&self) -> f32 {
        self.0.alpha
    }

    pub(super) fn kappa(&self) -> f64 {
        self.0.kappa.into()
    }

    pub(super) fn tau(&self) -> f32 {
        self.0.tau
    }
}

fn is_alpha(alpha: f32) -> bool {
    alpha > 0.0 && alpha <= LARGEST_ALPHA
}
