//! Backends that are built only when asked for, on a machine where nobody has asked.

use std::{
    env::consts::{DLL_SUFFIX, EXE_SUFFIX},
    fs,
    process::{Command, Output},
};

use expanse_tests::{built, driver};

/// A target folder of its own with everything that is built by default.
fn target() -> tempfile::TempDir {
    // Beside what is linked there, and so on the same disk.
    let target = tempfile::tempdir_in(built()).unwrap();
    let folder = target.path().join("debug");
    fs::create_dir(&folder).unwrap();
    let libraries = fs::read_dir(built()).unwrap().map(|entry| entry.unwrap().path());
    let libraries = libraries.filter(|path| path.to_string_lossy().ends_with(DLL_SUFFIX));
    for file in libraries.chain([driver()]) {
        fs::hard_link(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    target
}

fn run(target: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(target.path().join("debug").join(format!("xtask{EXE_SUFFIX}")));
    for variable in ["EXPANSE_CACHE_HOME", "EXPANSE_CONFIG_HOME"] {
        command.env(variable, target.path());
    }
    command.args(arguments).output().unwrap()
}

#[test]
fn what_is_not_built_is_told_with_the_command_that_builds_it() {
    let target = target();
    for name in ["cuda", "remote", "wgpu"] {
        let command = format!("`cargo xtask plugin build {name}` builds it, once");
        let output = run(&target, &["run", "--no-build", "--set", &format!("backend.plugin={name}")]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(
            stderr.contains(&format!("--set backend.plugin={name}")) && stderr.contains(&command),
            "{stderr}"
        );

        for (listing, column) in [
            (["plugin", "list", "--no-build"].as_slice(), format!("backend   {name} ")),
            (&["doctor", "--no-build"], format!("missing  device of {name} ")),
        ] {
            let stdout = String::from_utf8_lossy(&run(&target, listing).stdout).into_owned();
            let line = stdout.lines().find(|line| line.starts_with(&column));
            assert!(line.is_some_and(|line| line.contains(&command)), "{stdout}");
        }
    }
}

#[test]
fn what_is_built_by_default_is_not_built_on_demand() {
    let output = run(&target(), &["plugin", "build", "flex"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("`flex` is none of those that are built only when asked for (cuda, remote, wgpu)"),
        "{stderr}"
    );
}
