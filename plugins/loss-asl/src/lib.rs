//! Asymmetric loss for samples of one label: Σᵢ w_yᵢ · ℓᵢ / Σᵢ w_yᵢ, with p = softmax(logits) and
//! ℓ = −Σ_c t_c · a_c · log p_c, where t_c = 1 − ε + ε/K and a_c = (1 − p_c)^γ₊ for the target, t_c = ε/K and
//! a_c = p_c^γ₋ for the other classes.
//!
//! Source: Ridnik, Ben-Baruch et al., *Asymmetric Loss For Multi-Label Classification* (ICCV 2021), in the form for
//! one label of its published code (`ASLSingleLabel`).

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, Plugin, options};

options! {
    /// Options of `asl`.
    pub struct AslOptions {
        /// Exponent γ₊ of (1 − p) for the target.
        #[schemars(range(min = 0.0, max = 100.0))]
        pub gamma_positive: f64 = 0.0,
        /// Exponent γ₋ of p for the other classes.
        #[schemars(range(min = 0.0, max = 100.0))]
        pub gamma_negative: f64 = 4.0,
        /// Share ε of the target that is spread over all classes alike, in [0, 1).
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        pub label_smoothing: f64 = 0.1,
    }
}

struct Asl(AslOptions);

/// The smallest 1 − p that is raised to γ₊: for γ₊ < 1 the slope at 0 has no end, and would make NaN of a gradient
/// of 0.
const LEAST: f64 = 1e-30;

impl Plugin for Asl {
    const NAME: &'static str = "asl";
    const SUMMARY: &'static str =
        "cross-entropy that focuses on targets and other classes unequally (Ridnik et al. 2021)";
    type Options = AslOptions;

    fn new(options: AslOptions) -> Result<Self, Error> {
        let gammas = [("gamma_positive", options.gamma_positive), ("gamma_negative", options.gamma_negative)];
        for (name, gamma) in gammas {
            if !(0.0..=100.0).contains(&gamma) {
                return Err(Error::option(name, format!("a {name} of {gamma} is not in [0, 100]")));
            }
        }
        let smoothing = options.label_smoothing;
        if !(0.0..1.0).contains(&smoothing) {
            let message = format!("a label_smoothing of {smoothing} is not in [0, 1)");
            return Err(Error::option("label_smoothing", message));
        }
        Ok(Self(options))
    }
}

impl Loss for Asl {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        let AslOptions { gamma_positive, gamma_negative, label_smoothing } = self.0;
        let classes = request.classes;
        // Row c holds 1 at c and 0 elsewhere.
        let mut identity = vec![0f32; classes * classes];
        identity.iter_mut().step_by(classes + 1).for_each(|value| *value = 1.0);
        let identity = TensorData::new(identity, [classes, classes]);
        let identity = Tensor::<2>::from_data(identity, &logits.device());
        let target = identity.select(0, targets.clone());
        let other = target.clone().neg() + 1.0;

        let log_p = log_softmax(logits, 1);
        let positive = (log_p.clone().exp().neg() + 1.0).clamp_min(LEAST).powf_scalar(gamma_positive);
        // p^γ as exp(γ · log p), which has a slope also where p is 0.
        let negative = (log_p.clone() * gamma_negative).exp();
        let spread = label_smoothing / classes as f64;
        let factor = target * positive * (1.0 - label_smoothing + spread) + other * negative * spread;
        let terms = (factor * log_p).sum_dim(1).reshape([request.batch]).neg();
        let weights = class_weights.select(0, targets);
        Ok((terms * weights.clone()).sum() / weights.sum())
    }
}

expanse_sdk::export_loss!(Asl);
