use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use expanse_domain::sha256;

use crate::PipelineError;

/// The file of a run with the SHA-256 of every other one, in the form that `sha256sum --check` reads.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// The folder of one run. It is written under a name that ends in `.partial` and renamed when it is complete, so
/// that a run that is listed is a run that is whole. Dropped before that, it is removed.
#[derive(Debug)]
pub struct RunFolder {
    partial: PathBuf,
    complete: PathBuf,
    /// The files written so far, with their SHA-256.
    sums: BTreeMap<String, String>,
    kept: bool,
}

impl RunFolder {
    /// Makes the next free folder, `BASE/EXPERIMENT/0001` and so on, and shows that it can be written.
    pub fn create(base: &Path, experiment: &str) -> Result<Self, PipelineError> {
        let parent = base.join(experiment);
        fs::create_dir_all(&parent).map_err(failed(&parent, "making the folder"))?;
        for number in 1..u32::MAX {
            let complete = parent.join(format!("{number:04}"));
            let partial = parent.join(format!("{number:04}.partial"));
            if complete.exists() {
                continue;
            }
            match fs::create_dir(&partial) {
                Ok(()) => {
                    let folder = Self { partial, complete, sums: BTreeMap::new(), kept: false };
                    // Another run may have completed under this number just before.
                    if folder.complete.exists() {
                        continue;
                    }
                    let probe = folder.partial.join("probe");
                    write_whole(&probe, &[0; 4096])?;
                    fs::remove_file(&probe).map_err(failed(&probe, "removing"))?;
                    return Ok(folder);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&partial, "making the folder")(error)),
            }
        }
        Err(failed(&parent, "finding a free number")(io::ErrorKind::AlreadyExists.into()))
    }

    /// Writes a file of the run.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), PipelineError> {
        write_whole(&self.partial.join(name), bytes)?;
        self.sums.insert(name.into(), sha256(bytes));
        Ok(())
    }

    /// Where the run will lie.
    pub fn path(&self) -> &Path {
        &self.complete
    }

    /// Lists the files with their hashes and gives the folder its name: from here on the run is complete.
    pub fn finish(mut self) -> Result<PathBuf, PipelineError> {
        let sums: String = self.sums.iter().map(|(file, sum)| format!("{sum}  {file}\n")).collect();
        write_whole(&self.partial.join(SUMS), sums.as_bytes())?;
        fs::rename(&self.partial, &self.complete).map_err(failed(&self.complete, "completing"))?;
        self.kept = true;
        Ok(self.complete.clone())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.partial)
        {
            tracing::warn!("{} cannot be removed: {error}", self.partial.display());
        }
    }
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    use io::Write;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What could not be written whole is not left behind; the first error is the one to tell.
        let _ = fs::remove_file(&beside);
        failed(path, "writing")(error)
    })
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> PipelineError {
    move |source| PipelineError::Store { path: path.into(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_listed_only_when_it_is_whole() {
        let base = std::env::temp_dir().join(format!("expanse-store-{}", std::process::id()));
        let mut folder = RunFolder::create(&base, "x").unwrap();
        folder.write("metrics.json", b"{}").unwrap();
        let other = RunFolder::create(&base, "x").unwrap();
        assert_eq!(other.path(), base.join("x/0002"));
        drop(other);
        assert_eq!(folder.finish().unwrap(), base.join("x/0001"));
        let entries: Vec<_> = fs::read_dir(base.join("x")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(entries, ["0001"]);
        assert_eq!(fs::read(base.join("x/0001/metrics.json")).unwrap(), b"{}");
        fs::write(base.join("file"), "").unwrap();
        let error = RunFolder::create(&base.join("file"), "x").unwrap_err().to_string();
        assert!(error.contains("making the folder failed"), "{error}");
        fs::remove_dir_all(base).unwrap();
    }
}
