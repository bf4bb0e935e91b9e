use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use crate::SamplingError;

/// How the caller follows a sampler at work. Both methods are called from several threads at once.
pub trait Control: Sync {
    /// Whether to stop; the sampler then fails with [`SamplingError::Cancelled`].
    fn cancelled(&self) -> bool {
        false
    }

    /// `done` of `total` units of work are done: neighbours of one row searched, or one row made. Reports of
    /// different threads may arrive out of order.
    fn progress(&self, done: u64, total: u64) {
        let _ = (done, total);
    }
}

/// Nobody follows, nobody cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unattended;

impl Control for Unattended {}

/// What a sampler has to say about the rows it made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Where a class needed something other than the parameters asked for.
    pub notes: Vec<Note>,
    /// By label: the share of the synthetic rows whose partner is of another class; `None` where none were
    /// made.
    pub enemy_share: Vec<Option<f64>>,
}

/// A remark about one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The label of the class.
    pub class: u32,
    /// What was done differently, and why.
    pub message: String,
}

impl Note {
    /// A remark about class `class`.
    pub fn new(class: usize, message: impl Into<String>) -> Self {
        Self { class: class as u32, message: message.into() }
    }
}

/// Adds up the units of work that threads report.
pub struct Meter<'a> {
    control: &'a dyn Control,
    done: AtomicU64,
    total: u64,
    counts: bool,
}

impl<'a> Meter<'a> {
    /// Counts up to `total` units.
    pub fn new(control: &'a dyn Control, total: u64) -> Self {
        Self { control, done: AtomicU64::new(0), total, counts: true }
    }

    /// A meter of the same caller for work that is no part of the total: it hears of cancelling alone.
    pub fn uncounted(&self) -> Self {
        Self { counts: false, ..Self::new(self.control, 0) }
    }

    /// Counts `units` as done; an error if the caller has cancelled.
    pub fn advance(&self, units: usize) -> Result<(), SamplingError> {
        if self.control.cancelled() {
            return Err(SamplingError::Cancelled);
        }
        if !self.counts {
            return Ok(());
        }
        let before = self.done.fetch_add(units as u64, Ordering::Relaxed);
        self.control.progress(before + units as u64, self.total);
        Ok(())
    }

    /// [`Meter::advance`] as the watch of a search.
    pub fn watch(&self, units: usize) -> ControlFlow<()> {
        if self.advance(units).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
