//! What this program and a plugin's process tell each other: one JSON object a line. Matrices lie in shared memory.

use std::path::PathBuf;

use expanse_abi::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Device, HostError, Kind};

/// To the plugin's process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// What a library says of itself.
    Describe(Library),
    /// What the device of a backend is.
    Device {
        library: Library,
        /// The backend's name.
        name: String,
        /// Threads that it may use.
        threads: usize,
    },
    /// Opens a sampler.
    Open {
        library: Library,
        /// The sampler's name; a path if its library holds one only.
        name: String,
        options: Map<String, Value>,
        /// Threads that it may use.
        threads: usize,
        /// Bytes that the process may take beyond what it has.
        memory: Option<u64>,
    },
    /// Makes rows.
    Resample {
        /// The shared memory: see [`Shape`].
        shared: PathBuf,
        shape: Shape,
        seed: u64,
        /// How many log levels are wanted, from errors on.
        levels: u8,
    },
    /// Asks the running call to stop.
    Cancel,
}

/// Which library, and that it must be these bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Library {
    pub kind: Kind,
    pub path: PathBuf,
    pub sha256: String,
}

/// From the plugin's process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    Log { level: u8, library: String, target: String, message: String },
    Progress { library: String, done: u64, total: u64 },
    Described { manifest: Manifest },
    Device { device: Device },
    Opened { name: String, version: String },
    Resampled { report: Value, peak_memory: Option<u64> },
    Failed { failure: Failure },
}

/// An error that crosses from one process to the other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "kebab-case")]
pub(crate) enum Failure {
    Option { kind: Kind, name: String, option: String, message: String, allowed: Vec<String> },
    Plugin { kind: Kind, name: String, message: String },
    Contract { kind: Kind, name: String, problem: String },
    Cancelled,
    Other { message: String },
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Option { kind, name, option, message, allowed } => {
                Self::Option { kind, name, option, message, allowed }
            }
            HostError::Plugin { kind, name, message } => Self::Plugin { kind, name, message },
            HostError::Contract { kind, name, problem } => Self::Contract { kind, name, problem },
            HostError::Cancelled => Self::Cancelled,
            other => Self::Other { message: other.to_string() },
        }
    }
}

impl From<Failure> for HostError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Option { kind, name, option, message, allowed } => {
                Self::Option { kind, name, option, message, allowed }
            }
            Failure::Plugin { kind, name, message } => Self::Plugin { kind, name, message },
            Failure::Contract { kind, name, problem } => Self::Contract { kind, name, problem },
            Failure::Cancelled => Self::Cancelled,
            Failure::Other { message } => Self::Refused(message),
        }
    }
}

/// The sizes of what lies in shared memory, each part after the one before it, in native byte order:
/// features `f32[rows, cols]`, labels `u32[rows]`, rows wanted `u64[classes]`, and then the answer: features
/// `f32[made, cols]`, labels `u32[made]`, base and partner rows `u64[made]` each, classes of the partners `u32[made]`,
/// lengths of the steps `f32[made]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub rows: usize,
    pub cols: usize,
    pub classes: usize,
    pub made: usize,
}

impl Shape {
    /// Where the answer begins, in bytes.
    pub fn answer(&self) -> u64 {
        (self.rows * self.cols * 4 + self.rows * 4 + self.classes * 8) as u64
    }

    /// Bytes in all; `None` if no memory holds them.
    pub fn len(&self) -> Option<u64> {
        let row = self.cols.checked_mul(4)?.checked_add(4 + 8 + 8 + 4 + 4)?;
        let input = self.rows.checked_mul(row)?.checked_add(self.classes.checked_mul(8)?)?;
        u64::try_from(self.made.checked_mul(row)?.checked_add(input)?).ok()
    }
}
