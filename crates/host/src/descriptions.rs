//! What libraries say of themselves, remembered, so that a listing opens nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use expanse_abi::Manifest;
use serde::{Deserialize, Serialize};

use crate::trust::write_whole;

/// The file in the cache folder.
const FILE: &str = "plugins.json";

/// What was learned of a file when it had this length and time of change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    len: u64,
    changed: u128,
    sha256: String,
    manifest: Manifest,
}

/// Descriptions kept in a folder; a file that cannot be read or written is as good as none.
#[derive(Clone, Debug)]
pub(crate) struct Descriptions {
    file: PathBuf,
}

impl Descriptions {
    pub fn new(folder: &Path) -> Self {
        Self { file: folder.join(FILE) }
    }

    /// What is known of a library that has not changed since: its SHA-256 then, and its manifest.
    pub fn find(&self, library: &Path) -> Option<(String, Manifest)> {
        let entry = self.read().remove(library)?;
        (state(library)? == (entry.len, entry.changed)).then_some((entry.sha256, entry.manifest))
    }

    /// Remembers a library, and forgets those that are gone.
    pub fn keep(&self, library: &Path, sha256: &str, manifest: &Manifest) {
        let Some((len, changed)) = state(library) else { return };
        let mut known = self.read();
        known.retain(|path, _| path.exists());
        known.insert(
            library.into(),
            Entry { len, changed, sha256: sha256.into(), manifest: manifest.clone() },
        );
        let written = serde_json::to_vec_pretty(&known)
            .map_err(|error| error.to_string())
            .and_then(|json| write_whole(&self.file, &json).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::debug!("{} cannot be kept: {error}", self.file.display());
        }
    }

    fn read(&self) -> BTreeMap<PathBuf, Entry> {
        fs::read(&self.file).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }
}

/// Length and time of change, in nanoseconds.
fn state(path: &Path) -> Option<(u64, u128)> {
    let metadata = fs::metadata(path).ok()?;
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((metadata.len(), changed.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_until_its_library_changes() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libsampler_x.so");
        let descriptions = Descriptions::new(&folder.path().join("cache"));
        let manifest = Manifest { version: "1.0.0".into(), ..Manifest::default() };
        fs::write(&library, "one").unwrap();
        assert_eq!(descriptions.find(&library), None);
        descriptions.keep(&library, "ab", &manifest);
        assert_eq!(descriptions.find(&library), Some(("ab".into(), manifest.clone())));
        fs::write(&library, "other").unwrap();
        assert_eq!(descriptions.find(&library), None);
        descriptions.keep(&library, "cd", &manifest);
        fs::write(folder.path().join("cache/plugins.json"), "{").unwrap();
        assert_eq!(descriptions.find(&library), None, "a damaged file is as good as none");
        descriptions.keep(&library, "cd", &manifest);
        assert!(descriptions.find(&library).is_some());
    }
}
