//! What the host does for plugins. A process has one host, so these are its globals.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use expanse_abi::{
    HostServices, HostServices_Ref, LogRecord,
    abi_stable::{prefix_type::PrefixTypeTrait, std_types::RStr},
};

use crate::{calls, records};

static CANCELLED: AtomicBool = AtomicBool::new(false);
static THREADS: AtomicUsize = AtomicUsize::new(1);
static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);
static ELSEWHERE: OnceLock<Elsewhere> = OnceLock::new();

type Progress = Box<dyn Fn(&str, u64, u64) + Send>;

/// Where records and progress go in a process that works for another one.
pub(crate) struct Elsewhere {
    /// Whether the other process would write a record of this level.
    pub enabled: fn(u8) -> bool,
    /// Hands a record over.
    pub log: fn(LogRecord<'_>),
    /// Hands progress over.
    pub progress: fn(&str, u64, u64),
}

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

/// How many threads each plugin may use.
pub(crate) fn thread_budget() -> usize {
    THREADS.load(Ordering::Relaxed)
}

/// Calls `progress(library, done, total)` whenever a plugin tells how far it has come.
pub fn on_progress(progress: impl Fn(&str, u64, u64) + Send + 'static) {
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(progress));
}

/// Routes records and progress to the process that this one works for.
pub(crate) fn route(elsewhere: Elsewhere) {
    // A second route would be for a second master, and there is none.
    let _ = ELSEWHERE.set(elsewhere);
}

/// A plugin has come so far.
pub(crate) fn progressed(library: &str, done: u64, total: u64) {
    calls::sign_of_life();
    if let Some(progress) = &*PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) {
        progress(library, done, total);
    }
}

/// The services as plugins get them, which keep them for ever.
pub(crate) fn services() -> HostServices_Ref {
    static SERVICES: OnceLock<HostServices_Ref> = OnceLock::new();
    *SERVICES.get_or_init(|| {
        HostServices { log_enabled, log, cancelled: is_cancelled, threads, progress, log_enabled_in }
            .leak_into_prefix()
    })
}

extern "C" fn log_enabled(level: u8, _: RStr<'_>) -> bool {
    ELSEWHERE.get().map_or_else(|| records::enabled_somewhere(level), |elsewhere| (elsewhere.enabled)(level))
}

extern "C" fn log_enabled_in(library: RStr<'_>, level: u8, _: RStr<'_>) -> bool {
    ELSEWHERE
        .get()
        .map_or_else(|| records::enabled(library.as_str(), level), |elsewhere| (elsewhere.enabled)(level))
}

extern "C" fn log(record: LogRecord<'_>) {
    ELSEWHERE.get().map_or_else(|| records::write(record), |elsewhere| (elsewhere.log)(record));
}

extern "C" fn is_cancelled() -> bool {
    cancelled()
}

extern "C" fn threads() -> usize {
    thread_budget()
}

extern "C" fn progress(library: RStr<'_>, done: u64, total: u64) {
    match ELSEWHERE.get() {
        Some(elsewhere) => (elsewhere.progress)(library.as_str(), done, total),
        None => progressed(library.as_str(), done, total),
    }
}
