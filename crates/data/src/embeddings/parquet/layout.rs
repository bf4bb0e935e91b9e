//! Which columns of a table are features, and which one holds the labels.

use std::path::Path;

use parquet::{basic::Compression, file::metadata::ParquetMetaData, schema::types::SchemaDescriptor};

use super::{
    super::PROVENANCE,
    kind::{Kind, Use},
};
use crate::{EmbeddingsError, Names};

/// Where labels and features stand, as numbers of the columns that hold values.
pub(super) struct Layout {
    pub labels: usize,
    pub features: Features,
}

pub(super) enum Features {
    /// One column each.
    Columns(Vec<usize>),
    /// One column, with a list in each row.
    Lists(usize),
}

/// What can be decompressed, for messages.
const COMPRESSIONS: &str = "snappy, zstd, gzip, lz4 or none";

impl Layout {
    /// Finds the labels by their name. Features are the lists of the column of that name; if there is none, all other
    /// columns but those that tell where rows come from, and the index of a data frame.
    pub(super) fn find(
        path: &Path,
        metadata: &ParquetMetaData,
        names: &Names<'_>,
    ) -> Result<Self, EmbeddingsError> {
        let fields = fields(metadata.file_metadata().schema_descr());
        let no_name = |name: &str| {
            let held = fields.iter().map(|field| field.name.to_owned()).collect();
            EmbeddingsError::NoName { path: path.into(), name: name.into(), held }
        };
        let label = only(path, &fields, names.labels)?.ok_or_else(|| no_name(names.labels))?;
        let labels = label.column(path, metadata, 0, Use::Labels)?;
        let lists = only(path, &fields, names.features)?.filter(|field| field.depth > 0);
        let features = match lists {
            Some(field) => Features::Lists(field.column(path, metadata, 1, Use::Features)?),
            None => {
                let traced = PROVENANCE.iter().all(|name| fields.iter().any(|field| field.name == *name));
                let index = index(metadata);
                let is_feature = |field: &&Field<'_>| {
                    field.first != labels
                        && !(traced && PROVENANCE.contains(&field.name))
                        && !index.iter().any(|name| name == field.name)
                };
                let columns: Result<Vec<usize>, _> = fields
                    .iter()
                    .filter(is_feature)
                    .map(|field| field.column(path, metadata, 0, Use::Features))
                    .collect();
                Features::Columns(columns?)
            }
        };
        match &features {
            Features::Columns(columns) if columns.is_empty() => Err(no_name(names.features)),
            _ => Ok(Self { labels, features }),
        }
    }
}

/// What a table has under one name.
struct Field<'a> {
    name: &'a str,
    /// The first of its columns of values.
    first: usize,
    /// How many there are; more than one if it is composed.
    held: usize,
    /// How deep lists lie in one another.
    depth: i16,
}

fn fields(schema: &SchemaDescriptor) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    for (column, values) in schema.columns().iter().enumerate() {
        let root = schema.get_column_root_idx(column);
        match fields.last_mut() {
            Some(field) if schema.get_column_root_idx(field.first) == root => field.held += 1,
            _ => {
                let name = schema.get_column_root(column).name();
                fields.push(Field { name, first: column, held: 1, depth: values.max_rep_level() });
            }
        }
    }
    fields
}

/// What has that name, of which there must not be two.
fn only<'a, 'b>(
    path: &Path,
    fields: &'b [Field<'a>],
    name: &str,
) -> Result<Option<&'b Field<'a>>, EmbeddingsError> {
    let mut named = fields.iter().filter(|field| field.name == name);
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(EmbeddingsError::Twice { path: path.into(), name: name.into() }),
        (found, None) => Ok(found),
    }
}

impl Field<'_> {
    /// Its column of values, if there is one, as deep as is needed, which can be read and serves.
    fn column(
        &self,
        path: &Path,
        metadata: &ParquetMetaData,
        depth: i16,
        wanted: Use,
    ) -> Result<usize, EmbeddingsError> {
        let kind = Kind::of(&metadata.file_metadata().schema_descr().column(self.first));
        let serves = self.held == 1 && wanted.takes(&kind);
        let (path, name) = (path.into(), self.name.into());
        if serves && self.depth == depth {
            return match unreadable_compression(metadata, self.first) {
                None => Ok(self.first),
                Some(compression) => {
                    Err(EmbeddingsError::Compression { path, name, compression, allowed: COMPRESSIONS })
                }
            };
        }
        if serves && wanted == Use::Features && self.depth == 1 {
            return Err(EmbeddingsError::Lists { path, name });
        }
        let dtype = match (self.held, self.depth) {
            (1, 0) => kind.to_string(),
            (1, depth) => format!("{}{kind}", "list of ".repeat(depth as usize)),
            _ => "struct".into(),
        };
        Err(EmbeddingsError::Type { path, name, dtype, allowed: wanted.allowed() })
    }
}

/// A compression of some part of a column that this build does not undo.
fn unreadable_compression(metadata: &ParquetMetaData, column: usize) -> Option<&'static str> {
    metadata.row_groups().iter().find_map(|group| match group.column(column).compression() {
        Compression::BROTLI(_) => Some("brotli"),
        Compression::LZO => Some("lzo"),
        _ => None,
    })
}

/// The columns that pandas has written the index of a data frame to.
fn index(metadata: &ParquetMetaData) -> Vec<String> {
    let entries = metadata.file_metadata().key_value_metadata();
    let pandas = entries.and_then(|entries| entries.iter().find(|entry| entry.key == "pandas"));
    let told = pandas.and_then(|entry| serde_json::from_str(entry.value.as_ref()?).ok());
    let told: serde_json::Value = told.unwrap_or_default();
    // An index that counts from 0 is described and has no column.
    let columns = told["index_columns"].as_array().into_iter().flatten();
    columns.filter_map(|column| Some(column.as_str()?.to_owned())).collect()
}
