//! One row a sample, one column a feature.

use std::{
    io::{self, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use expanse_domain::Provenance;
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type},
    errors::Result,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnPath, Type},
};

use super::super::{Balanced, Classes, PROVENANCE};
use crate::EmbeddingsError;

/// Rows of one group; each of its columns is collected before it is written.
const GROUP: usize = 1 << 17;

/// The features of a table of `cols` of them, by name.
fn features(cols: usize) -> impl Iterator<Item = String> {
    (0..cols).map(|column| format!("x{column}"))
}

/// That the labels can have their name beside the other columns.
///
/// # Errors
///
/// [`EmbeddingsError::Twice`].
pub(in super::super) fn check_label(
    path: &Path,
    label: &str,
    cols: usize,
) -> std::result::Result<(), EmbeddingsError> {
    if PROVENANCE.contains(&label) || features(cols).any(|name| name == label) {
        return Err(EmbeddingsError::Twice { path: path.into(), name: label.into() });
    }
    Ok(())
}

/// Writes the columns `x0`, `x1` and so on, that of the labels, and those of [`PROVENANCE`], which are empty for real rows.
pub(in super::super) fn write(
    out: &mut (impl Write + Send),
    label: &str,
    balanced: &Balanced<'_>,
) -> io::Result<()> {
    table(out, label, balanced).map_err(io::Error::other)
}

fn table(out: &mut (impl Write + Send), label: &str, balanced: &Balanced<'_>) -> Result<()> {
    let words = matches!(balanced.real.classes, Classes::Words(_));
    let schema = schema(label, balanced.cols(), words)?;
    let dictionary = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    // Features hardly repeat, so that a dictionary of them would only be thrown away; nor do they become shorter.
    let properties = WriterProperties::builder()
        .set_created_by(concat!("expanse version ", env!("CARGO_PKG_VERSION")).into())
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(dictionary(label), true)
        .set_column_dictionary_enabled(dictionary(PROVENANCE[2]), true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
    let rows = balanced.rows();
    for start in (0..rows).step_by(GROUP) {
        let mut group = file.next_row_group()?;
        write_group(&mut group, balanced, start..rows.min(start + GROUP))?;
        group.close()?;
    }
    file.close()?;
    Ok(())
}

fn schema(label: &str, cols: usize, words: bool) -> Result<Type> {
    let column = |name: &str, physical, repetition| {
        let text = (physical == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        let column = Type::primitive_type_builder(name, physical);
        Ok(Arc::new(column.with_repetition(repetition).with_logical_type(text).build()?))
    };
    let labels = if words { Physical::BYTE_ARRAY } else { Physical::INT64 };
    let features = features(cols).map(|name| column(&name, Physical::FLOAT, Repetition::REQUIRED));
    let mut columns = features.collect::<Result<Vec<_>>>()?;
    columns.push(column(label, labels, Repetition::REQUIRED)?);
    for (name, physical) in
        PROVENANCE.into_iter().zip([Physical::INT64, Physical::INT64, labels, Physical::FLOAT])
    {
        columns.push(column(name, physical, Repetition::OPTIONAL)?);
    }
    Type::group_type_builder("schema").with_fields(columns).build()
}

fn write_group<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    balanced: &Balanced<'_>,
    rows: Range<usize>,
) -> Result<()> {
    let (real, synthetic) = (&balanced.real.features, balanced.synthetic);
    let row = |row: usize| match row.checked_sub(real.rows()) {
        None => real.row(row),
        Some(made) => synthetic.row(made),
    };
    for column in 0..balanced.cols() {
        let values: Vec<f32> = rows.clone().map(|number| row(number)[column]).collect();
        put::<FloatType>(group, &values, None)?;
    }
    let classes = balanced.labels().skip(rows.start).take(rows.len());
    put_labels(group, &balanced.real.classes, classes, None)?;

    // Values are there for the rows made alone.
    let made = rows.start.saturating_sub(real.rows())..rows.end.saturating_sub(real.rows());
    let sources = &balanced.provenance[made];
    let mut defined = vec![0; rows.len() - sources.len()];
    defined.resize(rows.len(), 1);
    let whole = |value: fn(&Provenance) -> u64| -> Vec<i64> {
        sources.iter().map(|from| value(from) as i64).collect()
    };
    put::<Int64Type>(group, &whole(|from| from.base), Some(&defined))?;
    put::<Int64Type>(group, &whole(|from| from.partner), Some(&defined))?;
    let partners = sources.iter().map(|from| from.partner_class as usize);
    put_labels(group, &balanced.real.classes, partners, Some(&defined))?;
    put::<FloatType>(group, &sources.iter().map(|from| from.r).collect::<Vec<_>>(), Some(&defined))
}

fn put_labels<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    classes: &Classes,
    labels: impl Iterator<Item = usize>,
    defined: Option<&[i16]>,
) -> Result<()> {
    match classes {
        Classes::Numbers(numbers) => {
            put::<Int64Type>(group, &labels.map(|class| numbers[class]).collect::<Vec<_>>(), defined)
        }
        Classes::Words(words) => {
            // They share the bytes of each word.
            let words: Vec<ByteArray> = words.iter().map(|word| word.as_str().into()).collect();
            put::<ByteArrayType>(
                group,
                &labels.map(|class| words[class].clone()).collect::<Vec<_>>(),
                defined,
            )
        }
    }
}

/// Writes the next column of a group.
fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    defined: Option<&[i16]>,
) -> Result<()> {
    // A group that lacks a column is refused when it is closed.
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, defined, None)?;
        column.close()?;
    }
    Ok(())
}
