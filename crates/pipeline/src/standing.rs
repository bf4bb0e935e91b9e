//! Where phase 1 stands, kept while it goes on: a run that was stopped, by its user, a crash or a power cut, goes on from
//! there and ends with the same bytes as one that never stopped.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use expanse_domain::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PipelineError, cache::Key, store::write_whole};

/// Everything that training depends on besides its configuration, between two steps. Order, augmentation and learning
/// rate follow from the epoch and the step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// The epoch that is being trained, from 1.
    pub epoch: u64,
    /// Steps of it that are done.
    pub step: usize,
    /// Their losses.
    pub losses: Vec<f32>,
    /// The best epoch so far, where one is selected.
    pub best: Option<Best>,
    /// Wall-clock seconds so far.
    pub seconds: f64,
    /// The events of the epochs that are done.
    pub history: Vec<Value>,
    /// Parameters and running statistics, as safetensors.
    pub parameters: Vec<u8>,
    /// The state of the optimiser, as safetensors.
    pub optimizer: Vec<u8>,
}

/// The epoch that is best on the images held out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Best {
    /// Its balanced accuracy there.
    pub bac: f64,
    /// Its number, from 1.
    pub epoch: u64,
    /// Parameters and running statistics, as safetensors.
    pub parameters: Vec<u8>,
}

/// The first line of the file; the tensors follow it. Numbers that decide are kept by their bits.
#[derive(Serialize, Deserialize)]
struct Note {
    depends_on: Value,
    epoch: u64,
    step: usize,
    losses: Vec<u32>,
    /// Balanced accuracy and number of the best epoch.
    best: Option<(u64, u64)>,
    seconds: f64,
    history: Vec<Value>,
    /// Bytes of the parameters and of the optimiser's state; those of the best epoch are the rest.
    sizes: [usize; 2],
}

/// Keeps the standing of one phase in one file.
pub(crate) struct Keeper<'a> {
    key: &'a Key,
    path: PathBuf,
    every: Duration,
    last: Instant,
}

impl<'a> Keeper<'a> {
    /// A keeper in a folder, which writes when so much time has passed since it wrote last.
    pub fn new(folder: &Path, key: &'a Key, every: Duration) -> Self {
        Self { key, path: folder.join(format!("{}.unfinished", key.sha256)), every, last: Instant::now() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier run has kept; `None` if it kept nothing.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be used.
    pub fn read(&self) -> io::Result<Option<Standing>> {
        match fs::read(&self.path) {
            Ok(bytes) => self.parse(&bytes).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it is time to write.
    pub fn due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    pub fn write(&mut self, standing: &Standing) -> Result<(), PipelineError> {
        self.last = Instant::now();
        let best = standing.best.as_ref().map_or(&[][..], |best| &best.parameters);
        let note = Note {
            depends_on: self.key.depends_on.clone(),
            epoch: standing.epoch,
            step: standing.step,
            losses: standing.losses.iter().map(|loss| loss.to_bits()).collect(),
            best: standing.best.as_ref().map(|best| (best.bac.to_bits(), best.epoch)),
            seconds: standing.seconds,
            history: standing.history.clone(),
            sizes: [standing.parameters.len(), standing.optimizer.len()],
        };
        let mut content = serde_json::to_vec(&note)?;
        content.push(b'\n');
        for part in [&standing.parameters[..], &standing.optimizer, best] {
            content.extend_from_slice(part);
        }
        let mut file = sha256(&content).into_bytes();
        file.push(b'\n');
        file.append(&mut content);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|source| PipelineError::Store {
                path: folder.into(),
                doing: "making the folder",
                source,
            })?;
        }
        write_whole(&self.path, &file)
    }

    /// Forgets what was kept: the phase is done.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }

    /// `None` unless the file is whole and of the same dependencies.
    fn parse(&self, file: &[u8]) -> Option<Standing> {
        let line = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'\n');
        let (sum, content) = file.split_at_checked(line(file)? + 1)?;
        if sum.trim_ascii_end() != sha256(content).as_bytes() {
            return None;
        }
        let (note, tensors) = content.split_at_checked(line(content)? + 1)?;
        let note: Note = serde_json::from_slice(note).ok()?;
        let (parameters, rest) = tensors.split_at_checked(note.sizes[0])?;
        let (optimizer, best) = rest.split_at_checked(note.sizes[1])?;
        (note.depends_on == self.key.depends_on).then(|| Standing {
            epoch: note.epoch,
            step: note.step,
            losses: note.losses.into_iter().map(f32::from_bits).collect(),
            best: note.best.map(|(bits, epoch)| Best {
                bac: f64::from_bits(bits),
                epoch,
                parameters: best.to_vec(),
            }),
            seconds: note.seconds,
            history: note.history,
            parameters: parameters.to_vec(),
            optimizer: optimizer.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_comes_back_whole_or_is_refused() {
        let folder = std::env::temp_dir().join(format!("expanse-standing-{}", std::process::id()));
        let key = Key::new(json!({ "seed": 1 }));
        let mut keeper = Keeper::new(&folder, &key, Duration::ZERO);
        assert_eq!(keeper.read().unwrap(), None);
        let standing = Standing {
            epoch: 3,
            step: 7,
            losses: vec![0.1, f32::MIN_POSITIVE],
            best: Some(Best { bac: 0.1 + 0.2, epoch: 2, parameters: vec![1, b'\n', 3] }),
            seconds: 1.5,
            history: vec![json!({ "epoch": 1 })],
            parameters: vec![b'\n', 2],
            optimizer: vec![],
        };
        keeper.write(&standing).unwrap();
        assert_eq!(keeper.read().unwrap(), Some(standing.clone()));
        keeper.write(&Standing { best: None, ..standing.clone() }).unwrap();
        assert_eq!(keeper.read().unwrap().unwrap().best, None);

        let bytes = fs::read(keeper.path()).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..10], b"", &[&bytes[..], b"x"].concat()] {
            fs::write(keeper.path(), damaged).unwrap();
            assert_eq!(keeper.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        // The file of other dependencies under this name.
        let other = Key { depends_on: json!({ "seed": 2 }), sha256: key.sha256.clone() };
        Keeper::new(&folder, &other, Duration::ZERO).write(&standing).unwrap();
        assert!(keeper.read().is_err());
        keeper.remove();
        assert_eq!(keeper.read().unwrap(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
