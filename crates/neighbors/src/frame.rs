use std::ops::Range;

use expanse_domain::MatrixView;
use rayon::prelude::*;

/// Rows that one task looks at. Sums are formed by chunks of this size, whatever the number of threads.
const CHUNK: usize = 2048;

/// The shift and scale that keep the squared distances of rows in `f32` from cancelling, overflowing and underflowing.
pub(crate) struct Frame {
    columns: Range<usize>,
    mean: Vec<f64>,
    scale: f64,
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
        Self { columns, mean, scale }
    }

    /// Writes the packed values of a row.
    pub(crate) fn pack(&self, points: MatrixView<'_>, row: usize, packed: &mut [f32]) {
        let values = points.row(row)[self.columns.clone()].iter().zip(&self.mean);
        for (to, (&value, mean)) in packed.iter_mut().zip(values) {
            *to = ((f64::from(value) - mean) * self.scale) as f32;
        }
    }
}
