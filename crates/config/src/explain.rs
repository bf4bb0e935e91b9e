use crate::{ConfigError, Hint, Origin, Resolved, origin::is_within, settings::Settings};

/// What one place says of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The place.
    pub origin: Origin,
    /// The value.
    pub value: serde_json::Value,
    /// What has become of it.
    pub fate: Fate,
}

/// What has become of a value that a place sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the one that holds.
    Holds,
    /// A stronger place sets another.
    Overridden,
    /// It is an option, and a stronger place names another plugin.
    OtherPlugin,
}

impl Resolved {
    /// What every place says of a dotted key, weakest first. Nobody may say anything of an option, whose default is its
    /// plugin's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoKey`] for tables and for keys that no experiment has.
    pub fn explain(&self, key: &str) -> Result<Vec<Said>, ConfigError> {
        let winner = self.origin(key);
        let is_option =
            key.split_once('.').is_some_and(|(stage, _)| self.origin(&format!("{stage}.plugin")).is_some());
        if winner.is_none() && !is_option {
            let keys = self.origins.0.keys().map(String::as_str);
            let within: Vec<_> =
                keys.clone().filter(|other| is_within(other, key)).map(str::to_owned).collect();
            let hint = if within.is_empty() { Hint::nearest(key, keys) } else { Hint::Known(within) };
            return Err(ConfigError::NoKey { key: key.to_owned(), hint });
        }
        let said = |(before, after): (&Settings, &Settings)| {
            let value = before.find(key)?;
            let origin = before.origin(key);
            let fate = match (after.find(key), Some(&origin) == winner.as_ref()) {
                (None, _) => Fate::OtherPlugin,
                (Some(_), true) => Fate::Holds,
                (Some(_), false) => Fate::Overridden,
            };
            // Figment's values hold nothing that JSON does not.
            let value = serde_json::to_value(value).unwrap_or_default();
            Some(Said { origin, value, fate })
        };
        Ok(self.before.iter().zip(&self.after).filter_map(said).collect())
    }
}
