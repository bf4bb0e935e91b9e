//! Comma-separated values, the first line naming the columns.

use std::{
    io::{self, Write},
    path::Path,
};

use csv::{Reader, StringRecord, Writer};
use expanse_domain::Matrix;

use super::{Balanced, Classes, Embeddings, EmbeddingsError, numbered, open};

pub(super) fn read(path: &Path, label: &str) -> Result<Embeddings, EmbeddingsError> {
    let content =
        |error: csv::Error| EmbeddingsError::Content { path: path.into(), problem: error.to_string() };
    let mut reader = Reader::from_reader(open(path)?);
    let columns: Vec<String> =
        reader.headers().map_err(content)?.iter().map(|name| name.trim().to_owned()).collect();
    let Some(place) = columns.iter().position(|name| name == label) else {
        return Err(EmbeddingsError::NoName { path: path.into(), name: label.into(), held: columns });
    };
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(content)? {
        for (column, field) in record.iter().map(str::trim).enumerate() {
            if column == place {
                labels.push(field.to_owned());
                continue;
            }
            values.push(field.parse().map_err(|_| EmbeddingsError::Number {
                path: path.into(),
                line: record.position().map_or(0, csv::Position::line),
                column: columns[column].clone(),
                value: field.into(),
            })?);
        }
    }
    // Every record has as many fields as the first line, so this fits.
    let features = Matrix::new(values, labels.len(), columns.len() - 1).unwrap_or_default();
    let whole: Result<Vec<i64>, _> = labels.iter().map(|label| label.parse()).collect();
    let (labels, classes) = match whole {
        Ok(numbers) => {
            let (labels, classes) = numbered(&numbers);
            (labels, Classes::Numbers(classes))
        }
        Err(_) => {
            let (labels, classes) = numbered(&labels);
            (labels, Classes::Words(classes))
        }
    };
    Ok(Embeddings { features, labels, classes })
}

pub(super) fn write(out: &mut impl Write, label: &str, balanced: &Balanced<'_>) -> io::Result<()> {
    let mut writer = Writer::from_writer(out);
    let columns = (0..balanced.cols()).map(|column| format!("x{column}"));
    writer.write_record(columns.chain([label.to_owned()]))?;
    let parts = [&balanced.real.features, balanced.synthetic];
    let rows = parts.iter().flat_map(|part| (0..part.rows()).map(|row| part.row(row)));
    for (row, class) in rows.zip(balanced.labels()) {
        let fields = row.iter().map(f32::to_string);
        writer.write_record(fields.chain([balanced.real.classes.name(class)]))?;
    }
    writer.flush()
}
