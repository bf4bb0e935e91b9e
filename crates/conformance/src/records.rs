use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use expanse_host::LOG_TARGET;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The log records of plugins, kept while that is wanted. It takes the place of a filter and a log file.
pub(crate) struct Records {
    wanted: AtomicBool,
    kept: Mutex<Vec<Record>>,
}

/// One record as the host has written it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub library: String,
    pub message: String,
}

impl Records {
    /// The records of this process from here on.
    pub fn install() -> &'static Self {
        static RECORDS: OnceLock<Records> = OnceLock::new();
        let records = RECORDS.get_or_init(|| Self { wanted: AtomicBool::new(false), kept: Mutex::default() });
        // Where another subscriber is there already, no record arrives here, and the check of logs says so.
        let _ = tracing::subscriber::set_global_default(Of(records));
        records
    }

    /// What plugins log while `work` runs, at any level.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Record>) {
        self.wanted.store(true, Ordering::Relaxed);
        let result = work();
        self.wanted.store(false, Ordering::Relaxed);
        (result, std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

struct Of(&'static Records);

impl Subscriber for Of {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(LOG_TARGET) && self.0.wanted.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let mut record = Record::default();
        event.record(&mut record);
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "library" {
            self.library = value.into();
        }
    }
}
