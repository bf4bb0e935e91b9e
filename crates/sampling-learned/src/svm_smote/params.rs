use expanse_sampling::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ParamsError, svm};

/// The options of [`svm_smote()`](crate::svm_smote()), not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SvmSmoteParams {
    /// K, the neighbours within the class that a row steps towards, or away from: at least 1.
    pub k_neighbors: usize,
    /// M, the neighbours that tell whether a support vector is noise or in danger: at least 1.
    pub m_neighbors: usize,
    /// The longest step away from a neighbour, as a share of the distance to it: above 0, at most 1.
    pub out_step: f32,
    /// C of the support vector machine, the price of a sample on the wrong side: above 0.
    pub svm_c: f64,
    /// The most samples of two classes that a machine is trained on, from 4 to 20000; its memory is 8 bytes times the
    /// square of that.
    pub svm_rows: usize,
    /// Whether neighbours are searched exactly, or approximately among very many rows.
    pub neighbors: Index,
}

impl Default for SvmSmoteParams {
    fn default() -> Self {
        Self {
            k_neighbors: 5,
            m_neighbors: 10,
            out_step: 0.5,
            svm_c: 1.0,
            svm_rows: 4096,
            neighbors: Index::default(),
        }
    }
}

/// [`SvmSmoteParams`] that have been checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SvmSmote(SvmSmoteParams);

impl TryFrom<SvmSmoteParams> for SvmSmote {
    type Error = ParamsError;

    fn try_from(params: SvmSmoteParams) -> Result<Self, ParamsError> {
        let sampler = "svm-smote";
        let refuse = |option, value, allowed| Err(ParamsError { option, sampler, value, allowed });
        if params.k_neighbors == 0 {
            return refuse("k_neighbors", 0.0, "at least 1");
        }
        if params.m_neighbors == 0 {
            return refuse("m_neighbors", 0.0, "at least 1");
        }
        if !(params.out_step > 0.0 && params.out_step <= 1.0) {
            return refuse("out_step", params.out_step.into(), "above 0 and at most 1");
        }
        svm::check(sampler, params.svm_c, params.svm_rows)?;
        Ok(Self(params))
    }
}

impl SvmSmote {
    pub(super) fn k_neighbors(&self) -> usize {
        self.0.k_neighbors
    }

    pub(super) fn m_neighbors(&self) -> usize {
        self.0.m_neighbors
    }

    pub(super) fn neighbors(&self) -> Index {
        self.0.neighbors
    }

    pub(super) fn out_step(&self) -> f32 {
        self.0.out_step
    }

    pub(super) fn svm_c(&self) -> f64 {
        self.0.svm_c
    }

    pub(super) fn svm_rows(&self) -> usize {
        self.0.svm_rows
    }
}
