/// A dense row-major `f32` matrix that owns its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
}

/// A borrowed row-major matrix whose rows may lie further apart than they are long.
#[derive(Clone, Copy, Debug)]
pub struct MatrixView<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// The values do not fill the shape that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} values do not hold {rows} rows of {cols} columns at a stride of {stride}")]
pub struct ShapeError {
    /// Values given.
    pub len: usize,
    /// Rows asked for.
    pub rows: usize,
    /// Columns asked for.
    pub cols: usize,
    /// Distance between the starts of two rows.
    pub stride: usize,
}

impl Matrix {
    /// Takes `rows × cols` values, row after row.
    pub fn new(data: Vec<f32>, rows: usize, cols: usize) -> Result<Self, ShapeError> {
        if rows.checked_mul(cols) != Some(data.len()) {
            return Err(ShapeError { len: data.len(), rows, cols, stride: cols });
        }
        Ok(Self { data, rows, cols })
    }

    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { data: vec![0.0; rows * cols], rows, cols }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values, row after row.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// All values, row after row, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values of row `index`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.cols..][..self.cols]
    }

    /// The whole matrix as a view.
    pub fn view(&self) -> MatrixView<'_> {
        MatrixView { data: &self.data, rows: self.rows, cols: self.cols, stride: self.cols }
    }

    /// A copy of the named rows, in the order named.
    pub fn select_rows(&self, indices: &[usize]) -> Self {
        let data = indices.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { data, rows: indices.len(), cols: self.cols }
    }
}

impl<'a> MatrixView<'a> {
    /// Views `rows` rows of `cols` values whose starts are `stride` values apart.
    pub fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Result<Self, ShapeError> {
        let needed = match rows {
            0 => Some(0),
            _ => (rows - 1).checked_mul(stride).and_then(|start| start.checked_add(cols)),
        };
        if stride < cols || needed.is_none_or(|needed| needed > data.len()) {
            return Err(ShapeError { len: data.len(), rows, cols, stride });
        }
        Ok(Self { data, rows, cols, stride })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The values of row `index`.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.cols]
    }

    /// All values, row after row, if nothing lies between the rows.
    pub fn as_contiguous(&self) -> Option<&'a [f32]> {
        (self.stride == self.cols).then(|| &self.data[..self.rows * self.cols])
    }

    /// A copy of the named rows, in the order named.
    pub fn select_rows(&self, indices: &[usize]) -> Matrix {
        let data = indices.iter().flat_map(|&i| self.row(i)).copied().collect();
        Matrix { data, rows: indices.len(), cols: self.cols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_skip_what_lies_between_rows() {
        let data = [1.0, 2.0, 9.0, 3.0, 4.0];
        let view = MatrixView::new(&data, 2, 2, 3).unwrap();
        assert_eq!((view.row(0), view.row(1)), (&[1.0, 2.0][..], &[3.0, 4.0][..]));
        assert_eq!(view.as_contiguous(), None);
        assert_eq!(MatrixView::new(&data, 2, 2, 2).unwrap().as_contiguous(), Some(&data[..4]));
        assert_eq!(view.select_rows(&[1, 1]).as_slice(), [3.0, 4.0, 3.0, 4.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(Matrix::new(vec![0.0; 5], 2, 3).is_err());
        assert!(MatrixView::new(&[0.0; 5], 2, 3, 2).is_err());
        assert!(MatrixView::new(&[0.0; 5], usize::MAX, 3, 3).is_err());
        assert!(MatrixView::new(&[], 0, 3, 3).is_ok());
    }
}
