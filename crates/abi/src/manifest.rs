use serde::{Deserialize, Serialize};

/// What a library says of itself; it crosses as JSON, so that it can grow freely: a field that is new has a default,
/// and one that is unknown is passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the library.
    pub version: String,
    /// Version of the sdk that it was built with.
    pub sdk: String,
    /// Version of the boundary that it was built with: that of this crate.
    #[serde(default = "first")]
    pub abi: String,
    /// The licence of the library, as an SPDX expression; empty if it names none.
    #[serde(default)]
    pub licence: String,
    /// The dialect of the programs that it records or runs; absent for samplers.
    pub dialect: Option<String>,
    /// What the library holds.
    pub plugins: Vec<PluginEntry>,
}

/// The version of the boundary before manifests named it.
fn first() -> String {
    "0.1.0".into()
}

/// One plugin of a library.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginEntry {
    /// Its name in configuration files.
    pub name: String,
    /// One line: what it does and where it is published.
    pub summary: String,
    /// Where its method is published; empty if it names nothing.
    #[serde(default)]
    pub citation: String,
    /// JSON schema of its options.
    pub options: serde_json::Value,
}
