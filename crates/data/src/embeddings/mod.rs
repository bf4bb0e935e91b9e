//! Matrices with labels in files, as other programs write and read them: safetensors, NumPy's `.npy` and `.npz`, CSV,
//! and Parquet if the feature `parquet` is on. The extension tells the format.

mod csv;
mod error;
mod npy;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;
mod tensors;
mod values;

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

pub use error::EmbeddingsError;
use expanse_domain::{Matrix, Provenance};
use tempfile::NamedTempFile;
use values::{Array, Values};

/// Samples with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One sample a row.
    pub features: Matrix,
    /// The class of each row, an index into `classes`.
    pub labels: Vec<u32>,
    /// The labels as they stand in the file, in ascending order.
    pub classes: Classes,
}

/// The labels of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// Words, which only CSV and Parquet hold.
    Words(Vec<String>),
}

/// What is to be read of a file, and by which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// The array of features, or the column of a Parquet file that holds lists of them; not for `.npy` and CSV.
    pub features: &'a str,
    /// The array of labels, or their column in CSV and Parquet; not for `.npy`.
    pub labels: &'a str,
}

/// Samples with rows that were made of them.
#[derive(Clone, Copy, Debug)]
pub struct Balanced<'a> {
    /// The samples, which come first.
    pub real: &'a Embeddings,
    /// The rows made, `f32[made, cols]`.
    pub synthetic: &'a Matrix,
    /// The class of each row made, an index into the classes of `real`.
    pub labels: &'a [u32],
    /// Where each row made comes from.
    pub provenance: &'a [Provenance],
}

/// The formats, by the extension of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Safetensors,
    Npy,
    Npz,
    Csv,
    #[cfg(feature = "parquet")]
    Parquet,
}

/// What a file tells of the rows made: the row that each starts from, the one it goes towards, the class of that one, and
/// how far it goes.
const PROVENANCE: [&str; 4] = ["base", "partner", "partner_class", "r"];

impl Format {
    const NAMES: &[(&'static str, Format)] = &[
        ("safetensors", Self::Safetensors),
        ("npy", Self::Npy),
        ("npz", Self::Npz),
        ("csv", Self::Csv),
        #[cfg(feature = "parquet")]
        ("parquet", Self::Parquet),
    ];

    fn of(path: &Path) -> Result<Self, EmbeddingsError> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if cfg!(not(feature = "parquet")) && extension.eq_ignore_ascii_case("parquet") {
            return Err(EmbeddingsError::NoParquet { path: path.into() });
        }
        let known = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(extension));
        let names = || Self::NAMES.iter().map(|(name, _)| format!(".{name}")).collect();
        known
            .map(|&(_, format)| format)
            .ok_or_else(|| EmbeddingsError::Format { path: path.into(), known: names() })
    }
}

impl Classes {
    /// The number of classes.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of class number `class`, as text.
    pub fn name(&self, class: usize) -> String {
        match self {
            Self::Numbers(numbers) => numbers[class].to_string(),
            Self::Words(words) => words[class].clone(),
        }
    }

    /// All labels as text.
    pub fn names(&self) -> Vec<String> {
        (0..self.len()).map(|class| self.name(class)).collect()
    }
}

/// Whether the extension of a file names a format; to be asked before long work whose result the file is to hold.
///
/// # Errors
///
/// [`EmbeddingsError::Format`], with the extensions that name one, or [`EmbeddingsError::NoParquet`].
pub fn check_extension(path: &Path) -> Result<(), EmbeddingsError> {
    Format::of(path).map(|_| ())
}

