use std::{io, path::PathBuf};

/// A matrix with labels could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// The extension names no format.
    #[error("{}: its extension names no format that can be used here; use {}", path.display(), known.join(", "))]
    Format {
        /// The file.
        path: PathBuf,
        /// The extensions that name one.
        known: Vec<String>,
    },
    /// The operating system refused to read.
    #[error("{}: it cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("{}: it cannot be written: {source}; nothing is left of it", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content is not what the extension says.
    #[error("{}: it is no such file as its extension says: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file holds no array, or column, of that name.
    #[error("{}: it holds no `{name}`; it holds {}; name one of them", path.display(), held.join(", "))]
    NoName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The names that it holds.
        held: Vec<String>,
    },
    /// An array is of a type that is none of features, or none of labels.
    #[error("{}: `{name}` holds values of type {dtype}; {allowed} are needed", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Its type.
        dtype: String,
        /// What can be used.
        allowed: &'static str,
    },
    /// An array has another shape.
    #[error("{}: `{name}` has the shape {shape:?}; {allowed} is needed", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What can be used.
        allowed: &'static str,
    },
    /// Not every row has one label.
    #[error("{}: it holds {rows} rows, but there are {labels} labels; give every row one label", path.display())]
    Rows {
        /// The file of the rows.
        path: PathBuf,
        /// Rows.
        rows: usize,
        /// Labels.
        labels: usize,
    },
    /// The format holds one array, and the labels need a file of their own.
    #[error("{}: such a file holds no labels; name a file of its own for them", path.display())]
    NoLabels {
        /// The file.
        path: PathBuf,
    },
    /// The file holds the labels already.
    #[error("{}: such a file holds its labels itself; name no other file for them", path.display())]
    TwoLabels {
        /// The file.
        path: PathBuf,
    },
    /// A value of a CSV file is no number.
    #[error("{}: line {line}, column `{column}` is `{value}`, which is no number", path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The value.
        value: String,
    },
    /// Labels that are words fit in CSV and Parquet alone.
    #[error("{}: such a file holds labels that are whole numbers, and these are words; write .csv or .parquet", path.display())]
    Words {
        /// The file.
        path: PathBuf,
    },
    /// What reads and writes Parquet was not compiled.
    #[error("{}: this build can use no Parquet; build it with the feature `parquet`, or use .csv", path.display())]
    NoParquet {
        /// The file.
        path: PathBuf,
    },
    /// A row of a table lacks a value, or has one that cannot be used.
    #[error("{}: row {row} (the first is 0), column `{column}`: {problem}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// The column's name.
        column: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Two columns have one name.
    #[error("{}: two of its columns are called `{name}`; give one of them another name", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A column holds lists of numbers and is not the one named as the features.
    #[error("{}: `{name}` holds lists; if they are the features, name it as that, and otherwise leave it out", path.display())]
    Lists {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
    },
    /// A column is compressed by a method that was not compiled.
    #[error("{}: `{name}` is compressed with {compression}; write it with {allowed}", path.display())]
    Compression {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
        /// The method.
        compression: &'static str,
        /// Those that can be used.
        allowed: &'static str,
    },
}
