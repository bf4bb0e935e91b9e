//! How long the kernels of a backend on cubecl take, by the log that cubecl writes of their launches.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// The backends on cubecl.
pub const CUBECL: [&str; 2] = ["cuda", "wgpu"];

/// The log, in the working folder of the process that is measured.
const LOG: &str = "kernels.log";
/// Where nothing was logged for so long, all has been.
const QUIET: Duration = Duration::from_millis(500);

/// The launches that a log tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kernels {
    /// Launches with a time.
    pub count: usize,
    /// Launches without: the device had none for them.
    pub unmeasured: usize,
    /// The sum of their times.
    pub seconds: f64,
}

/// Runs a process in which cubecl logs each launch. It calls [`logged`] where the part to be measured begins and once more
/// when that part has ended, and prints what the first call answered.
///
/// # Errors
///
/// In one line, if it fails or no launch is logged.
pub fn measure(mut process: Command) -> Result<Kernels, String> {
    let told = |error: io::Error| format!("launches cannot be logged: {error}");
    let folder = tempfile::tempdir().map_err(told)?;
    // A file and not CUBECL_DEBUG_LOG, which would have the compiler keep and log all sources, too.
    let config = format!("[profiling.logger]\nlevel = \"basic\"\nfile = \"{LOG}\"\n");
    fs::write(folder.path().join("cubecl.toml"), config).map_err(told)?;
    for variable in ["CUBECL_DEBUG_LOG", "CUBECL_DEBUG_OPTION"] {
        process.env_remove(variable);
    }
    let output = process.current_dir(folder.path()).stderr(Stdio::inherit()).output().map_err(told)?;
    if !output.status.success() {
        return Err(format!("the process whose launches are logged has failed: {}", output.status));
    }
    let begin: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
    let log = fs::read_to_string(folder.path().join(LOG)).map_err(told)?;
    match read(log.get(begin..).unwrap_or_default()) {
        Kernels { count: 0, .. } => Err("no launch was logged with a time".into()),
        kernels => Ok(kernels),
    }
}

/// The length of the log, once all launches so far are in it: a thread of cubecl's own writes them, each when the device
/// has answered.
pub fn logged() -> u64 {
    let length = || Path::new(LOG).metadata().map_or(0, |log| log.len());
    let mut known = length();
    loop {
        thread::sleep(QUIET);
        match length() {
            same if same == known => return known,
            longer => known = longer,
        }
    }
}

/// Lines as `| 12.5µs     | kernel`; those of the summaries that cubecl adds begin with a name.
fn read(log: &str) -> Kernels {
    let mut kernels = Kernels::default();
    for line in log.lines() {
        let Some((time, _)) = line.strip_prefix("| ").and_then(|line| line.split_once('|')) else { continue };
        match time.trim() {
            "not measured" => kernels.unmeasured += 1,
            time => {
                let Some(seconds) = seconds(time) else { continue };
                kernels.count += 1;
                kernels.seconds += seconds;
            }
        }
    }
    kernels
}

/// A duration as Rust prints it for programmers.
fn seconds(text: &str) -> Option<f64> {
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, unit) =
        units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::{Kernels, read, seconds};

    #[test]
    fn durations_are_read_in_every_unit() {
        for nanoseconds in [7, 12_500, 3_456_789, 2_500_000_000] {
            let printed = format!("{:?}", std::time::Duration::from_nanos(nanoseconds));
            let read = seconds(&printed).unwrap();
            assert!((read * 1e9 - nanoseconds as f64).abs() < 1e-3, "{printed} is {read} s");
        }
        assert_eq!([seconds("Duration"), seconds("reduce_kernels"), seconds("ms")], [None; 3]);
    }

    #[test]
    fn launches_are_counted_and_summaries_are_not() {
        let log = "\
| 12.5µs     | elemwise_fuse_f32
| 1.25ms     | matmul_entry
| not measured | matmul_entry
⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯
| Name              | Duration | Num Computed | Ratio |
⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼⎼
| matmul_entry      | 1.25ms   | 1            | 99 %  |
| Total             | 1.2625ms | 2            | 100 % |
| 2s         | reduce_kernel_shared
";
        let Kernels { count, unmeasured, seconds } = read(log);
        assert_eq!((count, unmeasured), (3, 1));
        assert!((seconds - 2.001_262_5).abs() < 1e-9, "{seconds}");
    }
}
