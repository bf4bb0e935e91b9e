use crate::{Confusion, ConfusionError, expected_calibration_error, mean};
use expanse_domain::{ClassCounts, MatrixView};
use serde::{Deserialize, Serialize};

/// How good predictions are. All scores lie in `[0, 1]`; more is better, but for `ece`.
///
/// Means are taken over all K classes. A class that the truth lacks has recall 0, which is what scikit-learn
/// gives with `labels=range(K), zero_division=0` (its `balanced_accuracy_score` leaves such a class out).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Share of right predictions.
    pub accuracy: f64,
    /// Balanced accuracy: the mean recall.
    pub bac: f64,
    /// G-mean, (Π recall_c)^(1/K): imbalanced-learn's `geometric_mean_score(average="multiclass")`.
    pub gmean: f64,
    /// GM (macro), √(mean recall · mean specificity): imbalanced-learn's
    /// `geometric_mean_score(average="macro")`. Not a G-mean: it stays above 0 when a class is never found.
    pub gm_macro: f64,
    /// Macro F1: the mean of the classes' F1.
    pub fm: f64,
    /// The mean precision.
    pub macro_precision: f64,
    /// The lowest recall of a class.
    pub worst_recall: f64,
    /// Recall by class.
    pub recall: Vec<f64>,
    /// Mean recall of the classes with more than 100 training samples; absent without such a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub many_recall: Option<f64>,
    /// Mean recall of the classes with 20 to 100 training samples; absent without such a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium_recall: Option<f64>,
    /// Mean recall of the classes with fewer than 20 training samples; absent without such a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few_recall: Option<f64>,
    /// The [expected calibration error](expected_calibration_error).
    pub ece: f64,
    /// The confusion matrix: `confusion[truth][predicted]`.
    pub confusion: Vec<Vec<u64>>,
}

/// Why predictions cannot be scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScoresError {
    /// There is nothing to score.
    #[error("{rows} rows of {classes} probabilities cannot be scored; give at least one row and one class")]
    Empty {
        /// Rows of probabilities.
        rows: usize,
        /// Columns of probabilities.
        classes: usize,
    },
    /// Training counts and probabilities differ in classes.
    #[error(
        "training counts of {counts} classes for probabilities of {classes}; give one count for each column"
    )]
    Classes {
        /// Classes of the training counts.
        counts: usize,
        /// Columns of the probabilities.
        classes: usize,
    },
    /// A value is NaN or lies outside `[0, 1]` by more than rounding.
    #[error(
        "row {row} gives class {class} a probability of {value}; it must lie in [0, 1] (of logits, take the softmax first)"
    )]
    Probability {
        /// The row.
        row: usize,
        /// The column.
        class: usize,
        /// The value.
        value: f32,
    },
    /// Truth and predictions cannot be compared.
    #[error(transparent)]
    Confusion(#[from] ConfusionError),
}

/// Scores predictions against the truth. The prediction of a row is its largest probability, the first of equals.
///
/// # Shapes
///
/// - `truth`: `[rows]`, labels below `classes`
/// - `probabilities`: `[rows, classes]`
/// - `training_counts`: `[classes]`; they only sort the classes into many, medium and few
///
/// # Errors
///
/// [`ScoresError`].
pub fn scores(
    truth: &[u32],
    probabilities: MatrixView<'_>,
    training_counts: &ClassCounts,
) -> Result<Scores, ScoresError> {
    let (rows, classes) = (probabilities.rows(), probabilities.cols());
    if rows == 0 || classes == 0 {
        return Err(ScoresError::Empty { rows, classes });
    }
    if training_counts.classes() != classes {
        return Err(ScoresError::Classes { counts: training_counts.classes(), classes });
    }
    let predictions: Vec<(u32, f32)> =
        (0..rows).map(|row| predict(row, probabilities.row(row))).collect::<Result<_, _>>()?;
    let predicted: Vec<u32> = predictions.iter().map(|&(class, _)| class).collect();
    let confusion = Confusion::new(truth, &predicted, classes)?;

    let recall = confusion.recall();
    let bac = mean(&recall);
    let mean_recall_where = |within: fn(u64) -> bool| {
        let counts = training_counts.as_slice().iter();
        let group: Vec<f64> =
            recall.iter().zip(counts).filter(|&(_, &n)| within(n)).map(|(&recall, _)| recall).collect();
        (!group.is_empty()).then(|| mean(&group))
    };
    Ok(Scores {
        accuracy: confusion.accuracy(),
        bac,
        // As the exponential of a mean of logarithms, the product of a thousand recalls does not underflow.
        gmean: mean(&recall.iter().map(|recall| recall.ln()).collect::<Vec<_>>()).exp(),
        gm_macro: (bac * mean(&confusion.specificity())).sqrt(),
        fm: mean(&confusion.f1()),
        macro_precision: mean(&confusion.precision()),
        worst_recall: recall.iter().copied().fold(1.0, f64::min),
        many_recall: mean_recall_where(|n| n > 100),
        medium_recall: mean_recall_where(|n| (20..=100).contains(&n)),
        few_recall: mean_recall_where(|n| n < 20),
        recall,
        ece: expected_calibration_error(
            predictions.iter().zip(truth).map(|(&(class, p), &truth)| (f64::from(p), class == truth)),
        ),
        confusion: confusion.rows().to_vec(),
    })
}

impl Scores {
    /// Whether every class occurs equally often in the truth. Then accuracy is BAC, and GM (macro) says no more
    /// than BAC either: it is √(BAC · (1 − (1 − BAC) / (K − 1))).
    pub fn balanced_truth(&self) -> bool {
        let support = |row: &Vec<u64>| row.iter().sum::<u64>();
        self.confusion.windows(2).all(|pair| support(&pair[0]) == support(&pair[1]))
    }
}

/// The class of the largest probability, the first of equals, and that probability.
fn predict(row: usize, probabilities: &[f32]) -> Result<(u32, f32), ScoresError> {
    // Probabilities that were rounded to `f32` may exceed 1 by a little.
    const TOLERANCE: f32 = 1e-4;
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &value) in probabilities.iter().enumerate() {
        if !(-TOLERANCE..=1.0 + TOLERANCE).contains(&value) {
            return Err(ScoresError::Probability { row, class, value });
        }
        if value > best.1 {
            best = (class as u32, value);
        }
    }
    Ok((best.0, best.1.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests;
