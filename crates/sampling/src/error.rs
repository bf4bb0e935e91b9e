use expanse_neighbors::NeighborsError;

/// Why a sampler made no rows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SamplingError {
    /// Not every row has one label.
    #[error("there are {labels} labels for {rows} rows of embeddings; give every row one label")]
    Labels {
        /// Labels given.
        labels: usize,
        /// Rows of the features.
        rows: usize,
    },
    /// A label names no class.
    #[error("row {row} has the label {label}, but there are {classes} classes, numbered from 0")]
    Label {
        /// Row of the label.
        row: usize,
        /// The label.
        label: u32,
        /// Classes, as many as there are wanted counts.
        classes: usize,
    },
    /// The features are empty rows.
    #[error("the embeddings have 0 columns; at least 1 is needed")]
    NoColumns,
    /// A value that no row can be made from.
    #[error("{value} in embeddings at row {row}, column {column}; values must be finite and within ±1.7e38")]
    Value {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The output is of another shape than what it is to hold.
    #[error(
        "the output holds {rows} rows of {cols} columns; {wanted} rows of {wanted_cols} columns are to be made"
    )]
    OutputShape {
        /// Rows of the output.
        rows: usize,
        /// Columns of the output.
        cols: usize,
        /// Rows wanted of all classes together.
        wanted: u64,
        /// Columns of the features.
        wanted_cols: usize,
    },
    /// Rows are wanted of a class that has none to start from.
    #[error(
        "class {class} has 0 samples, but {wanted} are wanted; a class needs at least 1 to be over-sampled"
    )]
    EmptyClass {
        /// The label of the class.
        class: u32,
        /// Synthetic rows wanted.
        wanted: u64,
    },
    /// Interpolation within a class needs two samples.
    #[error("class {class} has 1 sample; {sampler} needs at least 2; use `random` or `eos`")]
    SingleSample {
        /// The label of the class.
        class: u32,
        /// The sampler that needs more.
        sampler: &'static str,
    },
    /// A pair needs two samples.
    #[error("there is 1 sample in all; {sampler} mixes pairs; use `random`")]
    NoPair {
        /// The sampler that needs more.
        sampler: &'static str,
    },
    /// A model that the sampler trains first cannot be trained.
    #[error("class {class}: the {model} of {sampler} cannot be trained: {message}; use `smote`")]
    Model {
        /// The label of the class.
        class: u32,
        /// What was to be trained.
        model: &'static str,
        /// The sampler that trains it.
        sampler: &'static str,
        /// What its library says.
        message: String,
    },
    /// There is no other class to expand towards.
    #[error(
        "class {class} is the only class with samples; {sampler} needs enemies, samples of another class; use `smote`"
    )]
    SingleClass {
        /// The label of the class.
        class: u32,
        /// The sampler that needs more.
        sampler: &'static str,
    },
    /// Compat leaves out the first column, and there is no other.
    #[error(
        "the embeddings have 1 column, which eos with `compat` leaves out of its search; set `compat = false`"
    )]
    CompatColumns,
    /// Compat leaves out what sorts first among the neighbours, and that was the only enemy.
    #[error(
        "no sample of class {class} has an enemy besides its own duplicate, which eos with `compat` passes over; \
         set `compat = false`"
    )]
    CompatEnemies {
        /// The label of the class.
        class: u32,
    },
    /// The search for neighbours failed.
    #[error(transparent)]
    Neighbors(NeighborsError),
    /// The caller asked to stop.
    #[error("over-sampling was cancelled")]
    Cancelled,
}

impl From<NeighborsError> for SamplingError {
    fn from(error: NeighborsError) -> Self {
        match error {
            NeighborsError::Cancelled => Self::Cancelled,
            error => Self::Neighbors(error),
        }
    }
}
