//! Cross-entropy with class weights: Σ w_y · (−log p_y) / Σ w_y, with p = softmax(logits).

use burn::tensor::{Int, Tensor, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, NoOptions, Plugin};

struct CrossEntropy;

impl Plugin for CrossEntropy {
    const NAME: &'static str = "cross-entropy";
    const SUMMARY: &'static str =
        "−log of the target's probability, weighted by class, as PyTorch's CrossEntropyLoss";
    type Options = NoOptions;

    fn new(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
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
        let target = log_probabilities.gather(1, rows).reshape([request.batch]);
        let weights = class_weights.select(0, targets);
        Ok((target.neg() * weights.clone()).sum() / weights.sum())
    }
}

expanse_sdk::export_loss!(CrossEntropy);
