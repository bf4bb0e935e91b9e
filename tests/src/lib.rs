//! What the integration tests and the benchmark share: the plugins, built and found, and the shipped model as an
//! ordinary burn module ([`eager`]).

pub mod eager;
pub mod kernels;
pub mod kit;
pub mod model;
pub mod small;
pub mod table;
pub mod timing;
pub mod variant;

use std::{
    env::{self, consts},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use expanse_host::{Found, Host, Kind};

/// A host that finds every shipped plugin.
///
/// # Panics
///
/// If they cannot be built.
pub fn plugins() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new(vec![built().into()]))
}

/// A host that finds, besides, the backends that `cargo xtask plugin build` has put into their folder. None is built for it.
///
/// # Panics
///
/// If the others cannot be built.
pub fn plugins_and_on_demand() -> Host {
    let folder = built();
    let profile = folder.file_name().unwrap_or_default();
    let on_demand = folder.parent().map(|target| target.join("on-demand").join(profile));
    Host::new([folder.into()].into_iter().chain(on_demand).collect())
}

/// The library of a folder below `tests/fixtures`. No host finds it by its name, only by its path.
///
/// # Panics
///
/// If it cannot be built.
pub fn fixture(folder: &str) -> PathBuf {
    built().join(file_name(&format!("fixture_{}", folder.replace('-', "_"))))
}

/// A backend that is built only when asked for: the driver builds it, once in a process.
///
/// # Panics
///
/// If it cannot be built.
pub fn on_demand(name: &str) -> Found {
    static BUILT: OnceLock<String> = OnceLock::new();
    let told = BUILT.get_or_init(|| {
        let mut command = driver_command();
        let output = command.args(["plugin", "build", name]).output().expect("the driver starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} cannot be built: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let path = told.lines().find_map(|line| line.strip_prefix("built: ")).expect("it tells where");
    Found { kind: Kind::Backend, name: name.into(), path: path.into() }
}

/// The driver, as `cargo xtask` starts it.
///
/// # Panics
///
/// If it cannot be built.
pub fn driver() -> PathBuf {
    built().join(format!("xtask{}", consts::EXE_SUFFIX))
}

/// The driver about to be started, with a memory and a list of trusted plugins that are the tests' own.
///
/// # Panics
///
/// If it cannot be built.
pub fn driver_command() -> Command {
    let mut command = Command::new(driver());
    for variable in ["EXPANSE_CACHE_HOME", "EXPANSE_CONFIG_HOME"] {
        command.env(variable, built().join("tests").join(variable));
    }
    command.env_remove("RAYON_NUM_THREADS");
    command
}

/// The file name of a library on this system: `libsampler_eos.so` for `sampler_eos`.
pub fn file_name(library: &str) -> String {
    format!("{}{library}{}", consts::DLL_PREFIX, consts::DLL_SUFFIX)
}

/// Builds the workspace, once in a process, and answers the folder that libraries and driver lie in. It is built in
/// the profile and below the target folder of the program that runs, and all at once, as `xtask` does it, so that
/// cargo settles on the same features and what is built already is used.
///
/// # Panics
///
/// If it cannot be built.
pub fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // …/target/debug/deps/parity-0123456789abcdef
        let executable = env::current_exe().expect("a running program has a path");
        let folder = executable.ancestors().nth(2).expect("cargo puts tests into PROFILE/deps");
        let target = folder.parent().expect("cargo puts profiles into the target folder");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--profile", profile]).arg("--target-dir").arg(target);
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the workspace cannot be built: {status}");
        folder.into()
    })
}
