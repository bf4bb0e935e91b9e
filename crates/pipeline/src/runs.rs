//! The runs that are kept, and whether they are still what they were.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use expanse_domain::sha256;

use crate::{PipelineError, store::SUMS};

/// A run that is kept; it is whole, since others are not listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// The experiment.
    pub experiment: String,
    /// Its number among the runs of that experiment.
    pub number: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// What has happened to a file of a run since the run was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is gone.
    Missing(String),
    /// It holds something else.
    Altered(String),
    /// It was not there.
    Added(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(file) => write!(f, "{file} is missing"),
            Self::Altered(file) => write!(f, "{file} is not what the run wrote"),
            Self::Added(file) => write!(f, "{file} is not of the run"),
        }
    }
}

/// The runs in a folder of runs, by experiment and number.
pub fn runs(base: &Path) -> Result<Vec<Kept>, PipelineError> {
    let mut runs = Vec::new();
    for (experiment, folder) in folders(base)? {
        for (number, folder) in folders(&folder)? {
            if number.bytes().all(|digit| digit.is_ascii_digit()) {
                runs.push(Kept { experiment: experiment.clone(), number, folder });
            }
        }
    }
    runs.sort();
    Ok(runs)
}

/// What has changed in the folder of a run since it was kept.
///
/// # Errors
///
/// The folder or its list of hashes cannot be read.
pub fn verify(folder: &Path) -> Result<Vec<Damage>, PipelineError> {
    let list = folder.join(SUMS);
    let text = fs::read_to_string(&list).map_err(failed(&list))?;
    let mut expected = BTreeMap::new();
    for line in text.lines() {
        let (sum, file) = line.split_once("  ").unwrap_or((line, ""));
        expected.insert(file, sum);
    }
    let mut damage = Vec::new();
    for (file, sum) in &expected {
        match fs::read(folder.join(file)) {
            Ok(bytes) if sha256(&bytes) == **sum => {}
            Ok(_) => damage.push(Damage::Altered((*file).into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                damage.push(Damage::Missing((*file).into()));
            }
            Err(error) => return Err(failed(&folder.join(file))(error)),
        }
    }
    let entries = fs::read_dir(folder).map_err(failed(folder))?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut added: Vec<_> =
        names.filter(|name| name != SUMS && !expected.contains_key(name.as_str())).collect();
    added.sort();
    damage.extend(added.into_iter().map(Damage::Added));
    Ok(damage)
}

/// The folders within a folder, by name; none if it is not there.
fn folders(base: &Path) -> Result<Vec<(String, PathBuf)>, PipelineError> {
    let entries = match fs::read_dir(base) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(base)(error)),
    };
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    Ok(paths.filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path))).collect())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PipelineError {
    move |source| PipelineError::Store { path: path.into(), doing: "reading", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunFolder;

    #[test]
    fn whatever_happens_to_a_run_is_found() {
        let base = std::env::temp_dir().join(format!("expanse-runs-{}", std::process::id()));
        assert_eq!(runs(&base).unwrap(), []);
        let keep = || {
            let mut folder = RunFolder::create(&base, "x").unwrap();
            folder.write("metrics.json", b"{}").unwrap();
            folder.write("record.json", b"[]").unwrap();
            folder.finish().unwrap()
        };
        let folder = keep();
        let unfinished = RunFolder::create(&base, "x").unwrap();
        fs::create_dir_all(base.join("cache/0001x")).unwrap();
        let listed = runs(&base).unwrap();
        assert_eq!(listed.iter().map(|run| run.number.as_str()).collect::<Vec<_>>(), ["0001"]);
        assert_eq!(verify(&folder).unwrap(), []);
        fs::write(folder.join("metrics.json"), b"{ }").unwrap();
        fs::remove_file(folder.join("record.json")).unwrap();
        fs::write(folder.join("notes.txt"), b"mine").unwrap();
        let found: Vec<_> = verify(&folder).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "metrics.json is not what the run wrote",
                "record.json is missing",
                "notes.txt is not of the run"
            ]
        );
        fs::remove_file(folder.join(SUMS)).unwrap();
        assert!(verify(&folder).unwrap_err().to_string().contains("SHA256SUMS: reading failed"));
        drop(unfinished);
        fs::remove_dir_all(base).unwrap();
    }
}
