use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ParamsError;

/// The options of [`kmeans_smote()`](crate::kmeans_smote()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KmeansSmoteParams {
    /// K, the neighbours in class and cluster that a row steps towards: at least 1.
    pub k_neighbors: usize,
    /// The number of clusters: at least 1.
    pub kmeans_estimator: usize,
    /// The share of a class from which a cluster takes part, in [0, 1]; `auto` is half its share of the rows wanted.
    pub cluster_balance_threshold: Automatic,
    /// The exponent of the mean distance in the sparsity of a cluster, at least 0; `auto` grows with the samples.
    pub density_exponent: Automatic,
}

/// A number, or the word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or `auto`")]
pub enum Automatic {
    /// The sampler decides.
    Auto(Auto),
    /// This number.
    Number(f64),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// The word.
    Auto,
}

impl Default for KmeansSmoteParams {
    fn default() -> Self {
        Self {
            k_neighbors: 2,
            kmeans_estimator: 8,
            cluster_balance_threshold: Automatic::Auto(Auto::Auto),
            density_exponent: Automatic::Auto(Auto::Auto),
        }
    }
}

/// [`KmeansSmoteParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KmeansSmote(KmeansSmoteParams);

impl TryFrom<KmeansSmoteParams> for KmeansSmote {
    type Error = ParamsError;

    fn try_from(params: KmeansSmoteParams) -> Result<Self, ParamsError> {
        let refuse =
            |option, value, allowed| Err(ParamsError { option, sampler: "kmeans-smote", value, allowed });
        if params.k_neighbors == 0 {
            return refuse("k_neighbors", 0.0, "at least 1");
        }
        if params.kmeans_estimator == 0 {
            return refuse("kmeans_estimator", 0.0, "at least 1");
        }
        match (params.cluster_balance_threshold, params.density_exponent) {
            (Automatic::Number(share), _) if !(0.0..=1.0).contains(&share) => {
                refuse("cluster_balance_threshold", share, "in [0, 1], or `auto`")
            }
            (_, Automatic::Number(exponent)) if !(exponent.is_finite() && exponent >= 0.0) => {
                refuse("density_exponent", exponent, "finite and at least 0, or `auto`")
            }
            _ => Ok(Self(params)),
        }
    }
}

impl KmeansSmote {
    pub(super) fn k_neighbors(&self) -> usize {
        self.0.k_neighbors
    }

    pub(super) fn clusters(&self) -> usize {
        self.0.kmeans_estimator
    }

    /// The share of a class from which a cluster takes part, if the class has `share` of all rows wanted. One cluster
    /// alone takes part in any case.
    pub(super) fn threshold(&self, share: f64) -> f64 {
        match self.0.cluster_balance_threshold {
            _ if self.0.kmeans_estimator == 1 => 0.0,
            Automatic::Auto(_) => share / 2.0,
            Automatic::Number(threshold) => threshold,
        }
    }

    pub(super) fn density_exponent(&self) -> Option<f64> {
        match self.0.density_exponent {
            Automatic::Auto(_) => None,
            Automatic::Number(exponent) => Some(exponent),
        }
    }
}
