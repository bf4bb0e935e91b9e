//! The run that tests start where any will do.

use std::{path::Path, process::Command};

use crate::driver_command;

/// A run of seconds: few images, a narrow network, two epochs.
pub const SMALL: [&str; 8] = [
    "data.profile=counts",
    "data.counts=[60,40,30,20,16,12,10,8,6,5]",
    "backbone.width=4",
    "train.epochs=2",
    "train.warmup_epochs=1",
    "train.batch_size=32",
    "finetune.epochs=2",
    "run.cache=false",
];

/// A small run about to be started, in a folder of runs, with some values changed; it prints JSON.
///
/// # Panics
///
/// If the driver cannot be built.
pub fn command(runs: &Path, set: &[&str]) -> Command {
    let mut command = driver_command();
    command.args(["run", "--no-build", "--format", "json", "--set"]);
    command.arg(format!("run.folder={}", runs.display()));
    for value in SMALL.iter().chain(set) {
        command.args(["--set", value]);
    }
    command
}
