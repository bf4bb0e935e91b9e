//! Results go to stdout and nothing else does, whatever plugins print.

#[cfg(unix)]
use std::os::fd::OwnedFd;

/// While it lives, what anything in this process prints to stdout goes to stderr.
pub struct Protected {
    #[cfg(unix)]
    stdout: Option<OwnedFd>,
}

impl Protected {
    /// Protects stdout; where it cannot be, plugins that print are a nuisance and no more.
    pub fn new() -> Self {
        #[cfg(unix)]
        {
            use rustix::{io::fcntl_dupfd_cloexec, stdio::dup2_stdout};
            let stdout = fcntl_dupfd_cloexec(std::io::stdout(), 3).ok();
            let stdout = stdout.filter(|_| dup2_stdout(std::io::stderr()).is_ok());
            Self { stdout }
        }
        #[cfg(not(unix))]
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Protected {
    fn drop(&mut self) {
        if let Some(stdout) = &self.stdout
            && let Err(error) = rustix::stdio::dup2_stdout(stdout)
        {
            tracing::warn!("results cannot be printed: {error}");
        }
    }
}
