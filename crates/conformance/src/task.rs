use std::{env, path::PathBuf};

use expanse_host::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Outcome;

/// Variable that makes a program the child of one that supervises.
pub(crate) const VARIABLE: &str = "EXPANSE_CONFORMANCE_TASK";

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The library to check.
    pub library: PathBuf,
    /// Options to open its plugins with; without any, their defaults.
    pub options: Map<String, Value>,
    /// A file with golden numbers, if the plugin has them.
    pub golden: Option<PathBuf>,
    /// Folders that reference components are taken from, where they are plugins.
    pub references: Vec<PathBuf>,
    pub(crate) from: usize,
    pub(crate) threads: usize,
    pub(crate) only_digest: bool,
    pub(crate) events: PathBuf,
}

/// What a library is, and which checks there are for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the library is for.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// Plugin and check, in the order in which they run.
    pub checks: Vec<(String, String)>,
}

/// What a child tells while it works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The library is open.
    Plan(Plan),
    /// The library cannot be opened.
    Refused(String),
    /// A check begins.
    Begin(usize),
    /// A check has ended.
    End(usize, Outcome),
    /// What the plugins make of a larger request, for a comparison between numbers of threads.
    Digest(String),
    /// Everything is done.
    Done,
}

impl Task {
    /// A task to check a library with its plugins' default options.
    pub fn new(library: PathBuf) -> Self {
        Self {
            library,
            options: Map::new(),
            golden: None,
            references: Vec::new(),
            from: 0,
            threads: THREADS,
            only_digest: false,
            events: PathBuf::new(),
        }
    }

    /// The task that a supervising program has given to this one.
    pub fn from_environment() -> Option<Self> {
        serde_json::from_str(&env::var(VARIABLE).ok()?).ok()
    }
}

/// Threads that a plugin may use while it is checked.
pub(crate) const THREADS: usize = 2;
