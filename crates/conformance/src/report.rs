use std::{fmt, path::PathBuf};

use expanse_host::Kind;
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// What the checks of one library have found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The file.
    pub library: PathBuf,
    /// What the library is for; unknown if it could not be opened.
    pub kind: Option<Kind>,
    /// Version of the library; empty if it could not be opened.
    pub version: String,
    /// Every check that there is for its kind, in order.
    pub checks: Vec<Checked>,
}

/// One check of one plugin of a library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The plugin; empty for what is about the whole library.
    pub plugin: String,
    /// The check's name, which stays the same from version to version.
    pub check: String,
    /// What it has found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Report {
    /// The checks that have failed.
    pub fn failed(&self) -> impl Iterator<Item = &Checked> {
        self.checks.iter().filter(|checked| matches!(checked.outcome, Outcome::Failed(_)))
    }

    /// Whether a check has run and none has failed.
    pub fn conforms(&self) -> bool {
        self.failed().next().is_none() && self.checks.iter().any(|checked| checked.outcome == Outcome::Passed)
    }

    /// The outcome of a check by its name, of the first plugin that has it.
    pub fn outcome(&self, check: &str) -> Option<&Outcome> {
        self.checks.iter().find(|checked| checked.check == check).map(|checked| &checked.outcome)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.library.display())?;
        let (mut passed, mut failed, mut not_applicable) = (0, 0, 0);
        let mut plugin = None;
        for checked in &self.checks {
            if plugin != Some(&checked.plugin) && !checked.plugin.is_empty() {
                let kind = self.kind.map_or("plugin", Kind::name);
                writeln!(f, "{kind} `{}` {}", checked.plugin, self.version)?;
            }
            plugin = Some(&checked.plugin);
            let (count, word, why) = match &checked.outcome {
                Outcome::Passed => (&mut passed, "passed", ""),
                Outcome::Failed(why) => (&mut failed, "FAILED", why.as_str()),
                Outcome::NotApplicable(why) => (&mut not_applicable, "not applicable", why.as_str()),
            };
            *count += 1;
            let line = format!("  {word:<16}{:<28}{why}", checked.check);
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "{passed} passed, {failed} failed, {not_applicable} not applicable")
    }
}
