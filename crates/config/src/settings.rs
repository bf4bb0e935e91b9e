use std::{
    fs,
    path::{Path, PathBuf},
};

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use crate::{
    ConfigError, DEFAULTS, Layer, Origin,
    document::{self, Lines},
    origin::ancestors,
};

/// What one place sets: a file, an environment variable or a flag.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) layer: Layer,
    pub(crate) values: Dict,
    pub(crate) file: Option<PathBuf>,
    text: Option<String>,
    lines: Lines,
}

impl Settings {
    /// The built-in defaults.
    pub(crate) fn defaults() -> Result<Self, ConfigError> {
        Self::document(Layer::Defaults, None, DEFAULTS)
    }

    /// A TOML file.
    pub(crate) fn file(layer: Layer, file: PathBuf) -> Result<Self, ConfigError> {
        match fs::read_to_string(&file) {
            Ok(text) => Self::document(layer, Some(file), &text),
            Err(source) => Err(ConfigError::Read { file, source }),
        }
    }

    /// `EXPANSE_TABLE__KEY`, already without its prefix in `key`.
    pub(crate) fn variable(name: &str, key: &str, value: &str) -> Result<Self, ConfigError> {
        let key = key.to_lowercase().replace("__", ".");
        Self::single(Layer::Environment, name.to_owned(), &key, value)
            .map_err(|text| ConfigError::Malformed { text, form: "EXPANSE_TABLE__KEY" })
    }

    /// What follows `--set`: `table.key=value`.
    pub(crate) fn flag(argument: &str) -> Result<Self, ConfigError> {
        let (key, value) = argument.split_once('=').unwrap_or(("", ""));
        Self::single(Layer::Flag, format!("--set {argument}"), key.trim(), value)
            .map_err(|text| ConfigError::Malformed { text, form: "--set table.key=value" })
    }

    /// The place that sets `key`.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        let line = ancestors(key).find_map(|key| self.lines.get(key)).copied();
        Origin { layer: self.layer, file: self.file.clone(), line, text: self.text.clone() }
    }

    /// The value of a dotted key.
    pub(crate) fn find(&self, key: &str) -> Option<&Value> {
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        self.values.get(first)?.find_ref(rest)
    }

    fn document(layer: Layer, file: Option<PathBuf>, text: &str) -> Result<Self, ConfigError> {
        match document::parse(text) {
            Ok((values, lines)) => Ok(Self { layer, values, file, text: None, lines }),
            Err(error) => {
                let (line, column) = document::position(text, error.span().map_or(0, |span| span.start));
                let file = file.unwrap_or_else(|| Path::new("built-in defaults").to_owned());
                Err(ConfigError::Syntax { file, line, column, message: error.message().to_owned() })
            }
        }
    }

    /// One key whose value is read as TOML, else taken as it stands; `Err(text)` where the key is no key.
    fn single(layer: Layer, text: String, key: &str, value: &str) -> Result<Self, String> {
        let value = match value.trim().parse::<toml_edit::Value>() {
            Ok(value) => document::value(&value),
            Err(_) => value.into(),
        };
        if key.split('.').any(str::is_empty) {
            return Err(text);
        }
        match figment::util::nest(key, value).into_dict() {
            Some(values) => Ok(Self { layer, values, file: None, text: Some(text), lines: Lines::new() }),
            None => Err(text),
        }
    }
}

impl Provider for Settings {
    /// Named by the place, without a line: two places never share a name and a key.
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin("").to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}
