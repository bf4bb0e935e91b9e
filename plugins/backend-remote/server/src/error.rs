use std::{io, path::PathBuf};

/// Why nothing is served, or nothing more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The address cannot be had.
    #[error("--listen {address}: {source}; another server may have it, take another port")]
    Listen {
        /// As given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The token cannot be read or kept.
    #[error("--token-file {}: {source}", path.display())]
    Token {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A token of nothing would let in everybody.
    #[error("--token-file {}: it is empty; remove it, and a new token is made", path.display())]
    EmptyToken {
        /// As given.
        path: PathBuf,
    },
    /// A worker cannot begin.
    #[error("a worker cannot begin: {0}")]
    Worker(#[from] io::Error),
    /// There is nothing to lend; the processor always is there.
    #[cfg_attr(not(any(feature = "wgpu", feature = "cuda")), allow(dead_code))]
    #[error("--backend {backend}: no device is here; `cargo xtask doctor` says what is missing")]
    NoDevice {
        /// As given.
        backend: &'static str,
    },
    /// A worker says why it cannot begin.
    #[error("{0}")]
    Told(String),
    /// The memory of a worker cannot be bounded.
    #[error("--memory: the memory of a session cannot be bounded on this system")]
    Memory,
    /// Burn cannot serve.
    #[error("a session ended: {0}")]
    Serve(String),
}
