use expanse_config::Schedule;

/// The learning rate of an epoch, counted from 1: lr · e/w while e ≤ w, the warm-up; then lr · f with the factor
/// of the last milestone m with e > round(m · epochs), 1 before the first.
pub fn learning_rate(schedule: &Schedule, epoch: u64) -> f64 {
    let Schedule { epochs, learning_rate, warmup_epochs, milestones, factors, .. } = schedule;
    if epoch <= *warmup_epochs {
        return learning_rate * epoch as f64 / *warmup_epochs as f64;
    }
    let passed = |share: &f64| epoch > (share * *epochs as f64).round() as u64;
    let last = milestones.iter().zip(factors).rev().find(|(share, _)| passed(share));
    learning_rate * last.map_or(1.0, |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expanse_config::ClassWeighting;

    #[test]
    fn the_papers_schedule() {
        let schedule = Schedule {
            epochs: 200,
            batch_size: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 2e-4,
            warmup_epochs: 5,
            milestones: vec![0.8, 0.9],
            factors: vec![0.01, 0.0001],
            class_weighting: ClassWeighting::None,
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
    }
}
