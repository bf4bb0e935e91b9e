//! Records of the log, those of plugins among them: to stderr for people, and kept as JSON for the record of a run.

use std::{
    io::{self, Write},
    mem,
    sync::{Mutex, PoisonError},
};

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// What was logged and not taken yet, one JSON object a line.
static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Logs what the filter lets through; a filter that cannot be read falls back to warnings.
pub fn install(filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let broken = parsed.is_err();
    // As in errors: colours on a terminal, unless NO_COLOR or the like forbids them.
    let colored = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let told = fmt::layer().with_writer(io::stderr).without_time().with_ansi(colored);
    let kept = fmt::layer().json().with_writer(|| Keeper);
    tracing_subscriber::registry()
        .with(told.and_then(kept).with_filter(parsed.unwrap_or_else(|_| EnvFilter::new("warn"))))
        .init();
    if broken {
        tracing::warn!("the log filter `{filter}` cannot be read; logging warnings");
    }
}

/// What was logged since this was asked last, one JSON object a line.
pub fn taken() -> String {
    let bytes = mem::take(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner));
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Keeper;

impl Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
