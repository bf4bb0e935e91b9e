//! Pictures in folders: a folder for each class, with files in the usual formats.

mod decode;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use crate::{DataError, ImageSet, ImageShape};

pub use decode::{PictureError, Pictured, look, read_picture};

/// The extensions of files that are read as pictures, in lower case.
pub const PICTURE_EXTENSIONS: [&str; 10] =
    ["png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff", "pgm", "ppm"];

/// The folder of the training pictures, where they are apart from those of the test.
const TRAIN: &str = "train";
/// The folders that may hold the pictures of the test, the first that is there.
const TEST: [&str; 2] = ["test", "val"];

/// The picture files of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFolder {
    /// The names of the classes: those of the folders, in their order.
    pub classes: Vec<String>,
    /// The files of each class, in the order of their paths.
    pub train: Vec<Vec<PathBuf>>,
    /// The same of the test; none if it is to be taken from `train`.
    pub test: Option<Vec<Vec<PathBuf>>>,
    /// Files that are passed over, as their extension is not one of [`PICTURE_EXTENSIONS`].
    pub passed_over: usize,
}

impl PictureFolder {
    /// Looks for pictures: `FOLDER/train/CLASS/…` and `FOLDER/test/CLASS/…` (or `val`), or `FOLDER/CLASS/…` alone.
    ///
    /// A class is a folder, and pictures may lie in folders below it. What begins with a dot is not there. With
    /// `classes`, these are the classes, in this order.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, has no classes or not those given, or a class of it has no picture.
    pub fn find(folder: &Path, classes: Option<&[String]>) -> Result<Self, DataError> {
        let train = Some(folder.join(TRAIN)).filter(|train| train.is_dir());
        let test =
            TEST.map(|name| folder.join(name)).into_iter().find(|test| train.is_some() && test.is_dir());
        let train = train.as_deref().unwrap_or(folder);
        let found = folders(train)?;
        if found.is_empty() {
            return Err(DataError::NoClasses { folder: train.into() });
        }
        let classes = classes.map_or(found, <[String]>::to_vec);
        let mut passed_over = 0;
        let mut split = |folder: &Path| -> Result<Vec<Vec<PathBuf>>, DataError> {
            let has = folders(folder)?;
            if let Some(stranger) = has.iter().find(|name| !classes.contains(name)) {
                let (path, classes) = (folder.join(stranger), classes.clone());
                return Err(DataError::NoClass { path, classes });
            }
            let of = |class: &String| {
                let mut files = Vec::new();
                let path = folder.join(class);
                walk(&path, &mut files, &mut passed_over)?;
                match files.is_empty() {
                    true => Err(DataError::NoPictures { folder: path }),
                    false => Ok(files),
                }
            };
            classes.iter().map(of).collect()
        };
        let train = split(train)?;
        let test = test.as_deref().map(split).transpose()?;
        Ok(Self { classes, train, test, passed_over })
    }
}

/// Reads the pictures of a split: each becomes an image of `shape`, as [`read_picture`] does it.
///
/// # Errors
///
/// A file cannot be read as a picture; of several, the first in the order of labels and paths.
pub(crate) fn read(
    files: &[Vec<PathBuf>],
    classes: &[String],
    shape: ImageShape,
) -> Result<ImageSet, DataError> {
    let labels: Vec<u32> =
        (0..).zip(files).flat_map(|(label, files)| files.iter().map(move |_| label)).collect();
    let mut pixels = vec![0; labels.len() * shape.values()];
    let places: Vec<_> = files.iter().flatten().zip(pixels.chunks_exact_mut(shape.values())).collect();
    let read = |(path, place): (&PathBuf, &mut [u8])| {
        place.copy_from_slice(&read_picture(path, shape)?);
        Ok(())
    };
    let failed: Vec<PictureError> = places.into_par_iter().filter_map(|place| read(place).err()).collect();
    if let Some(first) = failed.into_iter().next() {
        return Err(first.into());
    }
    let path = files.iter().flatten().next().cloned().unwrap_or_default();
    ImageSet::new(shape, pixels, labels, classes.to_vec())
        .map_err(|source| DataError::Images { path, source })
}

/// The names of the folders in one, in their order.
fn folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let entries = entries(folder)?.into_iter().filter(|path| path.is_dir());
    let name = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        name.ok_or(DataError::ClassName { path })
    };
    entries.map(name).collect()
}

/// Appends the pictures in a folder and those below it, and counts the other files. A folder that is a link is not
/// entered, so that there is an end.
fn walk(folder: &Path, files: &mut Vec<PathBuf>, passed_over: &mut usize) -> Result<(), DataError> {
    for path in entries(folder)? {
        if path.is_dir() {
            if !path.is_symlink() {
                walk(&path, files, passed_over)?;
            }
        } else if is_picture(&path) {
            files.push(path);
        } else {
            *passed_over += 1;
        }
    }
    Ok(())
}

/// What is in a folder, in the order of the names, but for what is hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DataError::NoPictures { folder: folder.into() },
        _ => DataError::Unreadable { path: folder.into(), source },
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| PICTURE_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}
