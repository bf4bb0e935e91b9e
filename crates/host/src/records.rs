//! The log records of plugins as records of this program, each under its library's own target, so that a filter such
//! as `plugin::sampler-eos=debug` holds for one library.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use expanse_abi::LogRecord;
use tracing::{
    Event, Level, Metadata,
    callsite::{Callsite, Identifier},
    dispatcher,
    field::FieldSet,
    metadata::{Kind, LevelFilter},
    subscriber::Interest,
};

/// What the targets of all plugins begin with; `::` and the library's name follow.
pub const LOG_TARGET: &str = "plugin";

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
const FIELDS: &[&str] = &["message", "library", "module"];

/// Whether a record of that level would be written for some library.
pub(crate) fn enabled_somewhere(level: u8) -> bool {
    LEVELS.get(usize::from(level)).is_some_and(|level| *level <= LevelFilter::current())
}

/// Whether a record of that level would be written for this library.
pub(crate) fn enabled(library: &str, level: u8) -> bool {
    site(library, level)
        .is_some_and(|metadata| dispatcher::get_default(|dispatch| dispatch.enabled(metadata)))
}

/// Writes a record, if the filter lets it through.
pub(crate) fn write(LogRecord { level, library, target, message }: LogRecord<'_>) {
    let Some(metadata) = site(library.as_str(), level) else { return };
    let fields = metadata.fields();
    let [Some(message_field), Some(library_field), Some(module_field)] =
        [0, 1, 2].map(|at| FIELDS.get(at).and_then(|name| fields.field(name)))
    else {
        return;
    };
    // A message is shown as it is; a string would be shown in quotes.
    let message = tracing::field::display(message.as_str());
    let (library, module) = (library.as_str(), target.as_str());
    let values: [(&tracing::field::Field, Option<&dyn tracing::Value>); 3] =
        [(&message_field, Some(&message)), (&library_field, Some(&library)), (&module_field, Some(&module))];
    dispatcher::get_default(|dispatch| {
        if dispatch.enabled(metadata) {
            Event::child_of(None, metadata, &fields.value_set(&values));
        }
    });
}

/// The place that records of a library and level come from. `tracing` wants it to last for ever; there are as many as
/// libraries times levels.
fn site(library: &str, level: u8) -> Option<&'static Metadata<'static>> {
    static SITES: Mutex<Option<HashMap<String, [&'static Site; 5]>>> = Mutex::new(None);
    let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    let sites = sites.get_or_insert_default();
    if !sites.contains_key(library) {
        let target: &'static str = format!("{LOG_TARGET}::{library}").leak();
        sites.insert(library.to_owned(), LEVELS.map(|level| Site::new(target, level)));
    }
    sites.get(library)?.get(usize::from(level))?.metadata.get()
}

struct Site {
    metadata: OnceLock<Metadata<'static>>,
}

impl Site {
    fn new(target: &'static str, level: Level) -> &'static Self {
        let site: &'static Self = Box::leak(Box::new(Self { metadata: OnceLock::new() }));
        let fields = FieldSet::new(FIELDS, Identifier(site));
        site.metadata.get_or_init(|| {
            Metadata::new("record of a plugin", target, level, None, None, None, fields, Kind::EVENT)
        });
        tracing::callsite::register(site);
        site
    }
}

impl Callsite for Site {
    /// Never cached: the filter is asked for every record.
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        // A site is handed out only after its metadata is set.
        self.metadata.get().unwrap_or_else(|| unreachable!("a callsite without metadata"))
    }
}
