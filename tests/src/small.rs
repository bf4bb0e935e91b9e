//! The run that tests start where any will do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

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

/// What a program has told on stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a program has told on stdout.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A small run that succeeds: its folder of runs, the folder of the run and the document that it printed.
///
/// # Panics
///
/// If it does not.
pub fn succeed(set: &[&str]) -> (TempDir, PathBuf, Value) {
    let runs = TempDir::new().expect("a folder");
    let output = output(runs.path(), set);
    assert!(output.status.success(), "{}", stderr(&output));
    let folder = runs.path().join("fashion-mnist-lt/0001");
    let document = serde_json::from_slice(&output.stdout).expect("stdout is one JSON document");
    (runs, folder, document)
}

/// A small run that fails: one error with all these parts, nothing on stdout, nothing left in the folder of runs.
///
/// # Panics
///
/// If it is not so.
pub fn refuse(set: &[&str], parts: &[&str]) {
    let runs = TempDir::new().expect("a folder");
    refused(&output(runs.path(), set), runs.path(), parts);
}

/// As [`refuse`], of a run that was started otherwise.
///
/// # Panics
///
/// If it is not so.
pub fn refused(output: &Output, runs: &Path, parts: &[&str]) {
    let stderr = stderr(output);
    assert!(!output.status.success(), "the run succeeded: {parts:?}");
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "colours, and this is no terminal: {stderr:?}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
    assert!(output.stdout.is_empty(), "{}", stdout(output));
    let left = fs::read_dir(runs.join("fashion-mnist-lt")).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(left, 0, "something of the run is left");
}

/// What the driver tells of a small run.
///
/// # Panics
///
/// If it does not start.
pub fn output(runs: &Path, set: &[&str]) -> Output {
    command(runs, set).output().expect("the driver starts")
}

/// A file of a run.
///
/// # Panics
///
/// If it is not there.
pub fn read(folder: &Path, file: &str) -> Vec<u8> {
    fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The metrics of a run without the times, which alone may differ between two runs.
///
/// # Panics
///
/// If they are none.
pub fn timeless(folder: &Path) -> Value {
    let metrics = serde_json::from_slice(&read(folder, "metrics.json"));
    let mut metrics: Value = metrics.expect("metrics are JSON");
    let fields = metrics.as_object_mut().expect("metrics are an object");
    fields.remove("seconds").expect("times by phase");
    metrics
}

/// How far a score may be from that of `flex`: on this test set of 1000 images, 10 that are judged otherwise.
const SCORES: f64 = 0.01;
/// How far a gap may be, relative to it.
const GAPS: f64 = 0.005;

/// A run of all three phases with these settings, on a ResNet-8, has the metrics that `flex` gives, to a tolerance.
///
/// # Panics
///
/// If it has not.
pub fn gives_the_metrics_of_flex(settings: &[&str]) {
    let metrics = |settings: &[&str]| -> Value {
        let runs = tempfile::tempdir().expect("there is room");
        // At the usual rate two backends are far apart after a dozen steps, as chaos would have it.
        let set = [settings, &["backbone.depth=8", "train.learning_rate=0.003"]].concat();
        let output = command(runs.path(), &set).output().expect("the driver starts");
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).expect("metrics are JSON")
    };
    let (found, expected) = (metrics(settings), metrics(&["backend.plugin=flex"]));
    let near = |name: &str, place: &str, tolerance: f64, relative: bool| {
        let value = |metrics: &Value| metrics.pointer(place).and_then(Value::as_f64).expect("it is a number");
        let (found, expected) = (value(&found), value(&expected));
        let scale = if relative { expected } else { 1.0 };
        assert!((found - expected).abs() <= tolerance * scale, "{name} is {found}, that of flex {expected}");
    };
    for model in ["baseline", "three_phase"] {
        for score in ["accuracy", "bac", "gm_macro", "fm"] {
            near(&format!("{model}.{score}"), &format!("/{model}/{score}"), SCORES, false);
        }
    }
    near("the gap", "/gap/before/mean/raw", GAPS, true);
}