/// Reads samples and labels; `labels` is the file of the labels where they have one of their own, which `.npy` needs.
///
/// Floating-point numbers of 16, 32 or 64 bits become `f32`; labels are whole numbers, in CSV and Parquet also words. The
/// first line of a CSV file names its columns, all of which but the label's are features. A Parquet file has such
/// columns, whole numbers among them, or lists of features in the column of their name.
///
/// # Errors
///
/// A file cannot be read, is of another format, lacks a name, or its shapes do not fit.
pub fn read_embeddings(
    path: &Path,
    names: &Names<'_>,
    labels: Option<&Path>,
) -> Result<Embeddings, EmbeddingsError> {
    let (features, own_labels) = match Format::of(path)? {
        Format::Csv if labels.is_some() => {
            return Err(EmbeddingsError::TwoLabels { path: path.into() });
        }
        Format::Csv => return csv::read(path, names.labels),
        #[cfg(feature = "parquet")]
        Format::Parquet if labels.is_some() => {
            return Err(EmbeddingsError::TwoLabels { path: path.into() });
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => return parquet::read(path, names),
        Format::Npy => (npy::read(&mut open(path)?, path)?, None),
        Format::Npz => npz::read(path, names, labels.is_none())?,
        Format::Safetensors => tensors::read(path, names, labels.is_none())?,
    };
    let (labels_path, labels) = match (own_labels, labels) {
        (Some(own), _) => (path, own),
        (None, Some(path)) => (path, read_labels(path, names)?),
        (None, None) => return Err(EmbeddingsError::NoLabels { path: path.into() }),
    };
    let features = features.matrix(path)?;
    let labels = labels.integers(labels_path)?;
    if features.rows() != labels.len() {
        return Err(EmbeddingsError::Rows { path: path.into(), rows: features.rows(), labels: labels.len() });
    }
    let (labels, classes) = numbered(&labels);
    Ok(Embeddings { features, labels, classes: Classes::Numbers(classes) })
}

/// Labels in a file of their own.
fn read_labels(path: &Path, names: &Names<'_>) -> Result<Array, EmbeddingsError> {
    match Format::of(path)? {
        Format::Npy => npy::read(&mut open(path)?, path),
        Format::Npz => npz::read_one(path, names.labels),
        Format::Safetensors => tensors::read_one(path, names.labels),
        // Tables hold features and labels together.
        _ => Err(EmbeddingsError::Format {
            path: path.into(),
            known: [".npy", ".npz", ".safetensors"].map(str::to_owned).into(),
        }),
    }
}

/// Each label as its place among the different ones, which ascend.
fn numbered<T: Ord + Clone>(labels: &[T]) -> (Vec<u32>, Vec<T>) {
    let mut classes = labels.to_vec();
    classes.sort();
    classes.dedup();
    // Every label is among the classes.
    let place = |label| classes.binary_search(label).unwrap_or_default() as u32;
    (labels.iter().map(place).collect(), classes)
}

/// Writes samples and then the rows made of them, whole or not at all.
///
/// `.safetensors` and `.npz` hold `embeddings` and `labels` under the names given, and for the rows made `base`,
/// `partner`, `partner_class` (as labels) and `r`. `.npy` holds the features, and the file `labels` the
/// labels. CSV holds columns `x0`, `x1` and so on, and the label's; Parquet the same, and `base`, `partner`,
/// `partner_class` and `r`, in which the samples have no value.
///
/// # Errors
///
/// A file cannot be written, or the format cannot hold the labels.
pub fn write_balanced(
    path: &Path,
    names: &Names<'_>,
    labels: Option<&Path>,
    balanced: &Balanced<'_>,
) -> Result<(), EmbeddingsError> {
    let format = Format::of(path)?;
    let staged = match (format, labels) {
        (Format::Csv, None) => stage(path, |out| csv::write(out, names.labels, balanced))?,
        #[cfg(feature = "parquet")]
        (Format::Parquet, None) => {
            parquet::check_label(path, names.labels, balanced.cols())?;
            stage(path, |out| parquet::write(out, names.labels, balanced))?
        }
        (Format::Npy, Some(labels)) => {
            if Format::of(labels)? != Format::Npy {
                return Err(EmbeddingsError::Format { path: labels.into(), known: vec![".npy".into()] });
            }
            let numbers = numbers(path, balanced)?;
            let shape = [balanced.rows(), balanced.cols()];
            let features = stage(path, |out| npy::write(out, &shape, &balanced.features()))?;
            let staged = stage(labels, |out| npy::write(out, &[numbers.len()], &Values::I64(&numbers)))?;
            publish(staged, labels)?;
            features
        }
        (Format::Npy, None) => return Err(EmbeddingsError::NoLabels { path: path.into() }),
        (_, Some(_)) => return Err(EmbeddingsError::TwoLabels { path: path.into() }),
        (Format::Npz, None) => {
            let numbers = numbers(path, balanced)?;
            stage(path, |out| npz::write(out, &balanced.arrays(names, &numbers)))?
        }
        (Format::Safetensors, None) => {
            let numbers = numbers(path, balanced)?;
            stage(path, |out| tensors::write(out, &balanced.arrays(names, &numbers)))?
        }
    };
    publish(staged, path)
}

/// An array to write.
struct Named<'a> {
    name: &'a str,
    shape: Vec<usize>,
    values: Values<'a>,
}

