//! Which libraries may be opened. Opening runs their code with all rights of the user, before anything can be compared.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Which libraries a host opens.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// All of them, for programs that choose the files themselves.
    #[default]
    Everything,
    /// Those in folders of one's own, such as the one that the program itself was built into, and those listed.
    Listed {
        /// Folders whose libraries are as trusted as the program.
        folders: Vec<PathBuf>,
        /// Libraries trusted one by one.
        list: TrustList,
    },
    /// The one library with this SHA-256.
    Only(String),
}

impl Trust {
    /// Whether a library may be opened.
    pub(crate) fn allows(&self, path: &Path, sha256: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(only) => only == sha256,
            Self::Listed { folders, list } => {
                let inside = |folder: &PathBuf| {
                    fs::canonicalize(folder).is_ok_and(|folder| path.parent() == Some(folder.as_path()))
                };
                list.contains(sha256) || folders.iter().any(inside)
            }
        }
    }
}

/// The libraries that a user trusts, in a file of the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustList {
    file: PathBuf,
    /// Where each was when it was trusted, by SHA-256.
    libraries: BTreeMap<String, PathBuf>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    library: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: String,
    file: PathBuf,
}

/// The list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read or written.
    #[error("the list of trusted plugins {}: {source}", path.display())]
    File {
        /// The list.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is damaged.
    #[error("the list of trusted plugins {} cannot be understood: {message}; mend it, or remove it and trust again", path.display())]
    Malformed {
        /// The list.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

const HEADING: &str =
    "# Plugins whose code may run with your rights: `cargo xtask plugin trust FILE` adds one.\n\n";

impl TrustList {
    /// The list in a file; empty if there is none yet.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read or understood.
    pub fn load(file: PathBuf) -> Result<Self, TrustError> {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(TrustError::File { path: file, source }),
        };
        match toml::from_str::<Document>(&text) {
            Ok(document) => {
                let libraries = document.library.into_iter().map(|entry| (entry.sha256, entry.file));
                Ok(Self { file, libraries: libraries.collect() })
            }
            Err(error) => Err(TrustError::Malformed { path: file, message: error.message().to_owned() }),
        }
    }

    /// Whether a library is listed.
    pub fn contains(&self, sha256: &str) -> bool {
        self.libraries.contains_key(sha256)
    }

    /// Where the list is kept.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds a library and keeps the list, whole or not at all.
    ///
    /// # Errors
    ///
    /// The list cannot be written.
    pub fn add(&mut self, sha256: &str, library: &Path) -> Result<(), TrustError> {
        self.libraries.insert(sha256.into(), library.into());
        let entry =
            |(sha256, file): (&String, &PathBuf)| Entry { sha256: sha256.clone(), file: file.clone() };
        let document = Document { library: self.libraries.iter().map(entry).collect() };
        // Strings in a list of tables can always be written.
        let text = HEADING.to_owned() + &toml::to_string_pretty(&document).unwrap_or_default();
        write_whole(&self.file, text.as_bytes())
            .map_err(|source| TrustError::File { path: self.file.clone(), source })
    }
}

/// Writes a file beside its place and renames it; makes its folder if need be.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_or_lies_in_a_folder_of_ones_own_is_trusted() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = own.path().join("config/trusted-plugins.toml");
        let mut list = TrustList::load(file.clone()).unwrap();
        let library = fs::canonicalize(other.path()).unwrap().join("libsampler_x.so");
        let trust = |list: &TrustList| Trust::Listed { folders: vec![own.path().into()], list: list.clone() };
        assert!(!trust(&list).allows(&library, "ab"));
        list.add("ab", &library).unwrap();
        assert!(trust(&list).allows(&library, "ab"));
        assert!(!trust(&list).allows(&library, "cd"), "other bytes in the same place");
        assert!(trust(&list).allows(&fs::canonicalize(own.path()).unwrap().join("libsampler_y.so"), "cd"));
        assert_eq!(TrustList::load(file.clone()).unwrap(), list);
        assert!(
            Trust::Only("ab".into()).allows(&library, "ab")
                && !Trust::Only("ab".into()).allows(&library, "a")
        );

        fs::write(&file, "library = 3").unwrap();
        let error = TrustList::load(file).unwrap_err().to_string();
        assert!(
            error.contains("cannot be understood") && error.contains("remove it and trust again"),
            "{error}"
        );
    }
}
