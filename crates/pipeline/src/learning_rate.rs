use std::f64::consts::PI;

use expanse_config::{Decay, Schedule};

/// The learning rate of an epoch e, counted from 1: lr · e/w while e ≤ w, the warm-up; then lr · f.
///
/// With the decay by steps f is the factor of the last milestone m with e > round(m · epochs), 1 before the first; with
/// the cosine it is (1 + cos(π · (e − 1 − w) / (epochs − w))) / 2. Source of the cosine, of one period: Loshchilov,
/// Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts* (ICLR 2017).
pub fn learning_rate(schedule: &Schedule, epoch: u64) -> f64 {
    let Schedule { epochs, learning_rate, warmup_epochs, milestones, factors, .. } = schedule;
    if epoch <= *warmup_epochs {
        return learning_rate * epoch as f64 / *warmup_epochs as f64;
    }
    if schedule.decay == Decay::Cosine {
        let share = (epoch - 1 - warmup_epochs) as f64 / (epochs - warmup_epochs) as f64;
        return learning_rate * (1.0 + (PI * share).cos()) / 2.0;
    }
    let passed = |share: &f64| epoch > (share * *epochs as f64).round() as u64;
    let last = milestones.iter().zip(factors).rev().find(|(share, _)| passed(share));
    learning_rate * last.map_or(1.0, |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expanse_config::{ClassWeighting, OptimizerName};

    #[test]
    fn warm_up_steps_of_the_paper_and_half_a_cosine() {
        let schedule = Schedule {
            epochs: 200,
            batch_size: 128,
            optimizer: OptimizerName::Sgd,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 2e-4,
            clip_norm: 0.0,
            warmup_epochs: 5,
            decay: Decay::Step,
            milestones: vec![0.8, 0.9],
            factors: vec![0.01, 0.0001],
            class_weighting: ClassWeighting::None,
            class_weighting_from: 0.0,
        };
        for (epoch, expected) in [
            (1, 0.02),
            (4, 0.08),
            (5, 0.1),
            (6, 0.1),
            (160, 0.1),
            (161, 0.001),
            (180, 0.001),
            (181, 0.00001),
            (200, 0.00001),
        ] {
            let rate = learning_rate(&schedule, epoch);
            assert!((rate - expected).abs() < 1e-15, "epoch {epoch}: {rate}");
        }
        let plain = Schedule { warmup_epochs: 0, milestones: vec![], factors: vec![], ..schedule };
        assert_eq!(learning_rate(&plain, 1), 0.1);
        let cosine = Schedule { epochs: 8, warmup_epochs: 4, decay: Decay::Cosine, ..plain };
        let half = std::f64::consts::FRAC_1_SQRT_2 / 2.0;
        for (epoch, share) in [(2, 0.5), (4, 1.0), (5, 1.0), (6, 0.5 + half), (7, 0.5), (8, 0.5 - half)] {
            let rate = learning_rate(&cosine, epoch);
            assert!((rate - 0.1 * share).abs() < 1e-15, "epoch {epoch}: {rate}");
        }
        let all_warm = Schedule { epochs: 4, ..cosine };
        assert_eq!(learning_rate(&all_warm, 4), 0.1);
    }
}
