//! What the host does for plugins. Its services belong to the process, so one test goes through them in order.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use expanse_domain::{Matrix, Seed};
use expanse_host::{HostError, Kind, LOG_TARGET, Synthetic, cancel, on_progress, set_threads};
use expanse_tests::{fixture, plugins};
use serde_json::{Value, json};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

#[test]
fn logs_threads_progress_and_cancellation_pass_the_boundary() {
    let records = Arc::new(Records { level: Mutex::new(Level::INFO), lines: Mutex::default() });
    tracing::subscriber::set_global_default(records.clone()).unwrap();
    set_threads(3);

    logs_arrive_with_the_name_of_their_library(&records);
    a_changed_filter_takes_effect(&records, Level::DEBUG, 3);
    a_changed_filter_takes_effect(&records, Level::ERROR, 0);
    a_changed_filter_takes_effect(&records, Level::WARN, 1);

    let report = resample("threads").unwrap().report;
    assert_eq!(report["notes"][0]["message"], "3");

    every_sampler_tells_its_progress_to_the_end();
    progress_arrives_and_a_plugin_stops_when_asked();
}

fn logs_arrive_with_the_name_of_their_library(records: &Records) {
    resample("log").unwrap();
    let from = "library=fixture-misbehaving module=fixture_misbehaving";
    let mut lines = records.take();
    lines.sort();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, level, message) in [
        (&lines[0], "INFO", "working on=rows: said through tracing  rows=2"),
        (&lines[1], "WARN", "said through log about 3 columns"),
    ] {
        assert!(line.starts_with(level) && line.contains(from) && line.contains(message), "{line}");
    }
}

fn a_changed_filter_takes_effect(records: &Records, level: Level, expected: usize) {
    *records.level.lock().unwrap() = level;
    tracing::callsite::rebuild_interest_cache();
    resample("log").unwrap();
    assert_eq!(records.take().len(), expected, "{level}");
}

fn every_sampler_tells_its_progress_to_the_end() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    on_progress(move |_, done, total| told.lock().unwrap().push((done, total)));
    for name in samplers() {
        resample_with(&name, json!({})).unwrap();
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        let total = heard.first().unwrap_or_else(|| panic!("{name} tells nothing")).1;
        assert!(heard.iter().all(|&(done, of)| done <= total && of == total), "{name}: {heard:?}");
        assert!(heard.contains(&(total, total)), "{name}: {heard:?}");
    }
}

/// The shipped samplers, also those that share a library.
fn samplers() -> Vec<String> {
    let libraries = plugins().list().into_iter().filter(|found| found.kind == Kind::Sampler);
    let plugins = libraries.flat_map(|found| plugins().manifest(&found).unwrap().plugins);
    plugins.map(|plugin| plugin.name).collect()
}

fn progress_arrives_and_a_plugin_stops_when_asked() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    on_progress(move |library, done, total| told.lock().unwrap().push((library.to_owned(), done, total)));
    let working = thread::spawn(|| resample("until-cancelled"));
    while heard.lock().unwrap().len() < 3 {
        assert!(!working.is_finished(), "{:?}", working.join());
        thread::sleep(Duration::from_millis(1));
    }
    cancel();
    let stopped = working.join().unwrap();
    assert!(matches!(stopped, Err(HostError::Cancelled)), "{stopped:?}");
    let library = "fixture-misbehaving".to_owned();
    assert_eq!(heard.lock().unwrap()[..2], [(library.clone(), 1, 1_000_000), (library, 2, 1_000_000)]);

    // The shipped samplers ask, too.
    for name in samplers() {
        let stopped = resample_with(&name, json!({}));
        assert!(matches!(stopped, Err(HostError::Cancelled)), "{name}: {stopped:?}");
    }
}

fn resample(mode: &str) -> Result<Synthetic, HostError> {
    resample_with(fixture("misbehaving").to_str().unwrap(), json!({ "mode": mode }))
}

fn resample_with(sampler: &str, options: Value) -> Result<Synthetic, HostError> {
    let features = Matrix::new((0..12).map(|value| value as f32).collect(), 4, 3).unwrap();
    let sampler = plugins().sampler(sampler, options.as_object().unwrap())?;
    sampler.resample(features.view(), &[0, 0, 1, 1], &[1, 1], Seed(0))
}

/// The records of plugins up to a level, each as one line. It takes the place of a filter and a log file.
struct Records {
    level: Mutex<Level>,
    lines: Mutex<Vec<String>>,
}

impl Records {
    /// What plugins have logged since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Subscriber for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(LOG_TARGET) && *metadata.level() <= *self.level.lock().unwrap()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Level and fields, in the order in which they come.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }
}
