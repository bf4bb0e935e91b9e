//! What stands beside a library and tells what it is, so that nothing need be opened to know.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use expanse_abi::{Manifest, PluginEntry};
use serde::{Deserialize, Serialize};

use crate::Kind;

/// The target that this program was built for, as its plugins must be.
pub const TARGET: &str = env!("EXPANSE_TARGET");

/// The manifest beside a library: `libsampler_eos.toml` beside `libsampler_eos.so`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// What the library is for.
    pub kind: Kind,
    /// Version of the library.
    pub version: String,
    /// Its licence, as an SPDX expression; empty if it names none.
    #[serde(default)]
    pub licence: String,
    /// Version of the boundary that it was built with.
    pub abi: String,
    /// Version of the sdk that it was built with.
    pub sdk: String,
    /// The dialect of its programs; absent for samplers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The target triple that it was built for.
    pub target: String,
    /// SHA-256 of the library, in hexadecimal.
    pub sha256: String,
    /// What the library holds.
    #[serde(rename = "plugin")]
    pub plugins: Vec<SidecarPlugin>,
}

/// One plugin of a library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidecarPlugin {
    /// Its name in configuration files.
    pub name: String,
    /// One line: what it does.
    pub summary: String,
    /// Where its method is published; empty if it names nothing.
    #[serde(default)]
    pub citation: String,
    /// JSON schema of its options, as JSON: schemas hold `null`, which TOML does not.
    pub options: String,
}

/// A manifest beside a library cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// It cannot be read.
    #[error("its manifest {} cannot be read: {source}", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no manifest.
    #[error("its manifest {} is no manifest of a plugin: {message}; make it again with `plugin pack`", path.display())]
    Malformed {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl Sidecar {
    /// Where the manifest of a library stands.
    pub fn path(library: &Path) -> PathBuf {
        library.with_extension("toml")
    }

    /// The manifest beside a library, if there is one.
    pub fn read(library: &Path) -> Result<Option<Self>, SidecarError> {
        let path = Self::path(library);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SidecarError::Read { path, source }),
        };
        let malformed = |message: String| SidecarError::Malformed { path: path.clone(), message };
        let sidecar: Self = toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
        if sidecar.plugins.is_empty() {
            return Err(malformed("it lists no plugin".into()));
        }
        let is_schema = |options: &str| {
            serde_json::from_str::<serde_json::Value>(options).is_ok_and(|schema| schema.is_object())
        };
        match sidecar.plugins.iter().find(|plugin| !is_schema(&plugin.options)) {
            Some(plugin) => Err(malformed(format!("the options of `{}` are no JSON schema", plugin.name))),
            None => Ok(Some(sidecar)),
        }
    }

    /// The manifest of a library of this target, from what the library says of itself.
    pub fn of(kind: Kind, manifest: &Manifest, sha256: &str) -> Self {
        let plugins = manifest.plugins.iter().map(|entry| SidecarPlugin {
            name: entry.name.clone(),
            summary: entry.summary.clone(),
            citation: entry.citation.clone(),
            options: entry.options.to_string(),
        });
        Self {
            kind,
            version: manifest.version.clone(),
            licence: manifest.licence.clone(),
            abi: manifest.abi.clone(),
            sdk: manifest.sdk.clone(),
            dialect: manifest.dialect.clone(),
            target: TARGET.into(),
            sha256: sha256.into(),
            plugins: plugins.collect(),
        }
    }

    /// What the library says of itself.
    pub fn manifest(&self) -> Manifest {
        let entry = |plugin: &SidecarPlugin| PluginEntry {
            name: plugin.name.clone(),
            summary: plugin.summary.clone(),
            citation: plugin.citation.clone(),
            options: serde_json::from_str(&plugin.options).unwrap_or_default(),
        };
        Manifest {
            version: self.version.clone(),
            sdk: self.sdk.clone(),
            abi: self.abi.clone(),
            licence: self.licence.clone(),
            dialect: self.dialect.clone(),
            plugins: self.plugins.iter().map(entry).collect(),
        }
    }

    /// The manifest as TOML.
    pub fn to_toml(&self) -> String {
        // Strings and lists of tables of strings can always be written.
        toml::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidecar() -> Sidecar {
        let options = serde_json::json!({"properties": {"k": {"default": null}}});
        let entry =
            PluginEntry { name: "x".into(), summary: "does \"x\"".into(), options, ..Default::default() };
        let manifest = Manifest { version: "1.2.3".into(), plugins: vec![entry], ..Default::default() };
        Sidecar::of(Kind::Sampler, &manifest, "00")
    }

    #[test]
    fn a_manifest_round_trips_and_one_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libsampler_x.so");
        assert_eq!(Sidecar::read(&library).unwrap(), None);
        let check = |text: &str| {
            fs::write(folder.path().join("libsampler_x.toml"), text).unwrap();
            Sidecar::read(&library)
        };
        let written = sidecar();
        let read = check(&written.to_toml()).unwrap().unwrap();
        assert_eq!(read, written);
        assert_eq!(read.manifest().plugins[0].options["properties"]["k"]["default"], serde_json::Value::Null);
        let error = |text: &str| check(text).unwrap_err().to_string();
        assert!(error("kind = 3").contains("is no manifest of a plugin"));
        assert!(error(&written.to_toml().replace("{\"prop", "prop")).contains("no JSON schema"));
        assert!(
            error(&written.to_toml().replace("sampler", "simpler")).contains("unknown variant `simpler`")
        );
    }
}
