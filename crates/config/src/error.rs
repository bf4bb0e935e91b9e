use std::{fmt, io, path::PathBuf};

use crate::{Origin, nearest};

/// Why a configuration cannot be resolved. Each message begins with the place to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that no experiment has.
    #[error("{origin}: unknown key `{key}`{}{hint}", in_table(table))]
    UnknownKey {
        /// The place that sets it.
        origin: Box<Origin>,
        /// The key, without its table.
        key: String,
        /// The table around it, dotted; empty at the top.
        table: String,
        /// The keys that exist.
        hint: Hint,
    },
    /// A value of another kind, or outside its range.
    #[error("{origin}: {key} is {found}, expected {expected}{hint}")]
    Value {
        /// The place that sets it.
        origin: Box<Origin>,
        /// The dotted key.
        key: String,
        /// The value, or its kind.
        found: String,
        /// What is allowed.
        expected: String,
        /// The names that exist, for values that are names.
        hint: Hint,
    },
    /// An option that its plugin refuses.
    #[error("{origin}: {key}: {message}{hint}")]
    Option {
        /// The place that sets the option, or that names the plugin.
        origin: Box<Origin>,
        /// The dotted key.
        key: String,
        /// What the plugin says.
        message: String,
        /// The options that exist.
        hint: Hint,
    },
    /// A key that was asked for and that no experiment has, or that is a table.
    #[error("`{key}` is no key with a value{hint}")]
    NoKey {
        /// The dotted key.
        key: String,
        /// The keys that it may mean.
        hint: Hint,
    },
    /// An experiment without a file.
    #[error("no experiment `{name}` in {}{}", folder.display(), existing(name, names))]
    NoExperiment {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that exist.
        names: Vec<String>,
    },
    /// An experiment that another one extends, without a file.
    #[error("{origin}: no experiment `{name}` in {}{}", folder.display(), existing(name, names))]
    NoBase {
        /// The place that extends it.
        origin: Box<Origin>,
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that exist.
        names: Vec<String>,
    },
    /// A data set or a protocol without a file.
    #[error("{origin}: no {what} `{name}` in {}{}", folder.display(), existing(name, names))]
    NoChoice {
        /// The place that names it.
        origin: Box<Origin>,
        /// What it is.
        what: &'static str,
        /// The key that names it.
        key: &'static str,
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that exist.
        names: Vec<String>,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file or folder.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that is not TOML.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// What the parser met and expected.
        message: String,
    },
    /// A flag or variable that names no key.
    #[error("{text}: names no key, expected {form}")]
    Malformed {
        /// The flag in full, or the name of the variable.
        text: String,
        /// The form that is read.
        form: &'static str,
    },
    /// A value that is refused for a reason that has no variant of its own.
    #[error("{origin}: {key}: {source}")]
    Refused {
        /// The place that sets it.
        origin: Box<Origin>,
        /// The dotted key.
        key: String,
        /// The reason.
        source: Box<figment::Error>,
    },
}

/// The end of a message: what to write instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing to suggest.
    #[default]
    None,
    /// The name that was probably meant.
    Nearest(String),
    /// All names that exist, where none is near.
    Known(Vec<String>),
}

impl Hint {
    /// What to write instead of `word`; nothing if it is one of `names`.
    pub(crate) fn new<'a>(word: &str, names: impl Iterator<Item = &'a str> + Clone) -> Self {
        match nearest(word, names.clone()) {
            Some(name) if name == word => Self::None,
            Some(name) => Self::Nearest(name.to_owned()),
            None => Self::Known(names.map(str::to_owned).collect()),
        }
    }

    /// The nearest name alone, for messages that list the names themselves.
    pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Self {
        nearest(word, names).map_or(Self::None, |name| Self::Nearest(name.to_owned()))
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest(name) => write!(f, "; did you mean `{name}`?"),
            Self::Known(names) if !names.is_empty() => write!(f, "; known: {}", names.join(", ")),
            Self::Known(_) | Self::None => Ok(()),
        }
    }
}

impl ConfigError {
    pub(crate) fn value(origin: Box<Origin>, key: &str, found: String, expected: String) -> Self {
        Self::Value { origin, key: key.to_owned(), found, expected, hint: Hint::default() }
    }
}

fn in_table(table: &str) -> String {
    if table.is_empty() { String::new() } else { format!(" in [{table}]") }
}

fn existing(name: &str, names: &[String]) -> String {
    let hint = Hint::nearest(name, names.iter().map(String::as_str));
    format!("{hint}\nexisting: {}", if names.is_empty() { "none".into() } else { names.join(", ") })
}
