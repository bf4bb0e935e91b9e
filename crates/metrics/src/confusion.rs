use crate::ratio;

/// How often each class was taken for each: the row is the truth, the column the prediction.
///
/// The scores of a class c count its hits TP_c (truth and prediction), misses FN_c (truth alone) and false
/// alarms FP_c (prediction alone) among N samples. A division by zero gives 0, as scikit-learn does with
/// `labels=range(K), zero_division=0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    rows: Vec<Vec<u64>>,
}

/// Why predictions cannot be counted against the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfusionError {
    /// Truth and predictions differ in number.
    #[error("{truth} true labels for {predicted} predictions; give one label for each prediction")]
    Lengths {
        /// True labels.
        truth: usize,
        /// Predictions.
        predicted: usize,
    },
    /// A true label names no class.
    #[error("true label {label} of row {row} must be below the number of classes, {classes}")]
    Truth {
        /// Its row.
        row: usize,
        /// The label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A prediction names no class.
    #[error("predicted label {label} of row {row} must be below the number of classes, {classes}")]
    Predicted {
        /// Its row.
        row: usize,
        /// The label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
}

impl Confusion {
    /// Counts the pairs of a true and a predicted label, both below `classes`.
    ///
    /// # Errors
    ///
    /// [`ConfusionError`], where lengths differ or a label names no class.
    pub fn new(truth: &[u32], predicted: &[u32], classes: usize) -> Result<Self, ConfusionError> {
        if truth.len() != predicted.len() {
            return Err(ConfusionError::Lengths { truth: truth.len(), predicted: predicted.len() });
        }
        let mut rows = vec![vec![0; classes]; classes];
        for (row, (&truth, &predicted)) in truth.iter().zip(predicted).enumerate() {
            let counts = rows.get_mut(truth as usize);
            let counts = counts.ok_or(ConfusionError::Truth { row, label: truth, classes })?;
            let count = counts.get_mut(predicted as usize);
            *count.ok_or(ConfusionError::Predicted { row, label: predicted, classes })? += 1;
        }
        Ok(Self { rows })
    }

    /// The number of classes, K.
    pub fn classes(&self) -> usize {
        self.rows.len()
    }

    /// The counts, `rows()[truth][predicted]`.
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.rows
    }

    /// The number of samples, N.
    pub fn total(&self) -> u64 {
        self.rows.iter().flatten().sum()
    }

    /// The share of right predictions, Σ TP_c / N.
    pub fn accuracy(&self) -> f64 {
        let hits: u64 = (0..self.classes()).map(|class| self.rows[class][class]).sum();
        ratio(hits as f64, self.total() as f64)
    }

    /// TP_c / (TP_c + FN_c) of each class: the share of its samples that are found.
    pub fn recall(&self) -> Vec<f64> {
        self.by_class(|hits, truth, _| ratio(hits, truth))
    }

    /// TN_c / (TN_c + FP_c) of each class: the share of the others' samples that are not taken for it.
    pub fn specificity(&self) -> Vec<f64> {
        let total = self.total() as f64;
        self.by_class(|hits, truth, predicted| ratio(total - truth - predicted + hits, total - truth))
    }

    /// TP_c / (TP_c + FP_c) of each class: the share of its predictions that are right.
    pub fn precision(&self) -> Vec<f64> {
        self.by_class(|hits, _, predicted| ratio(hits, predicted))
    }

    /// 2 TP_c / (2 TP_c + FP_c + FN_c) of each class: the harmonic mean of precision and recall.
    pub fn f1(&self) -> Vec<f64> {
        self.by_class(|hits, truth, predicted| ratio(2.0 * hits, truth + predicted))
    }

    /// `score(TP_c, TP_c + FN_c, TP_c + FP_c)` of each class.
    fn by_class(&self, score: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        let score = |class: usize| {
            let truth: u64 = self.rows[class].iter().sum();
            let predicted: u64 = self.rows.iter().map(|row| row[class]).sum();
            score(self.rows[class][class] as f64, truth as f64, predicted as f64)
        };
        (0..self.classes()).map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_truth_and_columns_the_prediction() {
        let confusion = Confusion::new(&[0, 0, 0, 1], &[0, 1, 1, 1], 3).unwrap();
        assert_eq!(confusion.rows(), [[1, 2, 0], [0, 1, 0], [0, 0, 0]]);
        assert_eq!(confusion.accuracy(), 0.5);
        assert_eq!(confusion.recall(), [1.0 / 3.0, 1.0, 0.0]);
        assert_eq!(confusion.precision(), [1.0, 1.0 / 3.0, 0.0]);
        assert_eq!(confusion.specificity(), [1.0, 1.0 / 3.0, 1.0]);
        assert_eq!(confusion.f1(), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn what_cannot_be_counted_is_an_error() {
        let check = |truth: &[u32], predicted: &[u32], expected| {
            assert_eq!(Confusion::new(truth, predicted, 2), Err(expected));
        };
        check(&[0], &[0, 1], ConfusionError::Lengths { truth: 1, predicted: 2 });
        check(&[0, 2], &[0, 1], ConfusionError::Truth { row: 1, label: 2, classes: 2 });
        check(&[0, 1], &[0, 7], ConfusionError::Predicted { row: 1, label: 7, classes: 2 });
    }
}
