//! Support vector machines of two classes.

use std::ops::RangeInclusive;

use expanse_domain::{MatrixView, Seed};
use expanse_sampling::{SamplingError, draw_rows};
use linfa::{Dataset, traits::Fit};
use linfa_svm::Svm;
use ndarray::{Array1, Array2, ArrayView1};

use crate::ParamsError;

/// The memory of a machine is its kernel matrix, 8 bytes for each pair of its samples.
const ROWS: RangeInclusive<usize> = 4..=20_000;

/// Checks the options that samplers with support vector machines share.
pub(crate) fn check(sampler: &'static str, svm_c: f64, svm_rows: usize) -> Result<(), ParamsError> {
    let refuse = |option, value, allowed| Err(ParamsError { option, sampler, value, allowed });
    if !(svm_c.is_finite() && svm_c > 0.0) {
        return refuse("svm_c", svm_c, "finite and above 0");
    }
    if !ROWS.contains(&svm_rows) {
        return refuse("svm_rows", svm_rows as f64, "at least 4 and at most 20000");
    }
    Ok(())
}

/// A machine with the kernel exp(−γ ‖a − b‖²) that tells two classes apart: C-SVC by sequential minimal optimisation
/// with a tolerance of 1e-3, as LIBSVM's, whose support vectors it finds.
pub(crate) struct Machine {
    svm: Svm<f64, bool>,
}

impl Machine {
    /// Trains on the rows of `points`, those of the first class being `first`; class and sampler are for messages.
    pub(crate) fn train(
        (points, first): (Array2<f64>, Vec<bool>),
        (c, gamma): (f64, f64),
        (class, sampler): (usize, &'static str),
    ) -> Result<Self, SamplingError> {
        let params = Svm::<f64, bool>::params().pos_neg_weights(c, c).eps(1e-3).gaussian_kernel(1.0 / gamma);
        let svm = params.fit(&Dataset::new(points, Array1::from(first)));
        svm.map(|svm| Self { svm }).map_err(|error| SamplingError::Model {
            class: class as u32,
            model: "support vector machine",
            sampler,
            message: error.to_string(),
        })
    }

    /// The places, among the points trained on, of the support vectors.
    pub(crate) fn support(&self) -> impl Iterator<Item = usize> {
        // What linfa itself takes for a weight.
        let weighs = |&(_, weight): &(usize, &f64)| weight.abs() > 100.0 * f64::EPSILON;
        self.svm.alpha.iter().enumerate().filter(weighs).map(|(place, _)| place)
    }

    /// Whether a point is of the first class.
    pub(crate) fn is_first(&self, point: ArrayView1<'_, f64>) -> bool {
        self.svm.weighted_sum(&point) - self.svm.rho >= 0.0
    }
}

/// 1 / (columns · variance of all values), as scikit-learn's `gamma="scale"`; 1 where all values are equal.
pub(crate) fn scale_gamma(points: MatrixView<'_>) -> f64 {
    let values = || (0..points.rows()).flat_map(|row| points.row(row)).map(|&value| f64::from(value));
    let n = (points.rows() * points.cols()) as f64;
    let mean = values().sum::<f64>() / n;
    let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    if variance > 0.0 { 1.0 / (points.cols() as f64 * variance) } else { 1.0 }
}

/// Those of two classes' rows that a machine is trained on: all, or `most` of them. The smaller class then keeps up to
/// half the places, the other gets the rest; which rows it is depends on the seed.
pub(crate) fn thin(a: &[usize], b: &[usize], most: usize, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    if a.len() + b.len() <= most {
        return (a.to_vec(), b.to_vec());
    }
    let smaller = a.len().min(b.len()).min(most / 2);
    let (of_a, of_b) = if a.len() <= b.len() { (smaller, most - smaller) } else { (most - smaller, smaller) };
    let seed = |which| seed.derive("svm-rows", &[which]);
    (draw_rows(a, of_a, seed(0)), draw_rows(b, of_b, seed(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_smaller_class_up_to_half() {
        let rows = |range: std::ops::Range<usize>| range.collect::<Vec<_>>();
        let check = |a: usize, b: usize, most, expected| {
            let (a, b) = thin(&rows(0..a), &rows(100..100 + b), most, Seed(1));
            assert!(a.is_sorted() && b.is_sorted());
            assert_eq!((a.len(), b.len()), expected);
        };
        check(5, 6, 11, (5, 6));
        check(3, 60, 20, (3, 17));
        check(60, 3, 20, (17, 3));
        check(50, 60, 21, (10, 11));
    }

    #[test]
    fn a_machine_tells_a_ring_from_its_middle() {
        let angle = |i: usize| i as f64 * std::f64::consts::TAU / 20.0;
        let points = Array2::from_shape_fn((40, 2), |(i, column)| {
            let radius = if i < 20 { 3.0 } else { 0.5 };
            radius * if column == 0 { angle(i).cos() } else { angle(i).sin() }
        });
        let machine =
            Machine::train((points.clone(), (0..40).map(|i| i < 20).collect()), (1.0, 0.5), (0, "x"))
                .unwrap();
        assert!((0..40).all(|i| machine.is_first(points.row(i)) == (i < 20)));
        assert!(machine.support().count() > 2);
    }
}
