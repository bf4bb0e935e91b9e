use std::path::Path;

use crate::{
    DataError, ImageShape,
    load::{Split, Stored},
    source::{Source, require},
};

/// The element type of unsigned bytes, the only one that image sets use.
pub(crate) const UNSIGNED_BYTE: u8 = 0x08;

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Reads the four files of an IDX data set.
pub(crate) fn read(folder: &Path) -> Result<Stored, DataError> {
    require(folder, &[TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])?;
    Ok(Stored {
        train: read_split(folder, TRAIN_IMAGES, TRAIN_LABELS)?,
        test: read_split(folder, TEST_IMAGES, TEST_LABELS)?,
        classes: None,
    })
}

fn read_split(folder: &Path, images: &str, labels: &str) -> Result<Split, DataError> {
    let (images, labels) = (Source::open(folder, images)?, Source::open(folder, labels)?);
    let (path, labels_path) = (images.path.clone(), labels.path.clone());
    let ([image_count, height, width], pixels) = read_array(images, "pixels")?;
    let ([label_count], labels) = read_array(labels, "labels")?;
    if image_count != label_count {
        return Err(DataError::CountMismatch { images: path, labels: labels_path, image_count, label_count });
    }
    if image_count == 0 {
        return Err(DataError::Empty { path });
    }
    let shape = ImageShape { channels: 1, height, width };
    Ok(Split { path, shape, pixels, labels: vec![(labels_path, labels)] })
}

/// An array of `D` dimensions: two zeros, the element type, `D`, each dimension as big-endian `u32`, the elements.
fn read_array<const D: usize>(
    mut source: Source,
    part: &'static str,
) -> Result<([usize; D], Vec<u8>), DataError> {
    let header = source.take("header", 4 + 4 * D)?;
    let (words, _) = header.as_chunks::<4>();
    let found = words[0];
    match found {
        [0, 0, UNSIGNED_BYTE, count] if usize::from(count) == D => {}
        [0, 0, UNSIGNED_BYTE, count] => {
            return Err(DataError::IdxDimensions { path: source.path, found: count, expected: D as u8 });
        }
        [0, 0, element, _] => return Err(DataError::IdxElement { path: source.path, found: element }),
        _ => return Err(DataError::NotIdx { path: source.path, found }),
    }
    let dimensions: [usize; D] = std::array::from_fn(|axis| u32::from_be_bytes(words[axis + 1]) as usize);
    let Some(len) = dimensions.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) else {
        return Err(DataError::TooLarge { path: source.path, dimensions: dimensions.to_vec() });
    };
    Ok((dimensions, source.take_last(part, len)?))
}

#[cfg(test)]
mod tests;
