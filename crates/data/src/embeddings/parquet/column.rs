//! The values of a column in one row group.

use std::{ops::Range, path::Path};

use expanse_domain::half_to_f32;
use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{DataType, FixedLenByteArray},
    schema::types::SchemaDescriptor,
};

use super::{
    damaged,
    kind::{Kind, Use},
};
use crate::EmbeddingsError;

/// Values that are decoded at once.
const AT_ONCE: usize = 1 << 16;

/// A column, and the rows of one group among those of the file.
pub(super) struct Column<'a> {
    path: &'a Path,
    name: &'a str,
    rows: Range<usize>,
    kind: Kind,
    /// The level of definition of a value that is there.
    defined: i16,
    /// That of a list without values.
    empty: i16,
}

impl<'a> Column<'a> {
    /// Column number `column` of those that hold values.
    pub(super) fn new(
        path: &'a Path,
        schema: &'a SchemaDescriptor,
        column: usize,
        rows: Range<usize>,
    ) -> Self {
        let (name, column) = (schema.get_column_root(column).name(), schema.column(column));
        let defined = column.max_def_level();
        let empty = defined - 1 - i16::from(column.self_type().is_optional());
        Self { path, name, rows, kind: Kind::of(&column), defined, empty }
    }

    /// Gives the numbers of each row to `take`, one or a list of them, all finite.
    pub(super) fn numbers(
        &self,
        reader: ColumnReader,
        take: impl FnMut(usize, &[f32]) -> Result<(), EmbeddingsError>,
    ) -> Result<(), EmbeddingsError> {
        use ColumnReader::{
            DoubleColumnReader as Double, FixedLenByteArrayColumnReader as Fixed, FloatColumnReader as Float,
            Int32ColumnReader as Int32, Int64ColumnReader as Int64,
        };
        let half = |value: &FixedLenByteArray| {
            let bytes = <[u8; 2]>::try_from(value.data());
            bytes.map_or(f32::NAN, |bytes| half_to_f32(u16::from_le_bytes(bytes)))
        };
        match (&self.kind, reader) {
            (Kind::F16, Fixed(reader)) => self.finite(reader, half, take),
            (Kind::F32, Float(reader)) => self.finite(reader, |&value| value, take),
            (Kind::F64, Double(reader)) => self.finite(reader, |&value| value as f32, take),
            (Kind::I32, Int32(reader)) => self.finite(reader, |&value| value as f32, take),
            (Kind::U32, Int32(reader)) => self.finite(reader, |&value| value as u32 as f32, take),
            (Kind::I64, Int64(reader)) => self.finite(reader, |&value| value as f32, take),
            (Kind::U64, Int64(reader)) => self.finite(reader, |&value| value as u64 as f32, take),
            _ => Err(self.type_error(Use::Features)),
        }
    }

    /// Appends the label of each row, to the words if they are texts.
    pub(super) fn labels(
        &self,
        reader: ColumnReader,
        numbers: &mut Vec<i64>,
        words: &mut Vec<String>,
    ) -> Result<(), EmbeddingsError> {
        use ColumnReader::{
            BoolColumnReader as Bool, ByteArrayColumnReader as Bytes, Int32ColumnReader as Int32,
            Int64ColumnReader as Int64,
        };
        match (&self.kind, reader) {
            (Kind::Bool, Bool(reader)) => self.whole(reader, |&value| value.into(), numbers),
            (Kind::I32, Int32(reader)) => self.whole(reader, |&value| value.into(), numbers),
            (Kind::U32, Int32(reader)) => self.whole(reader, |&value| (value as u32).into(), numbers),
            (Kind::I64 | Kind::U64, Int64(reader)) => self.whole(reader, |&value| value, numbers),
            (Kind::Text, Bytes(reader)) => self.records(reader, |row, values| {
                for value in values {
                    let text = value.as_utf8().map_err(|_| self.cell(row, "the text is no UTF-8".into()))?;
                    words.push(text.to_owned());
                }
                Ok(())
            }),
            _ => Err(self.type_error(Use::Labels)),
        }
    }

    /// The error about one row.
    pub(super) fn cell(&self, row: usize, problem: String) -> EmbeddingsError {
        EmbeddingsError::Cell { path: self.path.into(), row, column: self.name.into(), problem }
    }

    fn type_error(&self, wanted: Use) -> EmbeddingsError {
        let (path, name, dtype) = (self.path.into(), self.name.into(), self.kind.to_string());
        EmbeddingsError::Type { path, name, dtype, allowed: wanted.allowed() }
    }

    fn finite<T: DataType>(
        &self,
        reader: ColumnReaderImpl<T>,
        number: impl Fn(&T::T) -> f32,
        mut take: impl FnMut(usize, &[f32]) -> Result<(), EmbeddingsError>,
    ) -> Result<(), EmbeddingsError> {
        let mut numbers = Vec::new();
        self.records(reader, |row, values| {
            numbers.clear();
            for value in values {
                let found = number(value);
                if !found.is_finite() {
                    let problem = format!("the value is {found} in 32 bits; a finite number is needed");
                    return Err(self.cell(row, problem));
                }
                numbers.push(found);
            }
            take(row, &numbers)
        })
    }

    fn whole<T: DataType>(
        &self,
        reader: ColumnReaderImpl<T>,
        number: impl Fn(&T::T) -> i64,
        numbers: &mut Vec<i64>,
    ) -> Result<(), EmbeddingsError> {
        self.records(reader, |_, values| {
            numbers.extend(values.iter().map(&number));
            Ok(())
        })
    }

    /// Gives the values of each row to `take`.
    fn records<T: DataType>(
        &self,
        mut reader: ColumnReaderImpl<T>,
        mut take: impl FnMut(usize, &[T::T]) -> Result<(), EmbeddingsError>,
    ) -> Result<(), EmbeddingsError> {
        let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        // How many values a row has, the first one tells.
        let (mut row, mut at_once) = (self.rows.start, 1);
        while row < self.rows.end {
            definitions.clear();
            repetitions.clear();
            values.clear();
            let wanted = at_once.min(self.rows.end - row);
            let read =
                reader.read_records(wanted, Some(&mut definitions), Some(&mut repetitions), &mut values);
            let (read, ..) = read.map_err(|error| damaged(self.path, &error))?;
            // Without lists there are no levels of repetition, and every value begins a row.
            let begins = |at: usize| repetitions.get(at).is_none_or(|&level| level == 0);
            if let Some(at) = definitions.iter().position(|&level| level < self.defined) {
                let row = row + (1..=at).filter(|&at| begins(at)).count();
                let problem =
                    if definitions[at] == self.empty { "the list is empty" } else { "there is no value" };
                return Err(self.cell(row, format!("{problem}; fill it in, or leave the row out")));
            }
            let end = row + read;
            let mut first = 0;
            for next in 1..=values.len() {
                if next == values.len() || begins(next) {
                    if row < end {
                        take(row, &values[first..next])?;
                    }
                    (row, first) = (row + 1, next);
                }
            }
            if read == 0 || row != end {
                let (name, rows) = (self.name, self.rows.len());
                let problem = format!("`{name}` holds fewer or more rows than the {rows} that it claims");
                return Err(EmbeddingsError::Content { path: self.path.into(), problem });
            }
            at_once = (AT_ONCE * read / values.len()).max(1);
        }
        Ok(())
    }
}
