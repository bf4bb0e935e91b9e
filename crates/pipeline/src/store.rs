use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use expanse_domain::sha256;

use crate::PipelineError;

/// The file of a run with the SHA-256 of every other one, in the form that `sha256sum --check` reads.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// In the folder of a run that is written: its lock says that the driver lives. In the folder of all runs: its lock is
/// held while folders of runs are made, completed and removed.
const LOCK: &str = ".lock";

/// The folder of one run. It is written under a name that ends in `.partial` and renamed when it is complete, so
/// that a run that is listed is a run that is whole. Dropped before that, it is removed; what a driver leaves that was
/// killed, the next run of the experiment removes.
#[derive(Debug)]
pub struct RunFolder {
    base: PathBuf,
    partial: PathBuf,
    complete: PathBuf,
    /// Held for as long as this driver writes.
    lock: File,
    /// The files written so far, with their SHA-256.
    sums: BTreeMap<String, String>,
    kept: bool,
}

impl RunFolder {
    /// Makes the next free folder, `BASE/EXPERIMENT/0001` and so on, and shows that it can be written.
    pub fn create(base: &Path, experiment: &str) -> Result<Self, PipelineError> {
        let parent = base.join(experiment);
        fs::create_dir_all(&parent).map_err(failed(&parent, "making the folder"))?;
        let _making = making(base)?;
        for number in 1..u32::MAX {
            let complete = parent.join(format!("{number:04}"));
            let partial = parent.join(format!("{number:04}.partial"));
            if complete.exists() || (partial.exists() && !abandoned(&partial)) {
                continue;
            }
            fs::create_dir_all(&partial).map_err(failed(&partial, "making the folder"))?;
            let lock = lock(&partial.join(LOCK))?;
            let base = base.to_owned();
            let folder = Self { base, partial, complete, lock, sums: BTreeMap::new(), kept: false };
            let probe = folder.partial.join("probe");
            write_whole(&probe, &[0; 4096])?;
            fs::remove_file(&probe).map_err(failed(&probe, "removing"))?;
            return Ok(folder);
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
        let _making = making(&self.base)?;
        let lock = self.partial.join(LOCK);
        fs::remove_file(&lock).map_err(failed(&lock, "removing"))?;
        fs::rename(&self.partial, &self.complete).map_err(failed(&self.complete, "completing"))?;
        self.kept = true;
        Ok(self.complete.clone())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let _making = making(&self.base);
        // Some systems do not remove a file that is locked.
        let removed = self.lock.unlock().and_then(|()| fs::remove_dir_all(&self.partial));
        if let Err(error) = removed {
            tracing::warn!("{} cannot be removed: {error}", self.partial.display());
        }
    }
}

/// While the file is open, no other driver makes, completes or removes the folder of a run.
fn making(base: &Path) -> Result<File, PipelineError> {
    lock(&base.join(LOCK))
}

/// Opens a file and waits for its lock. Where the file system has no locks, the file alone must do.
fn lock(path: &Path) -> Result<File, PipelineError> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(failed(path, "making"))?;
    match file.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(failed(path, "locking")(error)),
        _ => Ok(file),
    }
}

/// Removes what a driver has left that lives no more; answers whether it was so. Without a lock to ask, nobody can say.
fn abandoned(partial: &Path) -> bool {
    let lock = File::options().write(true).open(partial.join(LOCK));
    let dead = match lock {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    dead && fs::remove_dir_all(partial)
        .inspect_err(|error| tracing::warn!("{} cannot be removed: {error}", partial.display()))
        .is_ok()
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    use io::Write;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside)
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
        assert!(!base.join("x/0002.partial").exists());
        // A driver that was killed holds no lock any more.
        let killed = RunFolder::create(&base, "x").unwrap();
        killed.lock.unlock().unwrap();
        fs::write(killed.partial.join("metrics.json"), b"{").unwrap();
        let next = RunFolder::create(&base, "x").unwrap();
        assert_eq!(next.path(), killed.path());
        assert!(!next.partial.join("metrics.json").exists());
        std::mem::forget(killed);
        drop(next);
        assert_eq!(folder.finish().unwrap(), base.join("x/0001"));
        let entries: Vec<_> = fs::read_dir(base.join("x")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(entries, ["0001"]);
        let files: Vec<_> =
            fs::read_dir(base.join("x/0001")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(fs::read(base.join("x/0001/metrics.json")).unwrap(), b"{}");
        fs::write(base.join("file"), "").unwrap();
        let error = RunFolder::create(&base.join("file"), "x").unwrap_err().to_string();
        assert!(error.contains("making the folder failed"), "{error}");
        fs::remove_dir_all(base).unwrap();
    }
}
