/// Why no neighbours were found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NeighborsError {
    /// No neighbour was asked for.
    #[error("k is 0; ask for at least 1 neighbour")]
    NoneAsked,
    /// More neighbours were asked for than there are.
    #[error(
        "k is {k}, but there are only {available} rows (n) to choose from; lower k to at most {available}"
    )]
    TooFew {
        /// Neighbours asked for.
        k: usize,
        /// Candidates that every query has: one less where a query is itself left out.
        available: usize,
    },
    /// The columns hold nothing to measure, or do not exist.
    #[error(
        "columns {start}..{end} of a matrix of {cols} columns cannot be compared; name at least 1 that exists"
    )]
    Columns {
        /// First column named.
        start: usize,
        /// One past the last column named.
        end: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// A query or a candidate is no row of the matrix.
    #[error("{role} {row} is not a row of the matrix, which has {rows} rows")]
    Row {
        /// What the row was named as: `query` or `candidate`.
        role: &'static str,
        /// The row named.
        row: usize,
        /// Rows of the matrix.
        rows: usize,
    },
    /// Row numbers do not fit the 32 bits they are kept in.
    #[error("the matrix has {rows} rows; at most {} can be searched", u32::MAX)]
    TooManyRows {
        /// Rows of the matrix.
        rows: usize,
    },
    /// A value that takes part has no distance to anything.
    #[error("row {row}, column {column} is {value}; distances need finite values")]
    NotFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The thread that builds the graph of an approximate search did not start.
    #[error(
        "an approximate search needs a thread of its own: {message}; search exactly, or free some memory"
    )]
    NoThread {
        /// What the system says.
        message: String,
    },
    /// The search was stopped by its watch.
    #[error("the search for neighbours was cancelled")]
    Cancelled,
}
