use std::ops::Range;

use expanse_domain::MatrixView;
use rayon::prelude::*;

use crate::tile::{QUERIES, panel_width};

/// Rows that one task looks at. Sums are formed by chunks of this size, whatever the number of threads.
const CHUNK: usize = 2048;

/// The shift and scale that keep the product of rows from cancelling, overflowing and underflowing.
///
/// # The bound
///
/// Let p, q be packed rows of d columns, g their product as computed in `f32`, and D the squared distance of
/// the original rows. With u = 2⁻²⁴, whatever the order of summation,
///
/// |scale² D − (‖q‖² + ‖p‖² − 2g)| ≤ ε (‖q‖² + ‖p‖²) + τ, with ε = γ(d + 12) = (d + 12) u / (1 − (d + 12) u).
///
/// Of the d + 12, d are the product's (Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1, with 2
/// ‖q‖ ‖p‖ ≤ ‖q‖² + ‖p‖²), 4.1 the rounding of the packed values to `f32`, 3.1 the rounding of
/// [`Panels::floors`] and of `floor − 2g`; the rest is ample for what happens in `f64`. τ = (d + 12) 2⁻¹²⁰ is
/// for values that underflow.
///
/// The *score* of a candidate is floor(p) − 2g with floor(p) = ‖p‖² (1 − ε). So scale² D lies between the score plus
/// [`Frame::offset`] of the query, and that plus [`Frame::width`].
pub(crate) struct Frame {
    columns: Range<usize>,
    mean: Vec<f64>,
    scale: f64,
    epsilon: f64,
    tau: f64,
}

/// Candidates, packed for products.
pub(crate) struct Panels {
    /// −2p for every packed row p, `f32[panels, columns, panel width]`; 0 beyond the last.
    pub(crate) values: Vec<f32>,
    /// ‖p‖² (1 − ε); `f32[panels, panel width]`, infinite beyond the last.
    pub(crate) floors: Vec<f32>,
}

/// Queries, packed for products.
pub(crate) struct Queries {
    /// `f32[groups, columns, QUERIES]`; 0 beyond the last.
    pub(crate) values: Vec<f32>,
    /// ‖q‖² of each.
    pub(crate) norms: Vec<f64>,
}

impl Frame {
    /// The frame in which `rows` have mean 0 and values of at most about 1.
    pub(crate) fn fit(points: MatrixView<'_>, columns: Range<usize>, rows: &[usize]) -> Self {
        let sums: Vec<Vec<f64>> = rows
            .par_chunks(CHUNK)
            .map(|rows| {
                let mut sums = vec![0.0; columns.len()];
                for &row in rows {
                    for (sum, &value) in sums.iter_mut().zip(&points.row(row)[columns.clone()]) {
                        *sum += f64::from(value);
                    }
                }
                sums
            })
            .collect();
        let mut mean = vec![0.0; columns.len()];
        for sums in sums {
            mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum);
        }
        mean.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
        let largest_of = |rows: &[usize]| {
            let mut largest = 0.0_f64;
            for &row in rows {
                for (mean, &value) in mean.iter().zip(&points.row(row)[columns.clone()]) {
                    largest = largest.max((f64::from(value) - mean).abs());
                }
            }
            largest
        };
        let largest = rows.par_chunks(CHUNK).map(largest_of).reduce(|| 0.0, f64::max);
        let scale = if largest > 0.0 { (-largest.log2().ceil()).exp2() } else { 1.0 };
        let terms = columns.len() as f64 + 12.0;
        let rounding = terms * 2.0_f64.powi(-24);
        let epsilon = if rounding < 1.0 { rounding / (1.0 - rounding) } else { f64::INFINITY };
        Self { columns, mean, scale, epsilon, tau: terms * 2.0_f64.powi(-120) }
    }

    pub(crate) fn candidates(&self, points: MatrixView<'_>, rows: &[u32]) -> Panels {
        let (width, columns) = (panel_width(), self.columns.len());
        let panels = rows.len().div_ceil(width);
        let mut values = vec![0.0; panels * columns * width];
        let mut floors = vec![f32::INFINITY; panels * width];
        let places = values.par_chunks_mut(columns * width).zip(floors.par_chunks_mut(width));
        places.zip(rows.par_chunks(width)).for_each(|((values, floors), rows)| {
            for (lane, (floor, &row)) in floors.iter_mut().zip(rows).enumerate() {
                let put = |column: usize, value| values[column * width + lane] = -2.0 * value;
                *floor = (self.packed(points, row as usize, put) * (1.0 - self.epsilon)) as f32;
            }
        });
        Panels { values, floors }
    }

    pub(crate) fn queries(&self, points: MatrixView<'_>, rows: &[usize]) -> Queries {
        let columns = self.columns.len();
        let mut values = vec![0.0; rows.len().div_ceil(QUERIES) * columns * QUERIES];
        let groups = values.chunks_mut(columns * QUERIES).zip(rows.chunks(QUERIES));
        let norms = groups.flat_map(|(values, rows)| {
            let norm = |(lane, &row): (usize, &usize)| {
                self.packed(points, row, |column, value| values[column * QUERIES + lane] = value)
            };
            rows.iter().enumerate().map(norm).collect::<Vec<f64>>()
        });
        let norms = norms.collect();
        Queries { values, norms }
    }

    /// Tells the packed values of a row, and answers the square of their norm.
    pub(crate) fn packed(&self, points: MatrixView<'_>, row: usize, mut put: impl FnMut(usize, f32)) -> f64 {
        let values = points.row(row)[self.columns.clone()].iter().zip(&self.mean);
        values.enumerate().fold(0.0, |norm, (column, (&value, mean))| {
            let packed = ((f64::from(value) - mean) * self.scale) as f32;
            put(column, packed);
            norm + f64::from(packed) * f64::from(packed)
        })
    }

    /// What lies between a score and the least that scale² D can be, for a query of that squared norm.
    pub(crate) fn offset(&self, query_norm: f64) -> f64 {
        query_norm * (1.0 - self.epsilon) - self.tau
    }

    /// How far scale² D can lie above that, for a candidate of that floor.
    pub(crate) fn width(&self, query_norm: f64, floor: f32) -> f64 {
        // The floor has been rounded; twice that rounding is added.
        let norm = f64::from(floor) / (1.0 - self.epsilon) * (1.0 + 2.0_f64.powi(-22));
        2.0 * self.epsilon * (norm + query_norm) + 2.0 * self.tau
    }

    /// The score beyond which a row is further from the query than `distance` (squared).
    pub(crate) fn limit(&self, distance: f64, query_norm: f64) -> f32 {
        ((distance * self.scale * self.scale - self.offset(query_norm)) as f32).next_up()
    }
}
