use expanse_sampling::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ParamsError, svm};

/// The options of [`svm_balance()`](crate::svm_balance()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SvmBalanceParams {
    /// K, the neighbours within the class that a row steps towards: at least 1.
    pub k_neighbors: usize,
    /// C of the support vector machines, the price of a sample on the wrong side: above 0.
    pub svm_c: f64,
    /// The most samples of two classes that a machine is trained on, from 4 to 20000; its memory is 8 bytes times the
    /// square of that.
    pub svm_rows: usize,
    /// Whether neighbours are searched exactly, or approximately among very many rows.
    pub neighbors: Index,
}

impl Default for SvmBalanceParams {
    fn default() -> Self {
        Self { k_neighbors: 5, svm_c: 1.0, svm_rows: 2048, neighbors: Index::default() }
    }
}

/// [`SvmBalanceParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SvmBalance(SvmBalanceParams);

impl TryFrom<SvmBalanceParams> for SvmBalance {
    type Error = ParamsError;

    fn try_from(params: SvmBalanceParams) -> Result<Self, ParamsError> {
        let sampler = "svm-balance";
        if params.k_neighbors == 0 {
            return Err(ParamsError { option: "k_neighbors", sampler, value: 0.0, allowed: "at least 1" });
        }
        svm::check(sampler, params.svm_c, params.svm_rows)?;
        Ok(Self(params))
    }
}

impl SvmBalance {
    pub(super) fn k_neighbors(&self) -> usize {
        self.0.k_neighbors
    }

    pub(super) fn neighbors(&self) -> Index {
        self.0.neighbors
    }

    pub(super) fn svm_c(&self) -> f64 {
        self.0.svm_c
    }

    pub(super) fn svm_rows(&self) -> usize {
        self.0.svm_rows
    }
}
