//! Each library has its own `tracing` dispatcher and its own `log` logger; without this, its records vanish.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

use crate::host;

/// Routes the records of `tracing` and `log` to the host.
pub(crate) fn install() {
    // Either may be set already if the library is used within another program; that one then has the say.
    let _ = tracing::subscriber::set_global_default(ToHost::default());
    if log::set_logger(&LogToHost).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}

/// Keeps the names and fields of spans, and sends events with the spans around them as text.
#[derive(Default)]
struct ToHost {
    spans: Mutex<HashMap<u64, (String, usize)>>,
    last: AtomicU64,
}

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl ToHost {
    fn spans(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (String, usize)>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for ToHost {
    /// Never cached: the host's filter may change while it runs.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        host::log_enabled(told(number(metadata.level()), metadata.target()), metadata.target())
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.spans().insert(id, (text.0, 1));
        span::Id::from_u64(id)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        // Formatting may log: the spans are not locked meanwhile.
        let mut more = Text(String::new());
        values.record(&mut more);
        if let Some((text, _)) = self.spans().get_mut(&id.into_u64()) {
            text.push_str(&more.0);
        }
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        {
            let spans = self.spans();
            ENTERED.with_borrow(|entered| {
                for (name, _) in entered.iter().filter_map(|id| spans.get(id)) {
                    let _ = write!(text.0, "{name}: ");
                }
            });
        }
        event.record(&mut text);
        let (level, target) = (number(event.metadata().level()), event.metadata().target());
        host::log(told(level, target), target, text.0.trim_end());
    }

    fn enter(&self, id: &span::Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, id: &span::Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(place) = entered.iter().rposition(|entered| *entered == id.into_u64()) {
                entered.remove(place);
            }
        });
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        if let Some((_, handles)) = self.spans().get_mut(&id.into_u64()) {
            *handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: span::Id) -> bool {
        let mut spans = self.spans();
        let Some((_, handles)) = spans.get_mut(&id.into_u64()) else { return false };
        *handles -= 1;
        let closed = *handles == 0;
        if closed {
            spans.remove(&id.into_u64());
        }
        closed
    }
}

/// The message and the fields of a record: `message field=value …`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value} "),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

struct LogToHost;

impl log::Log for LogToHost {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        host::log_enabled(told(metadata.level() as u8 - 1, metadata.target()), metadata.target())
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = told(record.level() as u8 - 1, record.target());
            host::log(level, record.target(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Where burn's backends of GPUs warn of each kernel that they try and the device cannot run, dozens of times. They then take
/// another; what cannot be done otherwise is an error of the call besides.
const TRIES: &str = "cubecl_common::device::handle";

/// The level that a record of a level is told at.
fn told(level: u8, target: &str) -> u8 {
    match level {
        WARN if target.starts_with(TRIES) => DEBUG,
        level => level,
    }
}

/// Places in [`expanse_abi::LEVELS`].
const WARN: u8 = 1;
const DEBUG: u8 = 3;

/// The level's place in [`expanse_abi::LEVELS`].
fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 0,
        Level::WARN => WARN,
        Level::INFO => 2,
        Level::DEBUG => DEBUG,
        Level::TRACE => 4,
    }
}

#[cfg(test)]
mod tests {
    use expanse_abi::LEVELS;
    use tracing::Level;

    use super::{TRIES, number, told};

    #[test]
    fn kernels_that_are_tried_are_no_warnings() {
        let level = |level, target: &str| LEVELS[usize::from(told(number(&level), target))];
        let tried = format!("{TRIES}::channel");
        assert_eq!([level(Level::WARN, "sampler_own"), level(Level::WARN, &tried)], ["warn", "debug"]);
        assert_eq!([level(Level::ERROR, &tried), level(Level::TRACE, &tried)], ["error", "trace"]);
    }
}
