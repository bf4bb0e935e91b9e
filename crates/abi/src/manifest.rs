use serde::{Deserialize, Serialize};

/// What a library says of itself; it crosses as JSON, so that it can grow freely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the library.
    pub version: String,
    /// Version of the sdk that it was built with.
    pub sdk: String,
    /// The dialect of the programs that it records or runs; absent for samplers.
    pub dialect: Option<String>,
    /// What the library holds.
    pub plugins: Vec<PluginEntry>,
}

/// One plugin of a library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginEntry {
    /// Its name in configuration files.
    pub name: String,
    /// One line: what it does and where it is published.
    pub summary: String,
    /// JSON schema of its options.
    pub options: serde_json::Value,
}
