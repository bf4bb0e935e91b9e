use crate::ratio;
use expanse_domain::{Matrix, MatrixView};

/// The bins of the expected calibration error.
pub const BINS: usize = 15;

/// The expected calibration error, Σ_b (n_b / N) · |accuracy_b − confidence_b|, in `[0, 1]`.
///
/// Each prediction is its confidence, in `[0, 1]`, and whether it is right. The bins b are [`BINS`] equal parts
/// of `(0, 1]`, each closed on the right; a confidence of 0 falls into the first. 0 without predictions.
///
/// Source: Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*.
pub fn expected_calibration_error(predictions: impl IntoIterator<Item = (f64, bool)>) -> f64 {
    let mut surplus = [0.0; BINS];
    let mut total = 0_u64;
    for (confidence, right) in predictions {
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        surplus[bin] += f64::from(u8::from(right)) - confidence;
        total += 1;
    }
    ratio(surplus.iter().map(|surplus| surplus.abs()).sum(), total as f64)
}

/// The probabilities e^z_c / Σ_k e^z_k of every row of logits z.
///
/// Computed in `f64` with the largest logit of the row subtracted, so that nothing overflows. A row that holds
/// NaN or +∞, or nothing but −∞, gives NaN.
///
/// # Shapes
///
/// - `logits`: `[rows, classes]`
/// - output: `[rows, classes]`
pub fn softmax(logits: MatrixView<'_>) -> Matrix {
    let mut probabilities = Matrix::zeros(logits.rows(), logits.cols());
    let rows = probabilities.as_mut_slice().chunks_mut(logits.cols().max(1));
    for (index, probabilities) in rows.enumerate() {
        let logits = logits.row(index);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let power = |logit: f32| (f64::from(logit) - f64::from(largest)).exp();
        let sum: f64 = logits.iter().copied().map(power).sum();
        for (probability, &logit) in probabilities.iter_mut().zip(logits) {
            *probability = (power(logit) / sum) as f32;
        }
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_by_hand() {
        let check = |predictions: &[(f64, bool)], expected: f64| {
            let error = expected_calibration_error(predictions.iter().copied());
            assert!((error - expected).abs() < 1e-12, "{predictions:?}: {error}");
        };
        check(&[], 0.0);
        check(&[(1.0, true), (1.0, true)], 0.0);
        check(&[(1.0, false), (0.0, true)], 1.0);
        // One bin, so the surplus of one is made up by the other; two bins, so it is not.
        check(&[(0.5, true), (0.5, false)], 0.0);
        check(&[(0.5, true), (0.7, false)], (0.5 + 0.7) / 2.0);
        // 0.25 lies in (3/15, 4/15], as 0.21 does; 0.2 in f64 is the right end of the bin before.
        check(&[(0.25, true), (0.21, false)], 0.54 / 2.0);
        check(&[(0.2, true), (0.21, false)], (0.8 + 0.21) / 2.0);
    }

    #[test]
    fn softmax_does_not_overflow() {
        let check = |logits: [f32; 2], expected: [f32; 2]| {
            let view = MatrixView::new(&logits, 1, 2, 2).unwrap();
            assert_eq!(softmax(view).as_slice(), expected);
        };
        check([0.0, 0.0], [0.5, 0.5]);
        check([1e30, 0.0], [1.0, 0.0]);
        check([-1e30, f32::NEG_INFINITY], [1.0, 0.0]);
        check([3.0_f32.ln() + 100.0 - 3.0_f32.ln(), 100.0], [0.5, 0.5]);
        let nan = softmax(MatrixView::new(&[f32::NAN, 0.0, 0.0, 2.0_f32.ln()], 2, 2, 2).unwrap());
        assert!(nan.row(0).iter().all(|p| p.is_nan()));
        assert!((nan.row(1)[1] - 2.0 / 3.0).abs() < 1e-7);
    }
}
