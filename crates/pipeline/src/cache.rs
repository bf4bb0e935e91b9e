//! Phase 1 is the long one, and many samplers share it: its result is kept under the hash of all it depends on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expanse_config::Experiment;
use expanse_domain::sha256;
use expanse_report::Epochs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Components, PipelineError, Prepared, observer::Event, store::write_whole};

/// To be raised when phase 1 computes something else from the same dependencies.
const FORMAT: u32 = 3;

/// What phase 1 leaves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trained {
    /// Parameters and running statistics of the whole model, as safetensors.
    pub parameters: Vec<u8>,
    /// Epochs that were trained, and the one that was kept.
    pub epochs: Epochs,
    /// Wall-clock seconds that training took.
    pub seconds: f64,
    /// The events of its epochs.
    pub history: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    epochs: Epochs,
    seconds: f64,
    history: Vec<Value>,
    sha256: String,
    depends_on: Value,
}

/// What a result is kept under.
pub(crate) struct Key {
    /// Everything that the result depends on.
    pub depends_on: Value,
    /// Of that, as JSON.
    pub sha256: String,
}

impl Key {
    pub fn new(depends_on: Value) -> Self {
        Self { sha256: sha256(depends_on.to_string().as_bytes()), depends_on }
    }
}

/// What the result of phase 1 is kept under.
pub(crate) fn key(experiment: &Experiment, data: &Prepared, components: &Components) -> Key {
    let identity = |stage: &str| components.identities.get(stage);
    Key::new(json!({
        "format": FORMAT,
        "expanse": env!("CARGO_PKG_VERSION"),
        "seed": experiment.seed,
        "train_images": data.train.sha256(),
        "validation_images": data.validation.sha256(),
        "crop_padding": experiment.data.crop_padding,
        "flip": experiment.data.flip,
        "train": experiment.train,
        "backbone": identity("backbone"),
        "head": identity("head"),
        "loss": identity("loss"),
        "backend": identity("backend"),
        "machine": std::env::consts::ARCH,
    }))
}

/// The result kept for these dependencies, if it is there and whole.
pub(crate) fn find(folder: &Path, key: &Key) -> Option<Trained> {
    let (parameters, note) = files(folder, key);
    let note: Note = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    let parameters = fs::read(parameters).ok()?;
    let Note { epochs, seconds, history, .. } = note;
    let whole = note.depends_on == key.depends_on && note.sha256 == sha256(&parameters);
    whole.then_some(Trained { parameters, epochs, seconds, history })
}

/// Keeps a result. That it cannot be kept is a note and no error: the run itself goes on.
pub(crate) fn keep(folder: &Path, key: &Key, trained: &Trained) -> Option<Event> {
    let (parameters, note) = files(folder, key);
    let content = Note {
        epochs: trained.epochs,
        seconds: trained.seconds,
        history: trained.history.clone(),
        sha256: sha256(&trained.parameters),
        depends_on: key.depends_on.clone(),
    };
    let kept = || -> Result<(), PipelineError> {
        fs::create_dir_all(folder).map_err(|source| PipelineError::Store {
            path: folder.into(),
            doing: "making the folder",
            source,
        })?;
        write_whole(&parameters, &trained.parameters)?;
        write_whole(&note, &serde_json::to_vec_pretty(&content)?)
    };
    kept().err().map(|error| Event::Note { message: format!("phase 1 is not kept for later runs: {error}") })
}

fn files(folder: &Path, key: &Key) -> (PathBuf, PathBuf) {
    let name = &key.sha256;
    (folder.join(format!("{name}.safetensors")), folder.join(format!("{name}.json")))
}
