//! The backend `cuda`: on a machine with a GPU it conforms, and on any other it says what is missing.
//!
//! It is built only when asked for, and so are these tests: docs/gpu.md tells how.

use expanse_tests::{
    driver_command,
    kit::conforms,
    on_demand,
    small::{self, command},
};

#[test]
fn it_conforms_or_says_what_is_missing() {
    let found = on_demand("cuda");
    let listed = driver_command().args(["plugin", "list", "--no-build"]).output().unwrap();
    let (listed, stderr) = (small::stdout(&listed), small::stderr(&listed));
    let line = listed.lines().find(|line| line.starts_with("backend   cuda ")).expect("it is listed");
    if !line.contains("device: none") {
        conforms(&found);
        return;
    }
    assert!(line.contains("no GPU is here: ") && line.contains("or use another backend"), "{listed}");
    assert_eq!(stderr, "");

    let runs = tempfile::tempdir().unwrap();
    let output = command(runs.path(), &["backend.plugin=cuda"]).output().unwrap();
    let stderr = small::stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.contains("no GPU is here")).count(), 1, "{stderr}");
    assert!(stderr.contains("--set backend.plugin=cuda") && !stderr.contains("panicked"), "{stderr}");
    assert!(!runs.path().join("fashion-mnist-lt").exists(), "something was begun");
}

/// What of the kit needs no device holds everywhere: options, manifest, 10 000 instances, hostile calls.
#[test]
fn the_kit_finds_no_fault_with_it() {
    let found = on_demand("cuda");
    let (report, succeeded) = expanse_tests::kit::check(&found.path, &[]);
    assert!(succeeded && report.conforms(), "{report}");
}
