//! Balanced softmax: cross-entropy of logits + log n_c, weighted as Σᵢ w_yᵢ · ℓᵢ / Σᵢ w_yᵢ.
//!
//! Source: Ren, Yu, Sheng, Ma, Zhao, Yi, Li, *Balanced Meta-Softmax for Long-Tailed Visual Recognition*
//! (NeurIPS 2020).

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, NoOptions, Plugin};

struct BalancedSoftmax;

impl Plugin for BalancedSoftmax {
    const NAME: &'static str = "balanced-softmax";
    const SUMMARY: &'static str =
        "cross-entropy whose logits are raised by the log of the class counts (Ren et al. 2020)";
    type Options = NoOptions;

    fn new(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Loss for BalancedSoftmax {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        if let Some(class) = request.class_counts.iter().position(|&count| count == 0) {
            let message = format!("class {class} has no samples, and so no logarithm of its count");
            return Err(Error::input(format!("{message}; keep a sample of it, or use another loss")));
        }
        let logs: Vec<f32> = request.class_counts.iter().map(|&count| (count as f64).ln() as f32).collect();
        let logs = Tensor::<2>::from_data(TensorData::new(logs, [1, request.classes]), &logits.device());
        let rows = targets.clone().reshape([request.batch, 1]);
        // The first softmax changes nothing but the size of the numbers: of logits near 10⁴, f32 would lose what is added.
        let target = log_softmax(log_softmax(logits, 1) + logs, 1).gather(1, rows).reshape([request.batch]);
        let weights = class_weights.select(0, targets);
        Ok((target.neg() * weights.clone()).sum() / weights.sum())
    }
}

expanse_sdk::export_loss!(BalancedSoftmax);
