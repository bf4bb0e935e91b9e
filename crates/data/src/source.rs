use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::DataError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file that is read from its start to its end, decompressed if its name ends in `.gz`.
///
/// Memory grows with what is read, never with what a header promises.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    gzip: bool,
    reader: Box<dyn Read>,
}

/// Checks that `folder` is one and holds every one of `expected`, plain or with `.gz`.
pub(crate) fn require(folder: &Path, expected: &[&'static str]) -> Result<(), DataError> {
    let (path, all) = (folder.to_path_buf(), expected.to_vec());
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(DataError::NotAFolder { folder: path, expected: all }),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(DataError::FolderMissing { folder: path, expected: all });
        }
        Err(source) => return Err(DataError::Unreadable { path, source }),
    }
    let missing: Vec<_> = expected.iter().copied().filter(|name| locate(folder, name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(DataError::FilesMissing { folder: path, missing, expected: all })
}

/// The file `name`, or else `name.gz`, in `folder`.
pub(crate) fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    // What cannot be examined is there; opening it will tell what is wrong.
    let exists = |path: &PathBuf| path.try_exists().unwrap_or(true);
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(exists)
}

impl Source {
    /// Opens the file `name`, or else `name.gz`, in `folder`.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self, DataError> {
        let path = locate(folder, name).unwrap_or_else(|| folder.join(name));
        let unreadable = |source| DataError::Unreadable { path: path.clone(), source };
        let kind = fs::metadata(&path).map_err(unreadable)?.file_type();
        if !kind.is_file() {
            // A pipe would block when opened, a directory fail when read.
            let found = if kind.is_dir() { "a directory" } else { "a pipe, socket or device" };
            return Err(DataError::NotAFile { path, found });
        }
        let mut file = BufReader::new(File::open(&path).map_err(unreadable)?);
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        if !gzip {
            return Ok(Self { path, gzip, reader: Box::new(file) });
        }
        if !file.fill_buf().map_err(unreadable)?.starts_with(&GZIP_MAGIC) {
            return Err(DataError::NotGzip { path });
        }
        Ok(Self { path, gzip, reader: Box::new(MultiGzDecoder::new(file)) })
    }

    /// The next `len` bytes; `part` says what they are.
    pub(crate) fn take(&mut self, part: &'static str, len: usize) -> Result<Vec<u8>, DataError> {
        let bytes = self.up_to(len as u64)?;
        if bytes.len() < len {
            let missing = len - bytes.len();
            return Err(DataError::Truncated { path: self.path.clone(), part, missing, expected: len });
        }
        Ok(bytes)
    }

    /// The last `len` bytes: as [`Self::take`], and then the file must end.
    pub(crate) fn take_last(mut self, part: &'static str, len: usize) -> Result<Vec<u8>, DataError> {
        let bytes = self.take(part, len)?;
        if self.up_to(1)?.is_empty() {
            return Ok(bytes);
        }
        Err(DataError::Trailing { path: self.path, part, expected: len })
    }

    /// All bytes that are left.
    pub(crate) fn rest(mut self) -> Result<Vec<u8>, DataError> {
        self.up_to(u64::MAX)
    }

    fn up_to(&mut self, limit: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(limit).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    fn failed(&self, source: io::Error) -> DataError {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::UnexpectedEof if self.gzip => DataError::GzipTruncated { path },
            ErrorKind::InvalidInput | ErrorKind::InvalidData if self.gzip => {
                DataError::GzipCorrupt { path, source }
            }
            _ => DataError::Unreadable { path, source },
        }
    }
}
