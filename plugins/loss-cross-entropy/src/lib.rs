//! Cross-entropy with class weights: Σᵢ w_yᵢ · (−log p_yᵢ) / Σᵢ w_yᵢ, with p = softmax(logits).
//!
//! With label smoothing ε the target is 1 − ε for y and ε/K for every class besides, as in Szegedy, Vanhoucke, Ioffe,
//! Shlens, Wojna, *Rethinking the Inception Architecture for Computer Vision* (CVPR 2016), and as PyTorch has it: the
//! term of class c is weighted with w_c, the sum divided by Σᵢ w_yᵢ.

use burn::tensor::{Int, Tensor, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, Plugin, options};

options! {
    /// Options of `cross-entropy`.
    pub struct CrossEntropyOptions {
        /// Share ε of the target that is spread over all classes alike, in [0, 1).
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        pub label_smoothing: f64 = 0.0,
    }
}

struct CrossEntropy {
    label_smoothing: f64,
}

impl Plugin for CrossEntropy {
    const NAME: &'static str = "cross-entropy";
    const SUMMARY: &'static str =
        "−log of the target's probability, weighted by class, as PyTorch's CrossEntropyLoss";
    type Options = CrossEntropyOptions;

    fn new(CrossEntropyOptions { label_smoothing }: CrossEntropyOptions) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&label_smoothing) {
            let message = format!("a label_smoothing of {label_smoothing} is not in [0, 1)");
            return Err(Error::option("label_smoothing", message));
        }
        Ok(Self { label_smoothing })
    }
}

impl Loss for CrossEntropy {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        let log_probabilities = log_softmax(logits, 1);
        let rows = targets.clone().reshape([request.batch, 1]);
        let target = log_probabilities.clone().gather(1, rows).reshape([request.batch]);
        let weights = class_weights.clone().select(0, targets);
        let loss = (target.neg() * weights.clone()).sum() / weights.clone().sum();
        if self.label_smoothing == 0.0 {
            return Ok(loss);
        }
        let every = log_probabilities.neg() * class_weights.reshape([1, request.classes]);
        let spread = every.sum() / weights.sum() / request.classes as f64;
        Ok(loss * (1.0 - self.label_smoothing) + spread * self.label_smoothing)
    }
}

expanse_sdk::export_loss!(CrossEntropy);
