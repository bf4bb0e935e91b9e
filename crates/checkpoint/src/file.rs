use std::{fs, io, path::Path};

use crate::{Checkpoint, Problem, ReadError, WriteError, pth, safe};

/// The formats of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The zip archive of `torch.save` in PyTorch from 1.6 on.
    Pth,
    /// safetensors.
    Safetensors,
}

/// How a zip archive begins.
const ZIP: &[u8] = b"PK\x03\x04";

/// How the pickles of `torch.save` before PyTorch 1.6 begin: a magic number.
const LEGACY: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Reads a checkpoint; its content tells the format. Nothing in it is ever run.
///
/// The dictionary may be wrapped as `state_dict`, `model_state_dict`, `model` or `net`; prefixes that wrappers of
/// PyTorch put before every name (`module.`, `_orig_mod.`) are taken away.
///
/// # Errors
///
/// [`ReadError`], which names the file and, where it is about one, the tensor. Nothing is answered by halves.
pub fn read(path: &Path) -> Result<Checkpoint, ReadError> {
    let bytes = fs::read(path).map_err(Problem::Unreadable);
    bytes.and_then(|bytes| from_bytes(&bytes)).map_err(|problem| ReadError { path: path.into(), problem })
}

/// As [`read`], from the bytes of a file.
pub fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    if bytes.starts_with(ZIP) {
        return pth::read(bytes);
    }
    if bytes.get(2..).is_some_and(|rest| rest.starts_with(LEGACY)) {
        return Err(Problem::Legacy);
    }
    // Eight bytes with the length of a header that is a JSON object.
    if bytes.get(8) == Some(&b'{') { safe::read(bytes) } else { Err(Problem::Format) }
}

/// Writes a checkpoint in the format that the end of the file's name tells, whole or not at all.
///
/// # Errors
///
/// [`WriteError`]; a file that was there is still what it was.
pub fn write(path: &Path, checkpoint: &Checkpoint) -> Result<(), WriteError> {
    let format = Format::of(path).ok_or_else(|| WriteError::Extension(path.into()))?;
    let bytes = to_bytes(format, checkpoint)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|source: io::Error| {
        // What could not be written whole is not left behind; the first error is the one to tell.
        let _ = fs::remove_file(&beside);
        WriteError::File { path: path.into(), source }
    })
}

/// The bytes of a file.
pub fn to_bytes(format: Format, checkpoint: &Checkpoint) -> Result<Vec<u8>, WriteError> {
    match format {
        Format::Pth => pth::write(checkpoint),
        Format::Safetensors => safe::write(checkpoint),
    }
}

impl Format {
    /// The format that the end of a file's name tells.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "pth" | "pt" => Some(Self::Pth),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}
