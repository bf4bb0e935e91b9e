//! What a run is made on and by.

use std::{env::consts, fs, process::Command, thread, time::SystemTime};

use serde_json::{Value, json};

use crate::workspace;

/// The number of threads to use: as configured, or all cores.
pub fn threads(configured: usize) -> usize {
    match configured {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// Version, commit, machine and time, for the record of a run.
pub fn made_by(threads: usize) -> Value {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    json!({
        "expanse": env!("CARGO_PKG_VERSION"),
        "commit": git(&["rev-parse", "HEAD"]),
        "uncommitted_changes": git(&["status", "--porcelain", "--untracked-files=no"]).map(|s| !s.is_empty()),
        "os": consts::OS,
        "arch": consts::ARCH,
        "cpu": cpu(),
        "cores": thread::available_parallelism().map_or(1, usize::from),
        "threads": threads,
        "unix_time": since_epoch.map_or(0, |duration| duration.as_secs()),
    })
}

/// Bytes of memory that the machine has; `None` where the system does not tell.
pub fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(workspace::root()).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
