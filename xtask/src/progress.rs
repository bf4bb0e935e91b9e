use std::{
    borrow::Cow,
    cell::RefCell,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use expanse_host::on_progress;
use expanse_pipeline::{Event, Observer};
use indicatif::{ProgressBar, ProgressStyle};

/// Shows a run on stderr: a bar with rate and time left on a terminal, plain lines otherwise; keeps its events.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    bar: RefCell<ProgressBar>,
    /// How far a plugin has come with a call that takes long; it is told from threads of the plugin.
    call: Arc<Mutex<Option<ProgressBar>>>,
    events: RefCell<Vec<String>>,
    last_line: RefCell<Option<Instant>>,
}

impl Progress {
    /// Shows nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let call: Arc<Mutex<Option<ProgressBar>>> = Arc::default();
        if terminal && !quiet {
            let call = call.clone();
            on_progress(move |library, done, total| {
                let mut call = call.lock().unwrap_or_else(PoisonError::into_inner);
                let bar = call.get_or_insert_with(|| bar(library.to_owned(), total));
                bar.set_length(total);
                // Threads of a plugin may tell what they have done out of order.
                bar.set_position(done.max(bar.position()));
                if done >= total {
                    bar.finish_and_clear();
                    *call = None;
                }
            });
        }
        Self {
            quiet,
            terminal,
            bar: RefCell::new(ProgressBar::hidden()),
            call,
            events: RefCell::default(),
            last_line: RefCell::default(),
        }
    }

    /// All events so far, one JSON object a line.
    pub fn events(&self) -> String {
        self.events.borrow().iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Tells something on stderr, above the bar.
    pub fn line(&self, line: &str) {
        if !self.quiet {
            self.bar.borrow().suspend(|| eprintln!("{line}"));
        }
    }

    fn begin(&self, phase: &'static str, steps: u64) {
        if self.quiet || !self.terminal {
            return;
        }
        *self.bar.borrow_mut() = bar(phase, steps);
    }
}

/// A bar with rate and time left.
fn bar(prefix: impl Into<Cow<'static, str>>, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    let template = "{prefix:<9} {wide_bar} {pos}/{len} steps, {per_sec}, {eta} left {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(prefix);
    bar
}

impl Observer for Progress {
    fn event(&self, event: &Event) {
        // A step is not kept: there are thousands.
        if let Ok(json) = serde_json::to_string(event) {
            self.events.borrow_mut().push(json);
        }
        match event {
            Event::PhaseBegins { phase, steps } => {
                self.last_line.take();
                self.begin(phase, *steps);
            }
            Event::Earlier { epochs } => {
                self.events.borrow_mut().extend(epochs.iter().map(ToString::to_string));
            }
            Event::Resumes { phase, epoch, steps } => {
                let bar = self.bar.borrow();
                bar.set_position(*steps);
                bar.reset_eta();
                drop(bar);
                self.line(&format!("{phase}: goes on in epoch {epoch}, where an earlier run was stopped"));
            }
            Event::Step => self.bar.borrow().inc(1),
            Event::Epoch {
                phase,
                epoch,
                epochs,
                loss,
                learning_rate,
                samples_per_second,
                validation_bac,
            } => {
                let bac = validation_bac.map(|bac| format!(", validation BAC {bac:.4}")).unwrap_or_default();
                let rate = match *learning_rate >= 1e-3 {
                    true => format!("{learning_rate:.4}"),
                    false => format!("{learning_rate:.2e}"),
                };
                let text =
                    format!("loss {loss:.4}, learning rate {rate}, {samples_per_second:.0} samples/s{bac}");
                self.bar.borrow().set_message(text.clone());
                // Lines for people who read a log: not more often than they can follow, but always the last.
                let last = *self.last_line.borrow();
                let due = last.is_none_or(|at| at.elapsed() > Duration::from_secs(5));
                if !self.terminal && (due || epoch == epochs) {
                    self.last_line.replace(Some(Instant::now()));
                    self.line(&format!("{phase}: epoch {epoch} of {epochs}, {text}"));
                }
            }
            Event::PhaseEnds { phase, seconds, cached } => {
                self.bar.borrow().finish_and_clear();
                if let Some(call) = self.call.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    call.finish_and_clear();
                }
                let from = if *cached { " (kept from an earlier run)" } else { "" };
                self.line(&format!("{phase}: {seconds:.1} s{from}"));
            }
            Event::Note { message } => self.line(&format!("note: {message}")),
        }
    }
}
