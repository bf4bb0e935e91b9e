use std::fmt;

use serde::{Deserialize, Serialize};

/// How parameters follow their gradients, as in PyTorch. With the learning rate η, which is given at each step, and
/// clipped gradients g:
///
/// - SGD: g ← g + λ·p; v ← μ·v + g (v = g at first); p ← p − η·v.
/// - Nesterov: the same, but p ← p − η·(g + μ·v).
/// - Adam: g ← g + λ·p; m ← β₁·m + (1 − β₁)·g; s ← β₂·s + (1 − β₂)·g²; p ← p − η·m̂ / (√ŝ + ε), where in step t
///   m̂ = m / (1 − β₁ᵗ) and ŝ = s / (1 − β₂ᵗ). β₁ is `momentum`, β₂ [`ADAM_SECOND`], ε [`ADAM_EPSILON`].
/// - AdamW: the same, but λ does not go into g: p ← p − η·λ·p comes before.
///
/// Steps are those of the session. Gradients are clipped all together: g ← g · min(1, clip / (‖g‖ + 10⁻⁶)).
///
/// Sources: Sutskever et al., *On the importance of initialization and momentum in deep learning* (ICML 2013); Kingma, Ba,
/// *Adam: A Method for Stochastic Optimization* (ICLR 2015); Loshchilov, Hutter, *Decoupled Weight Decay Regularization*
/// (ICLR 2019); Pascanu, Mikolov, Bengio, *On the difficulty of training recurrent neural networks* (ICML 2013).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// μ, or β₁, in `[0, 1)`.
    pub momentum: f64,
    /// λ, at least 0; applied to every trainable parameter.
    pub weight_decay: f64,
    /// The formula. Only what is not SGD is written: a backend from before there was a choice reads SGD and refuses the
    /// rest.
    #[serde(default, skip_serializing_if = "Method::is_sgd")]
    pub method: Method,
    /// The largest norm of all gradients together, above 0; without one nothing is clipped. Written only where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// The formula of an [`Optimizer`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Stochastic gradient descent with momentum.
    #[default]
    Sgd,
    /// The same, looking ahead.
    Nesterov,
    /// Steps in units of the gradient's own size.
    Adam,
    /// The same, with weight decay apart from the gradient.
    AdamW,
}

/// β₂ of Adam, as in PyTorch.
pub const ADAM_SECOND: f64 = 0.999;
/// ε of Adam, as in PyTorch.
pub const ADAM_EPSILON: f64 = 1e-8;
/// What keeps the factor of clipping finite, as in PyTorch.
pub const CLIP_EPSILON: f64 = 1e-6;

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sgd, Self::Nesterov, Self::Adam, Self::AdamW];

    fn is_sgd(&self) -> bool {
        *self == Self::Sgd
    }

    /// Whether it keeps a mean of squared gradients, s, and counts its steps.
    pub fn has_squares(self) -> bool {
        matches!(self, Self::Adam | Self::AdamW)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sgd => "sgd",
            Self::Nesterov => "nesterov",
            Self::Adam => "adam",
            Self::AdamW => "adamw",
        })
    }
}

impl Optimizer {
    /// Stochastic gradient descent without clipping.
    pub const fn sgd(momentum: f64, weight_decay: f64) -> Self {
        Self { momentum, weight_decay, method: Method::Sgd, clip_norm: None }
    }

    /// What clipping leaves of gradients that have this norm all together.
    pub fn clipped(&self, norm: f64) -> f64 {
        self.clip_norm.map_or(1.0, |limit| (limit / (norm + CLIP_EPSILON)).min(1.0))
    }

    /// How far one value p moves in a step, counted from 1, whose clipped gradient is g. The moments are v, or m and s, and
    /// 0 at first. Backends do the same to many values at a time.
    pub fn way(&self, step: u64, learning_rate: f64, p: f64, g: f64, moments: &mut [f64; 2]) -> f64 {
        let Self { method, momentum, weight_decay, .. } = *self;
        let [first, second] = moments;
        let coupled = if method == Method::AdamW { g } else { g + weight_decay * p };
        match method {
            Method::Sgd | Method::Nesterov => {
                *first = momentum * *first + coupled;
                -learning_rate * if method == Method::Sgd { *first } else { coupled + momentum * *first }
            }
            Method::Adam | Method::AdamW => {
                *first = momentum * *first + (1.0 - momentum) * coupled;
                *second = ADAM_SECOND * *second + (1.0 - ADAM_SECOND) * coupled * coupled;
                let mean = *first / Self::share_of_mean(momentum, step);
                let square = *second / Self::share_of_mean(ADAM_SECOND, step);
                let decayed = if method == Method::AdamW { learning_rate * weight_decay * p } else { 0.0 };
                -learning_rate * mean / (square.sqrt() + ADAM_EPSILON) - decayed
            }
        }
    }

    /// 1 − βᵗ: the share of the whole that a mean of t steps, begun at 0, has.
    pub fn share_of_mean(beta: f64, steps: u64) -> f64 {
        1.0 - beta.powf(steps as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_knows_sgd_alone_reads_sgd_and_refuses_the_rest() {
        let written = |optimizer: Optimizer| serde_json::to_string(&optimizer).unwrap();
        let sgd = Optimizer::sgd(0.9, 0.0);
        assert_eq!(written(sgd), r#"{"momentum":0.9,"weight_decay":0.0}"#);
        assert_eq!(serde_json::from_str::<Optimizer>(&written(sgd)).unwrap(), sgd);
        let adam = Optimizer { method: Method::AdamW, clip_norm: Some(1.0), ..sgd };
        let text = written(adam);
        assert_eq!(text, r#"{"momentum":0.9,"weight_decay":0.0,"method":"adamw","clip_norm":1.0}"#);
        assert_eq!(serde_json::from_str::<Optimizer>(&text).unwrap(), adam);
        for method in Method::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.to_string());
        }
    }
}
