use std::fmt;

use expanse_domain::{ClassCounts, hex};
use sha2::{Digest, Sha256};

/// The images of one split as they are stored: `u8`, `n × channels × height × width`, each with a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSet {
    /// The shape of every image.
    pub shape: ImageShape,
    /// The name of each class; the index is the label.
    pub classes: Vec<String>,
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

/// The two splits of a data set, with images of one shape and the same classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// What is trained on.
    pub train: ImageSet,
    /// What is only evaluated on.
    pub test: ImageSet,
}

/// The shape of one image; its values lie channel after channel, row after row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 for gray images, 3 for red, green and blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Pixels, labels and classes do not make a set of images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageSetError {
    /// An image would hold nothing, or more than can be counted.
    #[error("images of {shape} (channels × height × width) cannot be held; each side must be at least 1")]
    Shape {
        /// The shape given.
        shape: ImageShape,
    },
    /// The pixels do not fill the images.
    #[error(
        "{got} pixel values do not hold {images} images of {shape}; give one label and {shape} values an image"
    )]
    Pixels {
        /// Values given.
        got: usize,
        /// Labels given, and so images.
        images: usize,
        /// The shape of an image.
        shape: ImageShape,
    },
    /// A label has no class.
    #[error(
        "image {index} has label {label}, but there are {classes} classes; labels must be below {classes}"
    )]
    Label {
        /// The image.
        index: usize,
        /// Its label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
}

impl ImageSet {
    /// Takes `n` labels, each below the number of `classes`, and `n × channels × height × width` pixels.
    pub fn new(
        shape: ImageShape,
        pixels: Vec<u8>,
        labels: Vec<u32>,
        classes: Vec<String>,
    ) -> Result<Self, ImageSetError> {
        let values =
            shape.checked_values().filter(|&values| values > 0).ok_or(ImageSetError::Shape { shape })?;
        if labels.len().checked_mul(values) != Some(pixels.len()) {
            return Err(ImageSetError::Pixels { got: pixels.len(), images: labels.len(), shape });
        }
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes.len()) {
            return Err(ImageSetError::Label { index, label: labels[index], classes: classes.len() });
        }
        Ok(Self { shape, classes, pixels, labels })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The `channels × height × width` values of image `index`.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let values = self.shape.values();
        &self.pixels[index * values..][..values]
    }

    /// The values of all images, one after the other.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The labels, by image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// A copy of the named images, in the order named; an image may be named more than once, or never.
    ///
    /// # Panics
    ///
    /// If an index names no image.
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * self.shape.values());
        for &index in indices {
            pixels.extend_from_slice(self.image(index));
        }
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self { shape: self.shape, classes: self.classes.clone(), pixels, labels }
    }

    /// The number of images of each class.
    pub fn counts(&self) -> ClassCounts {
        ClassCounts::of(&self.labels, self.classes.len())
    }

    /// What identifies the images: SHA-256(n ‖ channels ‖ height ‖ width ‖ labels ‖ pixels), in hexadecimal.
    ///
    /// Sizes are `u64` and labels `u32`, little-endian. The names of the classes do not count.
    pub fn sha256(&self) -> String {
        let ImageShape { channels, height, width } = self.shape;
        let mut hash = Sha256::new();
        for size in [self.len(), channels, height, width] {
            hash.update((size as u64).to_le_bytes());
        }
        for label in &self.labels {
            hash.update(label.to_le_bytes());
        }
        hash.update(&self.pixels);
        hex(&hash.finalize())
    }
}

impl ImageShape {
    /// The number of values of one image.
    pub fn values(self) -> usize {
        self.channels * self.height * self.width
    }

    fn checked_values(self) -> Option<usize> {
        self.channels.checked_mul(self.height)?.checked_mul(self.width)
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.channels, self.height, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

    fn set(shape: ImageShape, pixels: &[u8], labels: &[u32]) -> Result<ImageSet, ImageSetError> {
        ImageSet::new(shape, pixels.to_vec(), labels.to_vec(), vec!["cat".into(), "ship".into()])
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let wide = ImageShape { width: usize::MAX, height: 3, channels: 1 };
        let flat = ImageShape { height: 0, ..SHAPE };
        assert_eq!(set(wide, &[], &[]), Err(ImageSetError::Shape { shape: wide }));
        assert_eq!(set(flat, &[], &[0]), Err(ImageSetError::Shape { shape: flat }));
        assert_eq!(
            set(SHAPE, &[1, 2, 3], &[0, 1]),
            Err(ImageSetError::Pixels { got: 3, images: 2, shape: SHAPE })
        );
        assert_eq!(
            set(SHAPE, &[1, 2, 3, 4], &[0, 2]),
            Err(ImageSetError::Label { index: 1, label: 2, classes: 2 })
        );
    }

    #[test]
    fn selecting_takes_images_with_their_labels() {
        let all = set(SHAPE, &[1, 2, 3, 4, 5, 6], &[0, 1, 1]).unwrap();
        let some = all.select(&[2, 0, 2]);
        assert_eq!(some, set(SHAPE, &[5, 6, 1, 2, 5, 6], &[1, 0, 1]).unwrap());
        assert_eq!((some.len(), some.image(1), some.counts().as_slice()), (3, &[1, 2][..], &[1, 2][..]));
        assert!(all.select(&[]).is_empty());
    }

    #[test]
    fn the_hash_sees_shape_labels_and_pixels() {
        let hash = |shape, pixels: &[u8], labels: &[u32]| set(shape, pixels, labels).unwrap().sha256();
        let first = hash(SHAPE, &[1, 2, 3, 4], &[0, 1]);
        assert_eq!(first, SHA256_OF_FIRST);
        assert_ne!(first, hash(ImageShape { height: 2, width: 1, ..SHAPE }, &[1, 2, 3, 4], &[0, 1]));
        assert_ne!(first, hash(SHAPE, &[1, 2, 3, 4], &[1, 0]));
        assert_ne!(first, hash(SHAPE, &[1, 2, 3, 5], &[0, 1]));
    }

    /// Of the bytes that [`ImageSet::sha256`] names, computed by another implementation.
    const SHA256_OF_FIRST: &str = "b8afbaba93ea05cfaf4a414340e26f542dec458d63c9f3daef15982900ec774a";
}
