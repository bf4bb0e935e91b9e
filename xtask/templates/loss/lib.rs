//! __NAME__: cross-entropy that counts what is already right for less.
//!
//! loss = Σ w_y · (1 − p_y)^γ · (−log p_y) / Σ w_y, with p = softmax(logits). This is an example that works (Lin et
//! al., *Focal Loss for Dense Object Detection*, ICCV 2017). Put your own formula in its place.

use expanse_sdk::{
    Error, Loss, LossRequest, Plugin,
    burn::tensor::{Int, Tensor, activation::log_softmax},
    options,
};

options! {
    /// Options of `__NAME__`.
    pub struct __TYPE__Options {
        /// γ: how much less a sample counts that is already right; 0 is cross-entropy.
        #[schemars(range(min = 0.0, max = 10.0))]
        pub gamma: f32 = 2.0,
    }
}

struct __TYPE__ {
    gamma: f32,
}

impl Plugin for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "cross-entropy that counts what is already right for less";
    const CITATION: &'static str = "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017";
    type Options = __TYPE__Options;

    fn new(__TYPE__Options { gamma }: __TYPE__Options) -> Result<Self, Error> {
        if !(0.0..=10.0).contains(&gamma) {
            return Err(Error::option("gamma", format!("a gamma of {gamma} is not in 0 to 10")));
        }
        Ok(Self { gamma })
    }
}

impl Loss for __TYPE__ {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        let rows = targets.clone().reshape([request.batch, 1]);
        let log_p = log_softmax(logits, 1).gather(1, rows).reshape([request.batch]);
        // At p = 1 the power has no gradient for γ < 1.
        let miss = (log_p.clone().exp().neg() + 1.0).clamp_min(1e-6);
        let weights = class_weights.select(0, targets);
        let losses = miss.powf_scalar(self.gamma) * log_p.neg();
        Ok((losses * weights.clone()).sum() / weights.sum())
    }
}

expanse_sdk::export_loss!(__TYPE__);

#[cfg(test)]
mod tests {
    use expanse_sdk::burn::tensor::Device;

    use super::*;

    fn loss(gamma: f32) -> f32 {
        let device = Device::flex();
        let request = LossRequest { batch: 1, classes: 2, class_counts: vec![1, 1] };
        let plugin = __TYPE__::new(__TYPE__Options { gamma }).unwrap();
        let logits = Tensor::zeros([1, 2], &device);
        let (targets, weights) = (Tensor::from_ints([0], &device), Tensor::ones([2], &device));
        plugin.forward(&request, logits, targets, weights).unwrap().into_scalar()
    }

    #[test]
    fn an_even_guess_costs_what_the_formula_says() {
        // p = 1/2: (1/2)^γ · log 2.
        assert!((loss(0.0) - 2f32.ln()).abs() < 1e-6);
        assert!((loss(2.0) - 0.25 * 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_gamma_out_of_range_is_refused() {
        assert!(__TYPE__::new(__TYPE__Options { gamma: -1.0 }).is_err());
    }
}
