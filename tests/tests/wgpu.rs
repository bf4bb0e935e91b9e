//! The backend `wgpu` on whatever device is here, in software or not.
//!
//! It is built only when asked for, and so are these tests: docs/gpu.md tells how.

use std::process::{Command, Output};

use expanse_tests::{
    driver_command,
    kit::conforms,
    on_demand,
    small::{self, command},
};
use serde_json::Value;

#[test]
fn it_conforms() {
    conforms(&on_demand("wgpu"));
}

/// The metrics of a small run of all three phases.
fn metrics(backend: &str) -> Value {
    let runs = tempfile::tempdir().unwrap();
    // At the usual rate two backends are far apart after a dozen steps, as chaos would have it.
    let set = [&format!("backend.plugin={backend}"), "backbone.depth=8", "train.learning_rate=0.003"];
    let output = command(runs.path(), &set).output().unwrap();
    assert!(output.status.success(), "{}", small::stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How far a score may be from that of `flex`: on this test set of 1000 images, 10 that are judged otherwise.
const SCORES: f64 = 0.01;
/// How far a gap may be, relative to it.
const GAPS: f64 = 0.005;

#[test]
fn a_run_gives_the_metrics_of_flex() {
    on_demand("wgpu");
    let (found, expected) = (metrics("wgpu"), metrics("flex"));
    for model in ["baseline", "three_phase"] {
        for score in ["accuracy", "bac", "gm_macro", "fm"] {
            let value = |metrics: &Value| metrics[model][score].as_f64().unwrap();
            let (found, expected) = (value(&found), value(&expected));
            assert!(
                (found - expected).abs() <= SCORES,
                "{model}.{score} is {found}, that of flex {expected}"
            );
        }
    }
    let gap = |metrics: &Value| metrics["gap"]["before"]["mean"]["raw"].as_f64().unwrap();
    let (found, expected) = (gap(&found), gap(&expected));
    assert!((found - expected).abs() <= GAPS * expected, "the gap is {found}, that of flex {expected}");
}

#[test]
fn a_device_that_is_not_there_is_told_with_the_place() {
    on_demand("wgpu");
    let runs = tempfile::tempdir().unwrap();
    let output = command(runs.path(), &["backend.plugin=wgpu", "backend.device=99"]).output().unwrap();
    let stderr = small::stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("backend.device=99") && stderr.contains("there is no GPU 99 here"), "{stderr}");
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
