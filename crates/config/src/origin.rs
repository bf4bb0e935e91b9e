use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Where a value may come from, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The built-in defaults.
    Defaults,
    /// The file of the protocol.
    Protocol,
    /// The file of the data set.
    DataSet,
    /// The file of the experiment.
    Experiment,
    /// An environment variable.
    Environment,
    /// A `--set` flag.
    Flag,
}

/// The place that set a value. It displays as the place to mend: `config/experiments/x.toml:12`,
/// `EXPANSE_SEED`, `--set seed=3` or `built-in defaults, line 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The layer it belongs to.
    pub layer: Layer,
    /// The file, for protocols, data sets and experiments.
    pub file: Option<PathBuf>,
    /// The line in the file or in the built-in defaults, from 1.
    pub line: Option<usize>,
    /// The flag in full or the name of the variable, for those layers.
    pub text: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.text, &self.file, self.line) {
            (Some(text), ..) => f.write_str(text),
            (None, Some(file), Some(line)) => write!(f, "{}:{line}", file.display()),
            (None, Some(file), None) => write!(f, "{}", file.display()),
            (None, None, Some(line)) => write!(f, "built-in defaults, line {line}"),
            (None, None, None) => f.write_str("built-in defaults"),
        }
    }
}

/// The origin of every key that holds a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(pub(crate) BTreeMap<String, Origin>);

impl Origins {
    /// The origin of `key`, else of the nearest table or list around it, else of its first key.
    pub(crate) fn near(&self, key: &str) -> Origin {
        let around = ancestors(key).find_map(|key| self.0.get(key));
        let within = || self.0.iter().find(|(other, _)| is_within(other, key)).map(|(_, origin)| origin);
        let unknown = Origin { layer: Layer::Defaults, file: None, line: None, text: None };
        around.or_else(within).cloned().unwrap_or(unknown)
    }
}

/// The dotted key itself, then the tables around it, innermost first.
pub(crate) fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(table, _)| table))
}

/// Whether a dotted key lies within a table.
pub(crate) fn is_within(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}
