use expanse_domain::Provenance;

/// Where synthetic rows are written: memory of the caller, as many rows as are wanted of all classes
/// together.
#[derive(Debug)]
pub struct Output<'a> {
    pub(crate) features: &'a mut [f32],
    pub(crate) labels: &'a mut [u32],
    pub(crate) provenance: &'a mut [Provenance],
    pub(crate) stride: usize,
    cols: usize,
}

/// The memory given does not hold the rows named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Labels and provenance are of different lengths.
    #[error("the output has {labels} labels and {provenance} provenances; every row has one of each")]
    Rows {
        /// Labels the output has room for.
        labels: usize,
        /// Provenances the output has room for.
        provenance: usize,
    },
    /// The features do not hold that many rows.
    #[error("{len} values do not hold {rows} rows of {cols} columns at a stride of {stride}")]
    Features {
        /// Values the output has room for.
        len: usize,
        /// Rows of the output, as many as it has labels.
        rows: usize,
        /// Columns of a row.
        cols: usize,
        /// Distance between the starts of two rows.
        stride: usize,
    },
}

impl<'a> Output<'a> {
    /// Writes rows of `cols` values to `features`, their starts `stride` values apart. What lies between two
    /// rows is left as it is.
    ///
    /// # Shapes
    ///
    /// `labels` and `provenance` have one place per row, and `features` at least (rows − 1) · stride + cols
    /// values.
    ///
    /// # Errors
    ///
    /// The lengths do not fit.
    pub fn new(
        features: &'a mut [f32],
        cols: usize,
        stride: usize,
        labels: &'a mut [u32],
        provenance: &'a mut [Provenance],
    ) -> Result<Self, OutputError> {
        let (len, rows) = (features.len(), labels.len());
        if provenance.len() != rows {
            return Err(OutputError::Rows { labels: rows, provenance: provenance.len() });
        }
        let needed = match rows {
            0 => Some(0),
            _ => (rows - 1).checked_mul(stride).and_then(|start| start.checked_add(cols)),
        };
        if stride < cols || needed.is_none_or(|needed| needed > len) {
            return Err(OutputError::Features { len, rows, cols, stride });
        }
        Ok(Self { features, labels, provenance, stride, cols })
    }

    /// Writes one row: its features, its label and where it comes from.
    ///
    /// # Panics
    ///
    /// If there is no such row, or `features` are not as many as there are columns.
    pub fn write(&mut self, row: usize, features: &[f32], label: u32, provenance: Provenance) {
        self.features[row * self.stride..][..self.cols].copy_from_slice(features);
        self.labels[row] = label;
        self.provenance[row] = provenance;
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
}
