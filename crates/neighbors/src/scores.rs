use std::ops::Range;

use expanse_domain::MatrixView;
use ndarray::{Array2, ArrayView2, linalg::general_mat_mul, s};

/// Rows packed for one matrix product, with what bounds the error of that product.
pub(crate) struct Packed {
    /// `f32[rows, columns]`, centred and scaled.
    values: Array2<f32>,
    /// ‖p‖² (1 − ε) of every packed row p.
    pub(crate) floors: Vec<f32>,
}

/// The shift and scale that keep the product of rows from cancelling, overflowing and underflowing.
///
/// # The bound
///
/// Let p, q be packed rows of d columns, g their product as computed in `f32`, and D the squared distance of
/// the original rows. With u = 2⁻²⁴, whatever the order of summation,
///
/// scale² D ≥ ‖q‖² + ‖p‖² − 2g − ε (‖q‖² + ‖p‖²) − τ, with ε = γ(d + 12) = (d + 12) u / (1 − (d + 12) u).
///
/// Of the d + 12, d are the product's (Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1, with 2
/// ‖q‖ ‖p‖ ≤ ‖q‖² + ‖p‖²), 4.1 the rounding of the packed values to `f32`, 3.1 the rounding of
/// [`Packed::floors`] and of `floor − 2g`; the rest is ample for what happens in `f64`. τ = (d + 12) 2⁻¹²⁰ is
/// for values that underflow.
pub(crate) struct Frame {
    columns: Range<usize>,
    mean: Vec<f64>,
    scale: f64,
    epsilon: f64,
    tau: f64,
}

impl Frame {
    /// The frame in which `rows` have mean 0 and values of at most about 1.
    pub(crate) fn fit(points: MatrixView<'_>, columns: Range<usize>, rows: &[usize]) -> Self {
        let mut mean = vec![0.0; columns.len()];
        for &row in rows {
            for (sum, &value) in mean.iter_mut().zip(&points.row(row)[columns.clone()]) {
                *sum += f64::from(value);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
        let mut largest = 0.0_f64;
        for &row in rows {
            for (mean, &value) in mean.iter().zip(&points.row(row)[columns.clone()]) {
                largest = largest.max((f64::from(value) - mean).abs());
            }
        }
        let scale = if largest > 0.0 { (-largest.log2().ceil()).exp2() } else { 1.0 };
        let terms = columns.len() as f64 + 12.0;
        let rounding = terms * 2.0_f64.powi(-24);
        let epsilon = if rounding < 1.0 { rounding / (1.0 - rounding) } else { f64::INFINITY };
        Self { columns, mean, scale, epsilon, tau: terms * 2.0_f64.powi(-120) }
    }

    pub(crate) fn pack(&self, points: MatrixView<'_>, rows: impl ExactSizeIterator<Item = usize>) -> Packed {
        let mut values = Array2::zeros((rows.len(), self.columns.len()));
        let mut floors = Vec::with_capacity(rows.len());
        for (mut packed, row) in values.rows_mut().into_iter().zip(rows) {
            let mut norm = 0.0;
            for ((to, &from), mean) in
                packed.iter_mut().zip(&points.row(row)[self.columns.clone()]).zip(&self.mean)
            {
                *to = ((f64::from(from) - mean) * self.scale) as f32;
                norm += f64::from(*to) * f64::from(*to);
            }
            floors.push((norm * (1.0 - self.epsilon)) as f32);
        }
        Packed { values, floors }
    }

    /// The number L such that a row p with `floor(p) − 2g > L` is further from the query than `distance`
    /// (squared).
    pub(crate) fn limit(&self, distance: f64, query_floor: f32) -> f32 {
        let limit = distance * self.scale * self.scale - f64::from(query_floor) + self.tau;
        (limit as f32).next_up()
    }
}

impl Packed {
    /// The products of all rows of `queries` with the rows `tile` of `self`, written as `f32[queries, tile]`.
    pub(crate) fn products<'a>(
        &self,
        queries: &Packed,
        tile: Range<usize>,
        into: &'a mut Array2<f32>,
    ) -> ArrayView2<'a, f32> {
        let filled = s![.., ..tile.len()];
        let candidates = self.values.slice(s![tile, ..]);
        general_mat_mul(1.0, &queries.values, &candidates.t(), 0.0, &mut into.slice_mut(filled));
        into.slice(filled)
    }
}
