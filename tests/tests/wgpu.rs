//! The backend `wgpu` on whatever device is here, in software or not.
//!
//! It is built only when asked for, and so are these tests: docs/gpu.md tells how.

use std::process::{Command, Output};

use expanse_conformance::Outcome;
use expanse_tests::{
    driver_command,
    kit::conforms,
    on_demand,
    small::{self, command},
};

#[test]
fn it_conforms() {
    let report = conforms(&on_demand("wgpu"));
    // It has memory of its own.
    assert_eq!(report.outcome("kept-images"), Some(&Outcome::Passed));
}

#[test]
fn a_run_gives_the_metrics_of_flex() {
    on_demand("wgpu");
    small::gives_the_metrics_of_flex(&["backend.plugin=wgpu"]);
}

/// What is refused before anything is begun, in one line with the place.
fn refused(setting: &str, reason: &str) {
    on_demand("wgpu");
    let runs = tempfile::tempdir().unwrap();
    let output = command(runs.path(), &["backend.plugin=wgpu", setting]).output().unwrap();
    let stderr = small::stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains(setting) && stderr.contains(reason), "{stderr}");
    assert!(!runs.path().join("fashion-mnist-lt").exists(), "something was begun");
}

#[test]
fn a_device_that_is_not_there_is_told_with_the_place() {
    refused("backend.device=99", "there is no GPU 99 here");
}

/// WGSL has no such type.
#[test]
fn a_type_that_the_device_lacks_is_told_with_the_place() {
    refused("backend.precision=bf16", "does not compute in BF16; use f32");
}

#[test]
fn more_memory_than_the_limit_ends_the_run() {
    on_demand("wgpu");
    let told = "of the device's memory are taken, and the limit is 1 MiB";
    small::refuse(&["backend.plugin=wgpu", "backend.memory=1"], &[told]);
}

/// On Linux the loaders of Vulkan and OpenGL can be shown no driver at all.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_a_device_is_an_answer() {
    on_demand("wgpu");
    let without = |mut command: Command| -> Output {
        command.env("VK_DRIVER_FILES", "/no-such-driver.json").env("VK_LOADER_LAYERS_DISABLE", "~implicit~");
        command.env("__EGL_VENDOR_LIBRARY_FILENAMES", "/no-such-driver.json").output().unwrap()
    };
    let runs = tempfile::tempdir().unwrap();
    let output = without(command(runs.path(), &["backend.plugin=wgpu"]));
    let stderr = small::stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let told: Vec<_> = stderr.lines().filter(|line| line.contains("no GPU is here")).collect();
    assert!(matches!(told[..], [line] if line.contains("--set backend.plugin=wgpu")), "{stderr}");
    assert!(told[0].contains("install") && told[0].contains("use another backend"), "{stderr}");
    assert!(!runs.path().join("fashion-mnist-lt").exists(), "something was begun");

    for listing in [["plugin", "list", "--no-build"].as_slice(), &["doctor", "--no-build"]] {
        let mut command = driver_command();
        command.args(listing);
        let output = without(command);
        let stdout = small::stdout(&output);
        assert!(output.status.success(), "{}", small::stderr(&output));
        let told = |line: &str| line.contains("wgpu") && line.contains("no GPU is here");
        assert!(stdout.lines().any(told), "{stdout}");
    }
}