impl<'a> Balanced<'a> {
    fn rows(&self) -> usize {
        self.real.features.rows() + self.synthetic.rows()
    }

    fn cols(&self) -> usize {
        self.real.features.cols()
    }

    fn features(&self) -> Values<'a> {
        Values::F32([self.real.features.as_slice(), self.synthetic.as_slice()])
    }

    /// The classes of all rows.
    fn labels(&self) -> impl Iterator<Item = usize> {
        self.real.labels.iter().chain(self.labels).map(|&label| label as usize)
    }

    /// All that `.safetensors` and `.npz` hold; `numbers` are the labels of all rows, then base, partner and class of
    /// the partner of those made.
    fn arrays<'b>(&'b self, names: &Names<'b>, numbers: &'b [i64]) -> Vec<Named<'b>> {
        let (rows, made) = (self.rows(), self.synthetic.rows());
        let part = |at: usize| Values::I64(&numbers[rows + at * made..][..made]);
        let array = |name, shape: &[usize], values| Named { name, shape: shape.to_vec(), values };
        let [base, partner, partner_class, r] = PROVENANCE;
        vec![
            array(names.features, &[rows, self.cols()], self.features()),
            array(names.labels, &[rows], Values::I64(&numbers[..rows])),
            array(base, &[made], part(0)),
            array(partner, &[made], part(1)),
            array(partner_class, &[made], part(2)),
            array(r, &[made], Values::R(self.provenance)),
        ]
    }
}

/// The labels of all rows as numbers; for the formats that hold provenance, that follows.
fn numbers(path: &Path, balanced: &Balanced<'_>) -> Result<Vec<i64>, EmbeddingsError> {
    let Classes::Numbers(classes) = &balanced.real.classes else {
        return Err(EmbeddingsError::Words { path: path.into() });
    };
    let mut numbers: Vec<i64> = balanced.labels().map(|label| classes[label]).collect();
    if Format::of(path)? != Format::Npy {
        let sources = balanced.provenance;
        numbers.extend(sources.iter().map(|from| from.base as i64));
        numbers.extend(sources.iter().map(|from| from.partner as i64));
        numbers.extend(sources.iter().map(|from| classes[from.partner_class as usize]));
    }
    Ok(numbers)
}

fn open(path: &Path) -> Result<BufReader<File>, EmbeddingsError> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|source| EmbeddingsError::Unreadable { path: path.into(), source })
}

/// A file that is complete beside the place it will take; it is removed if it never takes it.
fn stage(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<NamedTempFile>) -> std::io::Result<()>,
) -> Result<NamedTempFile, EmbeddingsError> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), Into::into);
    let mut builder = tempfile::Builder::new();
    // As for any new file, the process's mask decides who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let staged = builder.tempfile_in(folder).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        write(&mut out)?;
        out.flush()?;
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    staged.map_err(|source| EmbeddingsError::Unwritable { path: path.into(), source })
}

fn publish(staged: NamedTempFile, path: &Path) -> Result<(), EmbeddingsError> {
    let failed = |error: tempfile::PersistError| EmbeddingsError::Unwritable {
        path: path.into(),
        source: error.error,
    };
    staged.persist(path).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests;
