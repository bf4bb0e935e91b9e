//! Plugins built against other versions of the boundary.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{built, file_name};

/// A change of a file: the first text becomes the second.
pub type Change<'a> = (&'a str, &'a str, &'a str);

/// Builds `tests/fixtures/raw` against `crates/abi` after some changes of either, outside the workspace, and answers
/// the library: `libsampler_NAME.so` in a folder of its own.
///
/// The files are `abi/src/…`, `abi/Cargo.toml` and `raw/src/lib.rs`.
///
/// # Panics
///
/// If a text to change is not there, or it cannot be built.
pub fn variant(name: &str, changes: &[Change<'_>]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let outside = built().join("outside");
    let workspace = outside.join(name);
    // What an earlier run has left may be of other sources.
    let _ = fs::remove_dir_all(&workspace);
    copy(&root.join("crates/abi"), &workspace.join("abi"));
    copy(&root.join("tests/fixtures/raw"), &workspace.join("raw"));
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock")).expect("the lock file is copied");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace has a manifest");
    let manifest = replaced_list(&manifest, "members", "members = [\"abi\", \"raw\"]");
    let manifest = replaced_list(&manifest, "default-members", "");
    // By its place alone: a change may give it another version than the workspace asks for.
    let line =
        manifest.lines().find(|line| line.starts_with("expanse-abi = ")).expect("the workspace has it");
    let manifest = manifest.replace(line, "expanse-abi = { path = \"abi\" }");
    fs::write(workspace.join("Cargo.toml"), manifest).expect("the manifest is written");
    for (file, from, to) in changes {
        let path = workspace.join(file);
        let text = fs::read_to_string(&path).expect("the file is there");
        assert!(text.contains(from), "{file} holds no `{from}`");
        fs::write(&path, text.replacen(from, to, 1)).expect("the change is written");
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(&workspace).args(["build", "--quiet", "--target-dir"]).arg(outside.join("target"));
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let library = workspace.join(file_name(&format!("sampler_{name}")));
    fs::copy(outside.join("target/debug").join(file_name("fixture_raw")), &library).expect("it is built");
    library
}

/// A manifest with a line in the place of a key that holds a list.
fn replaced_list(manifest: &str, key: &str, line: &str) -> String {
    let (head, tail) = manifest.split_once(&format!("\n{key} = [")).expect("the key is there");
    let tail = tail.split_once(']').expect("the list ends").1;
    format!("{head}\n{line}{tail}")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("it can be listed");
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).expect("a file is copied")),
        }
    }
}
