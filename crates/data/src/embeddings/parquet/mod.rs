//! Parquet: a column for each feature or one column of lists, and a column of labels.

mod column;
mod kind;
mod layout;
mod write;

use std::{
    fs::File,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use column::Column;
use expanse_domain::Matrix;
use layout::{Features, Layout};
use parquet::{
    column::reader::ColumnReader,
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
};
pub(super) use write::{check_label, write};

use super::{Classes, Embeddings, EmbeddingsError, Names, numbered, open};

/// Reads samples and labels, column after column into the one matrix.
pub(super) fn read(path: &Path, names: &Names<'_>) -> Result<Embeddings, EmbeddingsError> {
    // The decoders of the crate index and assert what a damaged file may have otherwise; nothing outlives their panic.
    catch_unwind(AssertUnwindSafe(|| read_table(path, names))).unwrap_or_else(|_| {
        let problem = "what it holds contradicts itself".into();
        Err(EmbeddingsError::Content { path: path.into(), problem })
    })
}

fn read_table(path: &Path, names: &Names<'_>) -> Result<Embeddings, EmbeddingsError> {
    let file = SerializedFileReader::new(open(path)?.into_inner()).map_err(|error| damaged(path, &error))?;
    let layout = Layout::find(path, file.metadata(), names)?;
    let table = Table { path, groups: groups(path, &file)?, file };
    let (labels, classes) = table.labels(layout.labels)?;
    let features = match &layout.features {
        Features::Columns(columns) => table.columns(columns)?,
        Features::Lists(column) => table.lists(*column)?,
    };
    Ok(Embeddings { features, labels, classes })
}

fn damaged(path: &Path, error: &ParquetError) -> EmbeddingsError {
    EmbeddingsError::Content { path: path.into(), problem: error.to_string() }
}

/// The rows of each row group.
fn groups(path: &Path, file: &SerializedFileReader<File>) -> Result<Vec<Range<usize>>, EmbeddingsError> {
    let (mut groups, mut end) = (Vec::new(), 0_usize);
    for group in file.metadata().row_groups() {
        let start = end;
        let rows = usize::try_from(group.num_rows()).ok();
        end = rows.and_then(|rows| start.checked_add(rows)).unwrap_or(usize::MAX);
        groups.push(start..end);
    }
    let claimed = file.metadata().file_metadata().num_rows();
    if usize::try_from(claimed) != Ok(end) {
        let problem = format!("it claims {claimed} rows, and its parts {end}");
        return Err(EmbeddingsError::Content { path: path.into(), problem });
    }
    Ok(groups)
}

/// A file that has been opened.
struct Table<'a> {
    path: &'a Path,
    file: SerializedFileReader<File>,
    groups: Vec<Range<usize>>,
}

impl Table<'_> {
    fn rows(&self) -> usize {
        self.groups.last().map_or(0, |group| group.end)
    }

    /// The parts of one column, by its number among those that hold values.
    fn parts(
        &self,
        column: usize,
    ) -> impl Iterator<Item = Result<(Column<'_>, ColumnReader), EmbeddingsError>> {
        self.groups.iter().enumerate().map(move |(group, rows)| {
            let schema = self.file.metadata().file_metadata().schema_descr();
            let opened = self.file.get_row_group(group).and_then(|group| group.get_column_reader(column));
            let reader = opened.map_err(|error| damaged(self.path, &error))?;
            Ok((Column::new(self.path, schema, column, rows.clone()), reader))
        })
    }

    /// The class of each row, and the labels of the classes.
    fn labels(&self, column: usize) -> Result<(Vec<u32>, Classes), EmbeddingsError> {
        let (mut numbers, mut words) = (Vec::new(), Vec::new());
        for part in self.parts(column) {
            let (part, reader) = part?;
            part.labels(reader, &mut numbers, &mut words)?;
        }
        Ok(if words.is_empty() {
            let (labels, classes) = numbered(&numbers);
            (labels, Classes::Numbers(classes))
        } else {
            let (labels, classes) = numbered(&words);
            (labels, Classes::Words(classes))
        })
    }

    /// The features of a table that has a column for each of them.
    fn columns(&self, columns: &[usize]) -> Result<Matrix, EmbeddingsError> {
        let cols = columns.len();
        let mut values = self.zeros(cols)?;
        for (place, &column) in columns.iter().enumerate() {
            for part in self.parts(column) {
                let (part, reader) = part?;
                part.numbers(reader, |row, numbers| {
                    values[row * cols + place] = numbers[0];
                    Ok(())
                })?;
            }
        }
        Ok(Matrix::new(values, self.rows(), cols).unwrap_or_default())
    }

    /// The features of a table that has a list of them in each row.
    fn lists(&self, column: usize) -> Result<Matrix, EmbeddingsError> {
        let (mut cols, mut values) = (0, Vec::new());
        for part in self.parts(column) {
            let (part, reader) = part?;
            part.numbers(reader, |row, numbers| {
                if row == 0 {
                    cols = numbers.len();
                    values = self.zeros(cols)?;
                }
                if numbers.len() != cols {
                    let held = numbers.len();
                    let problem = format!("the list holds {held} values, but that of row 0 holds {cols}; all must be equally long");
                    return Err(part.cell(row, problem));
                }
                values[row * cols..][..cols].copy_from_slice(numbers);
                Ok(())
            })?;
        }
        Ok(Matrix::new(values, self.rows(), cols).unwrap_or_default())
    }

    /// Room for the features; what the file claims may be more than there is memory.
    fn zeros(&self, cols: usize) -> Result<Vec<f32>, EmbeddingsError> {
        let rows = self.rows();
        let mut values = Vec::new();
        let room = rows.checked_mul(cols).filter(|&size| values.try_reserve_exact(size).is_ok());
        let Some(size) = room else {
            let problem = format!("there is no memory for the {rows} rows of {cols} values that it claims");
            return Err(EmbeddingsError::Content { path: self.path.into(), problem });
        };
        values.resize(size, 0.0);
        Ok(values)
    }
}

#[cfg(test)]
mod tests;
