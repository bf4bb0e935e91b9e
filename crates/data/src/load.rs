use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use expanse_domain::Seed;
use expanse_imbalance::hold_out;

use crate::{
    DataError, DataSet, ImageSet, ImageShape, cifar, idx,
    pictures::{self, PictureFolder},
};

/// A way in which data sets lie in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Four IDX files of bytes, as MNIST and its relatives: gray images.
    ///
    /// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`.
    /// Source: <http://yann.lecun.com/exdb/mnist/>.
    Idx,
    /// The binary version of CIFAR-10: rows of one label and 3 × 32 × 32 values.
    ///
    /// `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`, and the names of the classes in
    /// `batches.meta.txt` if that is there. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.
    Cifar10Binary,
    /// Pictures in folders, one for each class: see [`PictureFolder::find`].
    Pictures,
}

/// How pictures become a data set; the other formats hold images of one shape, and a test split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureOptions {
    /// The shape that every picture is given, of 1 or 3 channels.
    pub shape: ImageShape,
    /// Of each class, the share that is the test split, where the folder has none. At least one picture is.
    pub test_share: f64,
}

/// There is no data format of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data format `{got}` is unknown; use one of: {}", Format::names().join(", "))]
pub struct UnknownFormat {
    /// The name given.
    pub got: String,
}

/// Reads a data set from the files of `format` in `folder`; those of IDX and CIFAR-10 plain or, where there is no plain
/// one, with `.gz`.
///
/// The classes are those given, else those that the folder names, else one for each number up to the largest
/// label of the training split. Everything is checked: what is cut short, too long, damaged or does not pair up
/// is an error that names the file. (Rows of CIFAR-10 carry no count; there, the training batches must be equal.)
pub fn load(
    format: Format,
    folder: &Path,
    classes: Option<&[String]>,
    pictures: &PictureOptions,
) -> Result<DataSet, DataError> {
    let stored = match format {
        Format::Idx => idx::read(folder)?,
        Format::Cifar10Binary => cifar::read(folder)?,
        Format::Pictures => return load_pictures(folder, classes, pictures),
    };
    stored.data_set(classes)
}

fn load_pictures(
    folder: &Path,
    classes: Option<&[String]>,
    options: &PictureOptions,
) -> Result<DataSet, DataError> {
    let PictureFolder { classes, train, test, .. } = PictureFolder::find(folder, classes)?;
    let read = |files: &[Vec<PathBuf>]| pictures::read(files, &classes, options.shape);
    if let Some(test) = test {
        return Ok(DataSet { train: read(&train)?, test: read(&test)? });
    }
    let alone = train.iter().position(|files| files.len() == 1);
    if let Some(class) = alone {
        return Err(DataError::OnePicture { folder: folder.into(), class: classes[class].clone() });
    }
    let all = read(&train)?;
    // The split belongs to the data set: every experiment, whatever its seed, has the same test.
    let (train, test) = hold_out(all.labels(), classes.len(), options.test_share, 1, Seed(0));
    Ok(DataSet { train: all.select(&train), test: all.select(&test) })
}

impl Format {
    const ALL: [Self; 3] = [Self::Idx, Self::Cifar10Binary, Self::Pictures];

    /// The names of all formats.
    pub fn names() -> &'static [&'static str] {
        const { &[Self::ALL[0].name(), Self::ALL[1].name(), Self::ALL[2].name()] }
    }

    /// The name of this format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idx => "idx",
            Self::Cifar10Binary => "cifar10-binary",
            Self::Pictures => "pictures",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let format = Self::ALL.into_iter().find(|format| format.name() == name);
        format.ok_or_else(|| UnknownFormat { got: name.to_owned() })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the files of one folder hold, before labels are known to have a class.
pub(crate) struct Stored {
    pub(crate) train: Split,
    pub(crate) test: Split,
    pub(crate) classes: Option<Vec<String>>,
}

impl Stored {
    /// Both splits, checked against one another and the classes: those given, else those of the files, else numbers.
    pub(crate) fn data_set(self, classes: Option<&[String]>) -> Result<DataSet, DataError> {
        let (train, test) = (self.train, self.test);
        if train.shape != test.shape {
            return Err(DataError::ShapeMismatch {
                train_shape: train.shape,
                test_shape: test.shape,
                train: train.path,
                test: test.path,
            });
        }
        let classes =
            classes.map(<[String]>::to_vec).or(self.classes).unwrap_or_else(|| train.numbered_classes());
        Ok(DataSet { train: train.with_classes(&classes)?, test: test.with_classes(&classes)? })
    }
}

/// The images of one split, with their labels by file.
pub(crate) struct Split {
    /// The first file of the images.
    pub(crate) path: PathBuf,
    pub(crate) shape: ImageShape,
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<(PathBuf, Vec<u8>)>,
}

impl Split {
    fn numbered_classes(&self) -> Vec<String> {
        let largest = self.labels.iter().flat_map(|(_, labels)| labels).copied().max();
        largest.into_iter().flat_map(|largest| 0..=largest).map(|label| label.to_string()).collect()
    }

    fn with_classes(self, classes: &[String]) -> Result<ImageSet, DataError> {
        for (path, labels) in &self.labels {
            if let Some(index) = labels.iter().position(|&label| usize::from(label) >= classes.len()) {
                let (path, label) = (path.clone(), labels[index].into());
                return Err(DataError::Label { path, index, label, classes: classes.len() });
            }
        }
        let labels = self.labels.iter().flat_map(|(_, labels)| labels).map(|&label| label.into()).collect();
        ImageSet::new(self.shape, self.pixels, labels, classes.to_vec())
            .map_err(|source| DataError::Images { path: self.path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_name() {
        for (&name, format) in Format::names().iter().zip(Format::ALL) {
            assert_eq!(name.parse(), Ok(format));
        }
        let message = "png".parse::<Format>().unwrap_err().to_string();
        assert_eq!(message, "data format `png` is unknown; use one of: idx, cifar10-binary, pictures");
    }
}
