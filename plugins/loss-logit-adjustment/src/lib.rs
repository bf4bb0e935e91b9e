//! Logit adjustment: cross-entropy of logits + τ · log π_c, with π_c = n_c / Σ n, weighted as
//! Σᵢ w_yᵢ · ℓᵢ / Σᵢ w_yᵢ.
//!
//! Source: Menon, Jayasumana, Rawat, Jain, Veit, Kumar, *Long-tail learning via logit adjustment* (ICLR 2021),
//! equation 10.

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, Plugin, options};

options! {
    /// Options of `logit-adjustment`.
    pub struct LogitAdjustmentOptions {
        /// Factor τ of the logarithm of the class's share; 0 is cross-entropy.
        #[schemars(range(min = 0.0, max = 100.0))]
        pub tau: f64 = 1.0,
    }
}

struct LogitAdjustment {
    tau: f64,
}

impl Plugin for LogitAdjustment {
    const NAME: &'static str = "logit-adjustment";
    const SUMMARY: &'static str =
        "cross-entropy whose logits are raised by the log of the class shares (Menon et al. 2021)";
    type Options = LogitAdjustmentOptions;

    fn new(LogitAdjustmentOptions { tau }: LogitAdjustmentOptions) -> Result<Self, Error> {
        if !(0.0..=100.0).contains(&tau) {
            return Err(Error::option("tau", format!("a tau of {tau} is not in [0, 100]")));
        }
        Ok(Self { tau })
    }
}

impl Loss for LogitAdjustment {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        if let Some(class) = request.class_counts.iter().position(|&count| count == 0) {
            let message = format!("class {class} has no samples, and so no logarithm of its share");
            return Err(Error::input(format!("{message}; keep a sample of it, or use another loss")));
        }
        let total = request.class_counts.iter().sum::<u64>() as f64;
        let adjustment = |&count: &u64| (self.tau * (count as f64 / total).ln()) as f32;
        let adjustments: Vec<f32> = request.class_counts.iter().map(adjustment).collect();
        let adjustments = TensorData::new(adjustments, [1, request.classes]);
        let adjustments = Tensor::<2>::from_data(adjustments, &logits.device());
        // The first softmax changes nothing but the size of the numbers: of logits near 10⁴, f32 would lose what is added.
        let adjusted = log_softmax(logits, 1) + adjustments;
        let rows = targets.clone().reshape([request.batch, 1]);
        let target = log_softmax(adjusted, 1).gather(1, rows).reshape([request.batch]);
        let weights = class_weights.select(0, targets);
        Ok((target.neg() * weights.clone()).sum() / weights.sum())
    }
}

expanse_sdk::export_loss!(LogitAdjustment);
