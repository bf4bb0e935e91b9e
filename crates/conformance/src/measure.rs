//! What a process uses, as Linux tells it; elsewhere nothing is known.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// Threads of this process.
pub(crate) fn threads() -> Option<usize> {
    Some(fs::read_dir("/proc/self/task").ok()?.count())
}

/// Threads of this process that run, or wait for nothing but a processor.
pub(crate) fn busy_threads() -> Option<usize> {
    let busy = |stat: &str| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('R'));
    let tasks = fs::read_dir("/proc/self/task").ok()?.flatten();
    // A thread may end while it is asked.
    let states = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    Some(states.filter(|stat| busy(stat)).count())
}

/// Bytes of memory that this process has touched and not given back.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Runs `work` and answers how many threads were counted at most meanwhile, without the one that watches.
pub(crate) fn most<T>(count: fn() -> Option<usize>, work: impl FnOnce() -> T) -> (T, usize) {
    let (done, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                most.fetch_max(count().unwrap_or(0), Ordering::Relaxed);
                thread::sleep(Duration::from_micros(200));
            }
        });
        let result = work();
        most.fetch_max(count().unwrap_or(0), Ordering::Relaxed);
        done.store(true, Ordering::Release);
        (result, most.load(Ordering::Relaxed).saturating_sub(1))
    })
}
