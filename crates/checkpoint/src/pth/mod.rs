//! `.pth`: the zip archive of `torch.save`.
//!
//! `NAME/data.pkl` is a pickle that names tensors and their storages, `NAME/data/KEY` the bytes of each storage.
//! Source: `torch/serialization.py` and `caffe2/serialize/inline_container.h` of PyTorch 2.

mod archive;
mod pickle;
mod state;
mod view;
mod write;

pub(crate) use write::write;

use archive::Archive;

use crate::{Checkpoint, Problem, names};

/// The record in which Expanse tells of the model; PyTorch reads only the records that it knows.
const ABOUT: &str = "expanse.json";

pub(crate) fn read(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let mut archive = Archive::open(bytes)?;
    let about = archive.optional(ABOUT)?.map(|text| serde_json::from_slice(&text)).transpose()?;
    let data = pickle::unpickle(&archive.pickle()?)?;
    let named = state::tensors(&data)?;
    let mut tensors = view::values(&data, &named, &mut archive)?;
    names::without_prefix(&mut tensors);
    Ok(Checkpoint { tensors, about })
}

#[cfg(test)]
mod tests;
