//! What the integration tests and the benchmark share: the plugins, built and found, and the shipped model as an
//! ordinary burn module ([`eager`]).

pub mod eager;
pub mod model;

use std::{
    env::{self, consts},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use expanse_host::Host;

/// A host that finds every shipped plugin.
///
/// # Panics
///
/// If they cannot be built.
pub fn plugins() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new(vec![built().into()]))
}

/// The library of a folder below `tests/fixtures`. No host finds it by its name, only by its path.
///
/// # Panics
///
/// If it cannot be built.
pub fn fixture(folder: &str) -> PathBuf {
    built().join(file_name(&format!("fixture_{}", folder.replace('-', "_"))))
}

/// The file name of a library on this system: `libsampler_eos.so` for `sampler_eos`.
pub fn file_name(library: &str) -> String {
    format!("{}{library}{}", consts::DLL_PREFIX, consts::DLL_SUFFIX)
}

/// Builds all plugins and fixtures, once in a process, and answers the folder they lie in. They are built in the
/// profile and below the target folder of the program that runs, so that what is built already is used.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // …/target/debug/deps/parity-0123456789abcdef
        let executable = env::current_exe().expect("a running program has a path");
        let folder = executable.ancestors().nth(2).expect("cargo puts tests into PROFILE/deps");
        let target = folder.parent().expect("cargo puts profiles into the target folder");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(name) => name,
            None => panic!("{} has no name", folder.display()),
        };

        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let plugins = subfolders(&root.join("../plugins"));
        let fixtures = subfolders(&root.join("fixtures"));
        let packages = plugins.into_iter().chain(fixtures.into_iter().map(|name| format!("fixture-{name}")));

        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--profile", profile]).arg("--target-dir").arg(target);
        cargo.args(packages.flat_map(|package| ["--package".to_owned(), package]));
        let status = cargo.current_dir(root).status().expect("cargo runs");
        assert!(status.success(), "the plugins cannot be built: {status}");
        folder.into()
    })
}

fn subfolders(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).and_then(|entries| {
        let folders = entries.filter(|entry| entry.as_ref().map_or(true, |entry| entry.path().is_dir()));
        folders.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    });
    let mut names: Vec<String> =
        names.unwrap_or_else(|error: io::Error| panic!("{} cannot be read: {error}", folder.display()));
    names.sort();
    names
}
