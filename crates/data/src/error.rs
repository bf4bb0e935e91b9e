use std::{io, path::PathBuf};

use crate::{ImageSetError, ImageShape, PictureError};

/// A data set could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder does not exist.
    #[error("data folder {folder} does not exist; create it and put {} in it, or name another", expected.join(", "))]
    FolderMissing {
        /// The folder.
        folder: PathBuf,
        /// The files that the format wants in it.
        expected: Vec<&'static str>,
    },
    /// The folder is something else.
    #[error("{folder} is not a folder; name the folder that holds {}", expected.join(", "))]
    NotAFolder {
        /// What was named.
        folder: PathBuf,
        /// The files that the format wants in the folder.
        expected: Vec<&'static str>,
    },
    /// Files are neither there plain nor with `.gz`.
    #[error(
        "data folder {folder} lacks {}; it must hold {}, each plain or with .gz",
        missing.join(", "), expected.join(", ")
    )]
    FilesMissing {
        /// The folder.
        folder: PathBuf,
        /// The files that are not there.
        missing: Vec<&'static str>,
        /// All files that the format wants.
        expected: Vec<&'static str>,
    },
    /// A directory, or something else that holds no bytes, has the name of a file.
    #[error("{path} is {found}, not a file; move it away and put the file there")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What lies there.
        found: &'static str,
    },
    /// The operating system refused to read.
    #[error("{path} is there but cannot be read; check its permissions and the disk")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A `.gz` file is not compressed.
    #[error("{path} is not gzip; if it is not compressed, remove .gz from its name, else fetch it again")]
    NotGzip {
        /// The file.
        path: PathBuf,
    },
    /// A `.gz` file ends too early.
    #[error("{path} ends in the middle of its gzip data; fetch it again")]
    GzipTruncated {
        /// The file.
        path: PathBuf,
    },
    /// A `.gz` file does not decompress, fails its checksum, or goes on after its end.
    #[error("{path} holds damaged gzip data; fetch it again")]
    GzipCorrupt {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: io::Error,
    },
    /// A file does not begin as IDX files do.
    #[error("{path} begins with the bytes {found:02x?}, but an IDX file with two zeros; fetch it again")]
    NotIdx {
        /// The file.
        path: PathBuf,
        /// Its first four bytes.
        found: [u8; 4],
    },
    /// An IDX file holds other elements than bytes.
    #[error(
        "{path} holds elements of IDX type 0x{found:02x}; only unsigned bytes, 0x08, are read: convert it"
    )]
    IdxElement {
        /// The file.
        path: PathBuf,
        /// The type that its header names.
        found: u8,
    },
    /// An IDX file has another number of dimensions than its content needs.
    #[error(
        "{path} has {found} dimensions instead of {expected}; images have 3, labels 1: are they swapped?"
    )]
    IdxDimensions {
        /// The file.
        path: PathBuf,
        /// The number that its header names.
        found: u8,
        /// The number needed.
        expected: u8,
    },
    /// The sizes cannot be expressed.
    #[error(
        "{path}: dimensions {dimensions:?} are beyond what the format and this machine can hold; check them"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The dimensions asked for.
        dimensions: Vec<usize>,
    },
    /// A file is shorter than its format or header says.
    #[error("file {path}: {missing} of {expected} bytes of {part} are missing; fetch it again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is cut short.
        part: &'static str,
        /// Bytes that are not there.
        missing: usize,
        /// Bytes that should be there.
        expected: usize,
    },
    /// A file is longer than its header says.
    #[error("file {path} goes on after the {expected} bytes of {part} that its header names; fetch it again")]
    Trailing {
        /// The file.
        path: PathBuf,
        /// What should have been the last part.
        part: &'static str,
        /// The length of that part in bytes.
        expected: usize,
    },
    /// A split without images.
    #[error("{path} holds no images; fetch it again")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Images and labels do not pair up.
    #[error("{images} holds {image_count} images, {labels} {label_count} labels; fetch both from one source")]
    CountMismatch {
        /// The file of the images.
        images: PathBuf,
        /// The file of the labels.
        labels: PathBuf,
        /// Images.
        image_count: usize,
        /// Labels.
        label_count: usize,
    },
    /// The training batches of CIFAR-10 differ in length.
    #[error(
        "{path} holds {got} images, the first batch {expected}; all must be equal: fetch the shorter again"
    )]
    UnevenBatches {
        /// The batch that differs from the first.
        path: PathBuf,
        /// Its images.
        got: usize,
        /// The images of the first batch.
        expected: usize,
    },
    /// The two splits differ in the shape of their images.
    #[error("{train} holds images of {train_shape}, {test} of {test_shape}; fetch both from one source")]
    ShapeMismatch {
        /// A file of the training split.
        train: PathBuf,
        /// A file of the test split.
        test: PathBuf,
        /// The shape of the training images.
        train_shape: ImageShape,
        /// The shape of the test images.
        test_shape: ImageShape,
    },
    /// A label has no class.
    #[error(
        "{path}: item {index} (from 0) has label {label}, but there are {classes} classes, so labels must be \
         below {classes}; name as many classes as the data has, or fetch the file again"
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The position in this file, from 0.
        index: usize,
        /// The label there.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// Names of classes that are no text.
    #[error("{path} is not UTF-8 text with the name of a class on each line; fetch it again")]
    Names {
        /// The file.
        path: PathBuf,
    },
    /// What the file describes is no set of images.
    #[error("{path} does not describe images; fetch it again")]
    Images {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: ImageSetError,
    },
    /// A folder of pictures has no classes.
    #[error("{folder} has no folders; put the pictures of each class into a folder of its own there")]
    NoClasses {
        /// The folder.
        folder: PathBuf,
    },
    /// A class has no pictures.
    #[error("{folder} holds no picture; put pictures of the class there, or leave the class out everywhere")]
    NoPictures {
        /// The folder of the class.
        folder: PathBuf,
    },
    /// One picture cannot be both trained on and tested with.
    #[error(
        "class `{class}` in {folder} has one picture, and there is no folder `test`: give it two or more, or leave it out"
    )]
    OnePicture {
        /// The folder of the data set.
        folder: PathBuf,
        /// The class.
        class: String,
    },
    /// A folder is that of no class.
    #[error(
        "{path} is the folder of no class; the classes are {}: rename it, move it away, or name its class",
        classes.join(", ")
    )]
    NoClass {
        /// The folder.
        path: PathBuf,
        /// The classes.
        classes: Vec<String>,
    },
    /// The name of a folder is no text.
    #[error("{path}: the name of this folder, and so of a class, is not UTF-8; rename it")]
    ClassName {
        /// The folder.
        path: PathBuf,
    },
    /// A picture cannot be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// IDX files of three dimensions hold images of one channel only.
    #[error("images of {channels} channels cannot be written to {path}: IDX holds 1 channel")]
    NotGray {
        /// The file asked for.
        path: PathBuf,
        /// The channels that the images have.
        channels: usize,
    },
    /// IDX labels are bytes.
    #[error("image {index} has label {label}, but {path} can hold labels up to 255; use fewer classes")]
    LabelTooLarge {
        /// The file asked for.
        path: PathBuf,
        /// The image.
        index: usize,
        /// Its label.
        label: u32,
    },
    /// The operating system refused to write.
    #[error(
        "{path} cannot be written; check that its folder exists, its permissions and the space on the disk"
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
