//! The archive around pickle and storages.

use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive, result::ZipError};

use crate::Problem;

/// The longest pickle that is read. The state of a network takes about 150 bytes a tensor.
const LONGEST_PICKLE: u64 = 4 << 20;

pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// What the names of all entries begin with: `archive/`, or the name under which the file was saved.
    prefix: String,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        let held: Result<Vec<String>, ZipError> =
            zip.file_names().map(|name| Ok(name?.into_owned())).collect();
        let held = held.map_err(damaged)?;
        if held.iter().any(|name| name.ends_with("/constants.pkl")) {
            return Err(Problem::TorchScript);
        }
        let mut claimed = 0u64;
        for (index, name) in held.iter().enumerate() {
            let entry = zip.by_index_raw(index).map_err(damaged)?;
            if entry.compression() != CompressionMethod::Stored {
                return Err(Problem::Compressed { entry: name.clone() });
            }
            claimed = claimed.saturating_add(entry.size());
        }
        let length = bytes.len() as u64;
        if claimed > length {
            return Err(Problem::Overlap { claimed, length });
        }
        let prefix = held.iter().find_map(|name| name.strip_suffix("data.pkl"));
        let prefix = prefix.filter(|prefix| prefix.is_empty() || prefix.ends_with('/'));
        let prefix = prefix.ok_or(Problem::Entry("data.pkl"))?.to_owned();
        let mut archive = Self { zip, prefix };
        if let Some(order) = archive.optional("byteorder")?.filter(|order| order != b"little") {
            return Err(Problem::ByteOrder(String::from_utf8_lossy(&order).into_owned()));
        }
        Ok(archive)
    }

    pub fn pickle(&mut self) -> Result<Vec<u8>, Problem> {
        let pickle = self.optional("data.pkl")?.ok_or(Problem::Entry("data.pkl"))?;
        match pickle.len() as u64 {
            length if length > LONGEST_PICKLE => Err(Problem::Long { length, most: LONGEST_PICKLE }),
            _ => Ok(pickle),
        }
    }

    /// The content of an entry, compared with its checksum; `None` if there is no such entry.
    pub fn optional(&mut self, name: &str) -> Result<Option<Vec<u8>>, Problem> {
        let entry = match self.zip.by_name(&format!("{}{name}", self.prefix)) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(damaged(error)),
        };
        // Its size is at most that of the file, as was seen when the archive was opened.
        let mut content = Vec::with_capacity(entry.size() as usize);
        let size = entry.size();
        let read = entry.take(size).read_to_end(&mut content);
        read.map_err(|error| Problem::Archive(format!("`{name}`: {error}")))?;
        Ok(Some(content))
    }
}

fn damaged(error: impl std::fmt::Display) -> Problem {
    Problem::Archive(error.to_string())
}
