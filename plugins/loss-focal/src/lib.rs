//! Focal loss: Σᵢ w_yᵢ · (1 − p_yᵢ)^γ · (−log p_yᵢ) / Σᵢ w_yᵢ, with p = softmax(logits).
//!
//! Source: Lin, Goyal, Girshick, He, Dollár, *Focal Loss for Dense Object Detection* (ICCV 2017).

use burn::tensor::{Int, Tensor, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, Plugin, options};

options! {
    /// Options of `focal`.
    pub struct FocalOptions {
        /// Exponent γ of the factor (1 − p)^γ; 0 is cross-entropy.
        #[schemars(range(min = 0.0, max = 100.0))]
        pub gamma: f64 = 2.0,
        /// Compute as the code of Cao et al. (LDAM, 2019) does: p^w takes the place of p, and the mean is over samples.
        pub compat: bool = false,
    }
}

struct Focal(FocalOptions);

/// The smallest 1 − p that is raised to γ: for γ < 1 the slope at 0 has no end, and would make NaN of a gradient of 0.
const LEAST: f64 = 1e-30;

impl Plugin for Focal {
    const NAME: &'static str = "focal";
    const SUMMARY: &'static str =
        "cross-entropy with less weight on samples that are right already (Lin et al. 2017)";
    type Options = FocalOptions;

    fn new(options: FocalOptions) -> Result<Self, Error> {
        if !(0.0..=100.0).contains(&options.gamma) {
            return Err(Error::option("gamma", format!("a gamma of {} is not in [0, 100]", options.gamma)));
        }
        Ok(Self(options))
    }
}

impl Loss for Focal {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        let rows = targets.clone().reshape([request.batch, 1]);
        let log_p = log_softmax(logits, 1).gather(1, rows).reshape([request.batch]);
        let weights = class_weights.select(0, targets);
        let weighted = log_p.clone() * weights.clone();
        let focused = if self.0.compat { weighted.clone() } else { log_p };
        let factor = (focused.exp().neg() + 1.0).clamp_min(LEAST).powf_scalar(self.0.gamma);
        let terms = (factor * weighted).neg();
        Ok(if self.0.compat { terms.mean() } else { terms.sum() / weights.sum() })
    }
}

expanse_sdk::export_loss!(Focal);
