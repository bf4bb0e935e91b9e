//! A machine without the device of a backend.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use expanse_tests::{driver_command, file_name, fixture, small::command};

const WHY: &str = "no abacus is here; get one, or use another backend";

fn texts(command: &mut Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.clone(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_ends_before_anything_is_begun() {
    let runs = tempfile::tempdir().unwrap();
    let change = format!("backend.plugin={}", fixture("absent").display());
    let (output, _, stderr) = texts(&mut command(runs.path(), &[&change]));
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let told: Vec<_> = stderr.lines().filter(|line| line.contains(WHY)).collect();
    assert!(matches!(told[..], [line] if line.contains(&format!("--set {change}"))), "{stderr}");
    assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0, "something was begun");
}

/// The library under the name of a backend, in a folder of its own, with what the user trusts beside it.
fn installed(folder: &Path) -> PathBuf {
    let library = folder.join(file_name("backend_absent"));
    fs::copy(fixture("absent"), &library).unwrap();
    let mut trust = driver_command();
    trust.env("EXPANSE_CONFIG_HOME", folder).args(["plugin", "trust"]).arg(&library);
    let (output, _, stderr) = texts(&mut trust);
    assert!(output.status.success(), "{stderr}");
    library
}

#[test]
fn listings_tell_which_device_there_is_or_why_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    installed(folder.path());
    for (listing, absent, present) in [
        (
            ["plugin", "list", "--no-build", "--plugin-path"].as_slice(),
            "backend   absent ",
            "backend   flex ",
        ),
        (
            &["doctor", "--no-build", "--plugin-path"],
            "missing  device of absent ",
            "ok       device of flex ",
        ),
    ] {
        let mut command = driver_command();
        command.env("EXPANSE_CONFIG_HOME", folder.path()).args(listing).arg(folder.path());
        let (output, stdout, stderr) = texts(&mut command);
        assert!(output.status.success(), "{stderr}");
        let ends_with = |column: &str, end: &str| {
            stdout.lines().any(|line| line.starts_with(column) && line.ends_with(end))
        };
        assert!(ends_with(absent, WHY) && ends_with(present, "CPU (burn-flex)"), "{stdout}");
    }
}

#[test]
fn the_kit_finds_no_fault_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut check = driver_command();
    check.args(["plugin", "check", "--no-build"]).arg(installed(folder.path()));
    let (output, stdout, stderr) = texts(&mut check);
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains(&format!("there is no device: {WHY}")), "{stdout}");
}
