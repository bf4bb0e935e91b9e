use std::collections::BTreeMap;

use crate::{ConfigError, Experiment, Hint, Origin, document::join, origin::Origins, settings::Settings};

/// An experiment, and where each of its values comes from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The typed experiment.
    pub experiment: Experiment,
    /// The experiment's name, or that of its file; `default` without one.
    pub name: String,
    pub(crate) origins: Origins,
    /// What every place says, weakest first, and what of it is left where others name other plugins.
    pub(crate) before: Vec<Settings>,
    pub(crate) after: Vec<Settings>,
}

impl Resolved {
    /// The experiment as a TOML file that resolves to the same experiment, with its tables in a fixed order.
    pub fn to_toml(&self) -> String {
        let document = toml_edit::ser::to_document(&self.experiment);
        let mut document =
            document.expect("TOML holds text, finite numbers, lists and tables, and so does an experiment");
        for (_, item) in document.iter_mut() {
            if item.is_inline_table() {
                let inline = std::mem::take(item);
                *item = inline.into_table().map_or_else(|other| other, toml_edit::Item::Table);
            }
        }
        document.to_string()
    }

    /// The experiment as JSON, with its keys in a fixed order.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.experiment)
            .expect("JSON holds text, numbers, lists and tables with text as keys")
    }

    /// The place that set a dotted key, as `train.epochs`; none for tables and for keys without a value.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        self.origins.0.get(key).cloned()
    }

    /// The place that set each dotted key.
    pub fn origins(&self) -> BTreeMap<String, Origin> {
        self.origins.0.clone()
    }

    /// An error about an option of a plugin, at the place that set it, else at the place that named the plugin.
    ///
    /// If `option` is none of those `allowed`, the message ends with the nearest of them, or with all.
    pub fn option_error(&self, stage: &str, option: &str, message: &str, allowed: &[String]) -> ConfigError {
        let key = join(stage, option);
        let set = self.origins.0.keys().any(|other| other == &key || other.starts_with(&format!("{key}.")));
        let origin = Box::new(self.origins.near(&if set { key.clone() } else { join(stage, "plugin") }));
        let hint = Hint::new(option, allowed.iter().map(String::as_str));
        ConfigError::Option { origin, key, message: message.to_owned(), hint }
    }
}
