use std::{fs, path::Path};

use serde::Deserialize;

/// Numbers that another implementation has computed for a sampler, or that the plugin's author vouches for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Where the numbers come from.
    pub source: String,
    /// Options of the sampler.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The samples, row after row.
    pub features: Vec<Vec<f32>>,
    /// The class of each.
    pub labels: Vec<u32>,
    /// Rows wanted of each class.
    pub wanted: Vec<u64>,
    /// The seed.
    pub seed: u64,
    /// The rows that must come out.
    pub made: Vec<Vec<f32>>,
    /// The class of each.
    pub made_labels: Vec<u32>,
    /// How far a value may lie from its golden number, absolutely.
    pub tolerance: f32,
}

/// The golden numbers in a JSON file, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<Golden, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("golden numbers {}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let golden: Golden = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    let cols = golden.features.first().map_or(0, Vec::len);
    if cols == 0 || golden.features.iter().chain(&golden.made).any(|row| row.len() != cols) {
        return Err(wrong(&"the rows are not all of one length of at least 1"));
    }
    Ok(golden)
}
