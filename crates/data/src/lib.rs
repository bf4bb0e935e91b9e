//! Labelled images: [`load`] reads them from files, [`write_batch`] and [`Prefetch`] make training batches of them.
//!
//! Matrices with labels, such as embeddings of another program, are read by [`read_embeddings`] and written by
//! [`write_balanced`].
//!
//! Images stay `u8` until a batch is written. This crate knows nothing of models, plugins or configuration.

mod augmentation;
mod batch;
mod cifar;
mod embeddings;
mod error;
mod idx;
mod images;
mod load;
mod normalization;
mod picks;
mod pictures;
mod prefetch;
mod search;
mod source;
mod write;

pub use augmentation::Augmentation;
pub use batch::{epoch_order, write_batch};
pub use embeddings::{
    Balanced, Classes, Embeddings, EmbeddingsError, Names, check_extension, read_embeddings, write_balanced,
};
pub use error::DataError;
pub use images::{DataSet, ImageSet, ImageSetError, ImageShape};
pub use load::{Format, PictureOptions, UnknownFormat, load};
pub use normalization::{Normalization, NormalizationError};
pub use picks::{Picks, bordered_bytes, write_bordered};
pub use pictures::{PICTURE_EXTENSIONS, PictureError, PictureFolder, Pictured, look, read_picture};
pub use prefetch::{Batch, Prefetch};
pub use search::{search, standard_bases};
pub use write::write_idx;
