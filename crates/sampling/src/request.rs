use expanse_domain::{MatrixView, Seed};

use crate::{Output, SamplingError};

/// What to over-sample.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The samples, `f32[rows, cols]`.
    pub features: MatrixView<'a>,
    /// The label of every row, below the number of classes.
    pub labels: &'a [u32],
    /// How many synthetic rows to make of each class; the index is the label.
    pub wanted: &'a [u64],
    /// What every draw derives from.
    pub seed: Seed,
}

impl Request<'_> {
    /// The rows of each class, in ascending order, if the request and the output that is to hold the answer
    /// fit.
    ///
    /// # Errors
    ///
    /// Every label has to be below the number of classes, every value finite and within half the range of `f32`, every
    /// class of which rows are wanted has to have one, and the output room for exactly what is wanted.
    pub fn members(&self, output: &Output<'_>) -> Result<Vec<Vec<usize>>, SamplingError> {
        let (rows, cols) = (self.features.rows(), self.features.cols());
        if self.labels.len() != rows {
            return Err(SamplingError::Labels { labels: self.labels.len(), rows });
        }
        if cols == 0 {
            return Err(SamplingError::NoColumns);
        }
        let wanted = self.total();
        if output.rows() as u64 != wanted || output.cols() != cols {
            let (rows, cols, wanted_cols) = (output.rows(), output.cols(), cols);
            return Err(SamplingError::OutputShape { rows, cols, wanted, wanted_cols });
        }
        let mut members = vec![Vec::new(); self.wanted.len()];
        for (row, &label) in self.labels.iter().enumerate() {
            match members.get_mut(label as usize) {
                Some(members) => members.push(row),
                None => return Err(SamplingError::Label { row, label, classes: self.wanted.len() }),
            }
            let values = self.features.row(row);
            // All of them are looked at before the question is asked, so that it takes no branch for each.
            if values.iter().fold(false, |any, &value| any | is_out_of_range(value)) {
                let column = values.iter().position(|&value| is_out_of_range(value)).unwrap_or(0);
                return Err(SamplingError::Value { row, column, value: values[column] });
            }
        }
        match self.classes().find(|&class| members[class].is_empty()) {
            Some(class) => Err(SamplingError::EmptyClass { class: class as u32, wanted: self.wanted[class] }),
            None => Ok(members),
        }
    }

    /// The classes of which rows are wanted.
    pub fn classes(&self) -> impl Iterator<Item = usize> {
        (0..self.wanted.len()).filter(|&class| self.wanted[class] > 0)
    }

    /// The samples of the classes of which rows are wanted, by the [`members`](Self::members) of each class.
    pub fn samples(&self, members: &[Vec<usize>]) -> u64 {
        self.classes().map(|class| members[class].len() as u64).sum()
    }

    /// The rows wanted of all classes together; at the limit of `u64` if they are more, which no output
    /// holds.
    pub fn total(&self) -> u64 {
        self.wanted.iter().fold(0, |sum, &wanted| sum.saturating_add(wanted))
    }
}

/// Whether it is no number, or beyond half the range, where the difference of two values could overflow.
fn is_out_of_range(value: f32) -> bool {
    value.is_nan() | (value.abs() > f32::MAX / 2.0)
}
