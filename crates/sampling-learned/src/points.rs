use expanse_domain::MatrixView;
use ndarray::Array2;

/// Rows of a matrix in `f64`, as linfa takes them.
pub(crate) fn points(features: MatrixView<'_>, rows: &[usize]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), features.cols()), |(place, column)| {
        f64::from(features.row(rows[place])[column])
    })
}
