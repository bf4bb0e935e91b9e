//! Checkpoints that travel: the files in which PyTorch and others keep the tensors of a model.
//!
//! [`read`] takes `.pth` files of `torch.save` and safetensors, [`write()`] writes both, and [`fit`] gives a model's
//! parameters their values or says in one line why it cannot.
//!
//! A `.pth` file is a program for Python's unpickler, which may call whatever it names. Nothing is ever called here: the
//! machine of `pth/pickle.rs` knows the few operations and names that dictionaries of tensors are made of, builds plain
//! data from them, and refuses everything else by its name. What a file claims (sizes, strides, places) is compared with
//! what it holds before anything is allocated for it.

mod checkpoint;
mod element;
mod error;
mod file;
mod fit;
mod names;
mod pth;
mod safe;

pub use checkpoint::{About, Checkpoint, Tensor, Values};
pub use element::Element;
pub use error::{Problem, ReadError, WriteError};
pub use file::{Format, from_bytes, read, to_bytes, write};
pub use fit::{Misfit, fit};
pub use names::{Rename, RenameError, rename, usual_name};
