use expanse_domain::MatrixView;
use std::fmt;

/// Embeddings, one label to each row.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// The embeddings, `[rows, features]`.
    pub matrix: MatrixView<'a>,
    /// The labels, `[rows]`.
    pub labels: &'a [u32],
}

/// Which of the matrices of a gap is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The rows whose range counts.
    Reference,
    /// The real training rows.
    Real,
    /// The test rows.
    Test,
}

/// Why there is no generalization gap.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum GapError {
    /// No draws were asked for.
    #[error("a generalization gap of 0 draws has no null; ask for at least 1")]
    NoDraws,
    /// A matrix has more or fewer labels than rows.
    #[error("{rows} rows of {part} embeddings have {labels} labels; give one label for each row")]
    Labels {
        /// The matrix.
        part: Part,
        /// Its rows.
        rows: usize,
        /// Its labels.
        labels: usize,
    },
    /// A matrix has another number of features than the test matrix.
    #[error("{part} embeddings have {columns} features and test embeddings {test}; take both from one model")]
    Columns {
        /// The matrix.
        part: Part,
        /// Its features.
        columns: usize,
        /// Features of the test matrix.
        test: usize,
    },
    /// A label names no class.
    #[error("label {label} of row {row} of {part} embeddings must be below the number of classes, {classes}")]
    Label {
        /// The matrix.
        part: Part,
        /// The row.
        row: usize,
        /// The label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}, column {column} of {part} embeddings is {value}; a range needs finite values")]
    NotFinite {
        /// The matrix.
        part: Part,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A class has no rows to take a range of.
    #[error("class {class} has no {part} embeddings; its gap needs at least 1")]
    EmptyClass {
        /// The class.
        class: usize,
        /// The matrix.
        part: Part,
    },
    /// No class has two rows, so none can be held out.
    #[error(
        "class {class} has 1 real training embedding, and no class has more; a null needs a class with at least 2"
    )]
    NoNull {
        /// The class.
        class: usize,
    },
}

impl Labelled<'_> {
    /// The rows of every class, ascending, once all is as it must be; `columns` is the width of the test matrix.
    pub(super) fn rows_by_class(
        &self,
        part: Part,
        classes: usize,
        columns: usize,
    ) -> Result<Vec<Vec<usize>>, GapError> {
        let Self { matrix, labels } = *self;
        if labels.len() != matrix.rows() {
            return Err(GapError::Labels { part, rows: matrix.rows(), labels: labels.len() });
        }
        if matrix.cols() != columns {
            return Err(GapError::Columns { part, columns: matrix.cols(), test: columns });
        }
        let mut rows = vec![Vec::new(); classes];
        for (row, &label) in labels.iter().enumerate() {
            if let Some(column) = matrix.row(row).iter().position(|value| !value.is_finite()) {
                return Err(GapError::NotFinite { part, row, column, value: matrix.row(row)[column] });
            }
            let class = rows.get_mut(label as usize);
            class.ok_or(GapError::Label { part, row, label, classes })?.push(row);
        }
        match rows.iter().position(Vec::is_empty) {
            Some(class) => Err(GapError::EmptyClass { class, part }),
            None => Ok(rows),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Real => "real training",
            Self::Test => "test",
        })
    }
}
