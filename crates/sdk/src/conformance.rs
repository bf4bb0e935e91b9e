//! The conformance kit as a test of a plugin's own crate.

#[cfg(all(feature = "engine", feature = "record"))]
mod references;

use std::{
    env,
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use expanse_conformance::{References, Task, child, supervise};
use expanse_host::HostError;

/// Makes the test of a crate that exports a plugin: its library is built and goes through the conformance kit, in a
/// process of its own, and the report is printed.
///
/// The test is a program of its own, which the crate's `Cargo.toml` says:
///
/// ```toml
/// [dev-dependencies]
/// expanse-sdk = { version = "0.1", features = ["conformance"] }
///
/// [[test]]
/// name = "conformance"
/// harness = false
/// ```
///
/// and `tests/conformance.rs` is the one line `expanse_sdk::test_conformance!();`. With the features `record` and
/// `engine` besides, there are a backend, a head and a loss to run backbones, heads and losses with. Golden numbers of
/// a sampler are read from `golden.json` beside the `Cargo.toml`.
#[macro_export]
macro_rules! test_conformance {
    () => {
        fn main() -> std::process::ExitCode {
            $crate::conformance::main(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"))
        }
    };
}

/// What the program made by [`test_conformance!`](crate::test_conformance) does.
pub fn main(manifest_folder: &str, package: &str) -> ExitCode {
    if let Some(task) = Task::from_environment() {
        // The supervising process tells what becomes of this one.
        let done = child(&task, &expanse_host::Host::new(Vec::new()), |_| references());
        return if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match check(Path::new(manifest_folder), package) {
        Ok(conforms) if conforms => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the report is what the test is run for")]
fn check(manifest_folder: &Path, package: &str) -> Result<bool, Box<dyn std::error::Error>> {
    let program = env::current_exe()?;
    let mut task = Task::new(build(manifest_folder, package, &program)?);
    task.golden = Some(manifest_folder.join("golden.json")).filter(|file| file.is_file());
    let report = supervise(|| Command::new(&program), &task)?;
    println!("\n{report}");
    Ok(report.conforms())
}

/// Builds the library as its users get it: a test alone does not make cargo do so.
fn build(manifest_folder: &Path, package: &str, program: &Path) -> io::Result<PathBuf> {
    let lost = || io::Error::other(format!("{} does not lie where cargo puts tests", program.display()));
    // …/target/debug/deps/conformance-0123456789abcdef
    let folder = program.ancestors().nth(2).ok_or_else(lost)?;
    let target = folder.parent().ok_or_else(lost)?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(manifest_folder).args(["build", "--lib", "--quiet", "--profile", profile]);
    let status = cargo.arg("--target-dir").arg(target).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("`cargo build` of {package} failed: {status}")));
    }
    Ok(folder.join(format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"))))
}

#[cfg(all(feature = "engine", feature = "record"))]
fn references() -> Result<References, HostError> {
    references::references()
}

/// Without burn there is nothing to run a program on.
#[cfg(not(all(feature = "engine", feature = "record")))]
fn references() -> Result<References, HostError> {
    Ok(References::default())
}
