//! Every call into a plugin: how long it took, how much memory it made the process grow, and whether it comes back.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{objects::Named, services};

/// All calls of one function of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Calls {
    /// What the plugin is for.
    pub kind: String,
    /// The plugin's name.
    pub plugin: String,
    /// The function.
    pub call: &'static str,
    /// How often it was called.
    pub count: u64,
    /// Seconds spent in it, all calls together.
    pub seconds: f64,
    /// Seconds of the longest call.
    pub longest: f64,
    /// Bytes by which the peak memory of the process rose during its calls; for a plugin in a process of its own, the
    /// peak memory of that process. Not measured for calls that are made at every step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
}

/// Whether the memory of a call is measured: asking the system costs tens of microseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frequency {
    /// Made a few times in a run.
    Rare,
    /// Made at every step.
    Step,
}

static CALLS: Mutex<BTreeMap<(&'static str, String, &'static str), Calls>> = Mutex::new(BTreeMap::new());
static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());
/// Milliseconds of silence after which a call is reported; 0 reports none.
static STALL_LIMIT: AtomicU64 = AtomicU64::new(60_000);
/// How long after the request to stop a plugin may still take.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

struct Running {
    number: u64,
    what: String,
    last_sign: Instant,
    silence_told: bool,
    deafness_told: bool,
}

/// All calls since this was asked last.
pub fn take_calls() -> Vec<Calls> {
    std::mem::take(&mut *lock(&CALLS)).into_values().collect()
}

/// Sets after how much silence, without return or progress, a call is reported; `None` reports none.
pub fn set_stall_limit(limit: Option<Duration>) {
    STALL_LIMIT.store(limit.map_or(0, |limit| limit.as_millis() as u64), Ordering::Relaxed);
}

pub(crate) fn stall_limit() -> Option<Duration> {
    Some(STALL_LIMIT.load(Ordering::Relaxed)).filter(|limit| *limit > 0).map(Duration::from_millis)
}

/// Makes a call that is timed and watched.
pub(crate) fn watched<T>(
    plugin: &Named,
    call: &'static str,
    frequency: Frequency,
    work: impl FnOnce() -> T,
) -> T {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    start_watchdog();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let began = Instant::now();
    let what = format!("{} `{}` in `{call}`", plugin.kind, plugin.name);
    lock(&RUNNING).push(Running {
        number,
        what,
        last_sign: began,
        silence_told: false,
        deafness_told: false,
    });
    let before = (frequency == Frequency::Rare).then(peak_memory).flatten();
    let result = work();
    let growth = before.and_then(|before| Some(peak_memory()?.saturating_sub(before)));
    lock(&RUNNING).retain(|running| running.number != number);
    record(plugin, call, began.elapsed(), growth);
    result
}

/// Adds a call that is over.
pub(crate) fn record(plugin: &Named, call: &'static str, took: Duration, memory: Option<u64>) {
    let mut calls = lock(&CALLS);
    let key = (plugin.kind.name(), plugin.name.clone(), call);
    let calls = calls.entry(key).or_insert_with(|| Calls {
        kind: plugin.kind.name().into(),
        plugin: plugin.name.clone(),
        call,
        ..Calls::default()
    });
    calls.count += 1;
    calls.seconds += took.as_secs_f64();
    calls.longest = calls.longest.max(took.as_secs_f64());
    calls.peak_memory = calls.peak_memory.max(memory);
}

/// A plugin has shown that it works.
pub(crate) fn sign_of_life() {
    let now = Instant::now();
    for running in lock(&RUNNING).iter_mut() {
        (running.last_sign, running.silence_told) = (now, false);
    }
}

/// Code in this process cannot be stopped from outside, so the watchdog only tells what it sees.
fn start_watchdog() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let started = thread::Builder::new().name("plugin watchdog".into()).spawn(|| {
            let mut cancelled_at = None;
            loop {
                thread::sleep(Duration::from_millis(100));
                cancelled_at = services::cancelled().then(|| cancelled_at.unwrap_or_else(Instant::now));
                report(Instant::now(), stall_limit(), cancelled_at);
            }
        });
        if let Err(error) = started {
            tracing::warn!("plugins that do not return will not be reported: {error}");
        }
    });
}

fn report(now: Instant, limit: Option<Duration>, cancelled_at: Option<Instant>) {
    let mut told = Vec::new();
    for running in lock(&RUNNING).iter_mut() {
        let silent = now.saturating_duration_since(running.last_sign);
        if limit.is_some_and(|limit| silent > limit) && !running.silence_told {
            running.silence_told = true;
            told.push(format!(
                "{} has neither returned nor reported progress for {} s; wait, or stop with Ctrl-C",
                running.what,
                silent.as_secs()
            ));
        }
        let deaf = cancelled_at.is_some_and(|at| now.saturating_duration_since(at) > GRACE);
        if deaf && !running.deafness_told {
            running.deafness_told = true;
            told.push(format!(
                "{} does not heed the request to stop; Ctrl-C again ends the program at once",
                running.what
            ));
        }
    }
    // Writing a record may take time, and may call back: the table is free meanwhile.
    for line in told {
        tracing::warn!("{line}");
    }
}

/// The most memory that this process has had so far, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
