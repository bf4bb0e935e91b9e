//! What the driver tells without a run: listings, configuration, what shells want to know.

use std::{fs, path::Path, process::Command};

use expanse_tests::{driver_command, small::stderr};
use serde_json::Value;

fn listing(arguments: &[&str]) -> String {
    let output = driver_command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_data_set_of_the_repository_is_small_and_has_its_licence() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fashion-mnist-lt");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 2_000_000, "{bytes} bytes");
    assert!(fs::read_to_string(folder.join("LICENSE")).unwrap().contains("Zalando SE"));
}

#[test]
fn listings_show_what_there_is() {
    let plugins = listing(&["plugin", "list", "--no-build"]);
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins")).unwrap() {
        let folder = entry.unwrap().file_name().into_string().unwrap();
        let (kind, name) = folder.split_once('-').unwrap();
        let listed = |line: &str| line.starts_with(&format!("{kind:<10}{name} "));
        assert!(plugins.lines().any(listed), "{folder} is not in:\n{plugins}");
    }
    let data = listing(&["data", "list"]);
    let own = data.lines().find(|line| line.starts_with("fashion-mnist-lt ")).unwrap();
    assert!(own.contains("2478") && own.contains("1000"), "{own}");

    let shown: Value =
        serde_json::from_str(&listing(&["config", "show", "--format", "json", "--set", "seed=7"])).unwrap();
    assert_eq!((&shown["seed"], &shown["sampler"]["plugin"]), (&7.into(), &"eos".into()));
    let origins = listing(&["config", "show", "--set", "seed=7"]);
    assert!(origins.contains("--set seed=7") && origins.contains("fashion-mnist-lt.toml:"), "{origins}");
}

#[test]
fn the_doctor_tells_what_is_here_and_what_is_missing() {
    let told = listing(&["doctor", "--no-build"]);
    let line = |what: &str| {
        let found = told.lines().find(|line| line.split_whitespace().nth(1) == Some(what));
        found.unwrap_or_else(|| panic!("{what} is not in:\n{told}")).to_owned()
    };
    assert!(line("cores").starts_with("ok") && line("disk").contains("GiB free for runs in"));
    assert!(line("sampler").starts_with("ok") && line("sampler").contains("eos"));
    assert!(line("fashion-mnist-lt").contains("2478 training and 1000 test images"));
    let output =
        driver_command().args(["doctor", "--no-build"]).env("EXPANSE_DATA__FOLDER", "no/such").output();
    let told = String::from_utf8(output.unwrap().stdout).unwrap();
    let missing = told.lines().filter(|line| line.starts_with("missing")).collect::<Vec<_>>().join("\n");
    assert!(missing.contains("fashion-mnist-lt") && missing.contains("`no/such` is not there"), "{told}");
}

#[test]
fn configuration_is_explained_compared_and_checked() {
    let explained = listing(&["config", "explain", "train.epochs", "--set", "train.epochs=7"]);
    let lines: Vec<_> = explained.lines().collect();
    assert_eq!(
        lines[..2],
        ["# Passes over the training images.", "train.epochs = 7  # --set train.epochs=7: holds"]
    );
    assert!(lines.last().unwrap().contains("# built-in defaults, line ") && lines.len() >= 2, "{explained}");
    let nowhere = listing(&["config", "explain", "sampler.r_max"]);
    assert!(nowhere.starts_with("sampler.r_max is set nowhere: "), "{nowhere}");
    let differing = listing(&["config", "diff", "fashion-mnist-lt", "fashion-mnist-full-lt"]);
    assert!(differing.contains("- data.set = \"fashion-mnist-lt\""), "{differing}");
    assert!(differing.lines().all(|line| line.starts_with("- ") || line.starts_with("+ ")), "{differing}");
    let schema: Value = serde_json::from_str(&listing(&["config", "schema", "--no-build"])).unwrap();
    let sampler = &schema["properties"]["sampler"];
    assert!(sampler["properties"]["plugin"]["examples"].as_array().unwrap().contains(&"eos".into()));
    let eos = |part: &&Value| part["if"]["properties"]["plugin"]["const"] == "eos";
    let eos = sampler["allOf"].as_array().unwrap().iter().find(eos).unwrap();
    assert!(eos["then"]["properties"]["k_neighbors"]["description"].is_string(), "{eos}");
    assert!(listing(&["config", "check", "--no-build"]).contains("can be used"));
    let refuse = |set: &str, message: &str| {
        let output = driver_command().args(["config", "check", "--no-build", "--set", set]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    refuse("sampler.k_neighbors=0", "--set sampler.k_neighbors=0: sampler.k_neighbors: ");
    refuse("backbone.plugin=vit", "no backbone is called `vit`");
}

#[test]
fn a_shell_completes_the_commands() {
    let script = listing(&["completions", "bash"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("expanse.bash"), script).unwrap();
    let completed = |typed: &str| {
        let asked = format!(
            "source expanse.bash; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _expanse expanse \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &asked]).current_dir(&folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("expanse ru"), "run runs");
    assert_eq!(completed("expanse config expl"), "explain");
    assert_eq!(completed("expanse run --dry"), "--dry-run");

    let pages = folder.path().join("man");
    listing(&["man", "--out", pages.to_str().unwrap()]);
    let page = fs::read_to_string(pages.join("expanse-run.1")).unwrap();
    assert!(page.contains("dry\\-run") && page.starts_with(".ie"), "{page}");
}
