//! What the host does for plugins. A process has one host, so these are its globals.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use expanse_abi::{
    HostServices, HostServices_Ref, LogRecord,
    abi_stable::{prefix_type::PrefixTypeTrait, std_types::RStr},
};

static CANCELLED: AtomicBool = AtomicBool::new(false);
static THREADS: AtomicUsize = AtomicUsize::new(1);
static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);

type Progress = Box<dyn Fn(&str, u64, u64) + Send>;

/// The target of all records of plugins; the library's name is the field `library`.
pub const LOG_TARGET: &str = "plugin";

/// Asks everything that runs to stop soon.
pub fn cancel() {
    CANCELLED.store(true, Ordering::Relaxed);
}

/// Whether everything that runs should stop.
pub fn cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

/// Sets how many threads each plugin may use; before the first plugin is loaded.
pub fn set_threads(threads: usize) {
    THREADS.store(threads.max(1), Ordering::Relaxed);
}

/// Calls `progress(library, done, total)` whenever a plugin tells how far it has come.
pub fn on_progress(progress: impl Fn(&str, u64, u64) + Send + 'static) {
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(progress));
}

/// The services as plugins get them.
pub(crate) fn services() -> HostServices_Ref {
    HostServices { log_enabled, log, cancelled: is_cancelled, threads, progress, log_enabled_in }
        .leak_into_prefix()
}

extern "C" fn log_enabled(level: u8, _: RStr<'_>) -> bool {
    match level {
        0 => tracing::enabled!(target: LOG_TARGET, tracing::Level::ERROR),
        1 => tracing::enabled!(target: LOG_TARGET, tracing::Level::WARN),
        2 => tracing::enabled!(target: LOG_TARGET, tracing::Level::INFO),
        3 => tracing::enabled!(target: LOG_TARGET, tracing::Level::DEBUG),
        _ => tracing::enabled!(target: LOG_TARGET, tracing::Level::TRACE),
    }
}

extern "C" fn log_enabled_in(_: RStr<'_>, level: u8, target: RStr<'_>) -> bool {
    log_enabled(level, target)
}

extern "C" fn log(LogRecord { level, library, target, message }: LogRecord<'_>) {
    let (library, module, message) = (library.as_str(), target.as_str(), message.as_str());
    match level {
        0 => tracing::error!(target: LOG_TARGET, library, module, "{message}"),
        1 => tracing::warn!(target: LOG_TARGET, library, module, "{message}"),
        2 => tracing::info!(target: LOG_TARGET, library, module, "{message}"),
        3 => tracing::debug!(target: LOG_TARGET, library, module, "{message}"),
        _ => tracing::trace!(target: LOG_TARGET, library, module, "{message}"),
    }
}

extern "C" fn is_cancelled() -> bool {
    cancelled()
}

extern "C" fn threads() -> usize {
    THREADS.load(Ordering::Relaxed)
}

extern "C" fn progress(library: RStr<'_>, done: u64, total: u64) {
    if let Some(progress) = &*PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) {
        progress(library.as_str(), done, total);
    }
}
