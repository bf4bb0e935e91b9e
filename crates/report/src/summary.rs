/// Mean and half-width of a 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean of the samples.
    pub mean: f64,
    /// Half the width of the interval; infinite for one sample.
    pub half_width: f64,
}

/// Student's 95 % interval of the mean: x̄ ± t₀.₉₇₅(n−1) · s/√n, s with n − 1 in the denominator.
///
/// Without samples, the mean is not a number.
pub fn interval(samples: &[f64]) -> Interval {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    if samples.len() < 2 {
        return Interval { mean, half_width: f64::INFINITY };
    }
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = QUANTILES.get(samples.len() - 2).copied().unwrap_or(1.96);
    Interval { mean, half_width: t * (variance / n).sqrt() }
}

/// t₀.₉₇₅ for 1 to 30 degrees of freedom.
const QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_samples() {
        // By hand: mean 3, s = √2.5, half-width 2.776 · √0.5.
        let Interval { mean, half_width } = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(mean, 3.0);
        assert!((half_width - 2.776 * 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(interval(&[7.0]), Interval { mean: 7.0, half_width: f64::INFINITY });
    }
}
