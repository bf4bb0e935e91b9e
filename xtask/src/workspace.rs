//! Where things lie, and how cargo is called.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use expanse_pipeline::PipelineError;

use crate::error::Error;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The folder of configuration files.
pub fn config_folder() -> PathBuf {
    root().join("config")
}

/// The folder that holds this program: cargo puts the plugins beside it.
pub fn build_folder() -> Option<PathBuf> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    // Unit tests of this program run one folder below.
    Some(if folder.ends_with("deps") { folder.parent()?.to_owned() } else { folder })
}

/// Calls cargo in the workspace.
pub fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), Error> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    // The target folder is this program's own, wherever the caller's environment has put it.
    if let Some(target) = build_folder().and_then(|folder| Some(folder.parent()?.to_owned())) {
        command.env("CARGO_TARGET_DIR", target);
    }
    // What cargo has told this program of its package, or a test of its own, is no business of other packages: build scripts
    // that look at it, such as that of `ring`, would run again, and all behind them be compiled again.
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let shown = || format!("cargo {}", arguments.join(" "));
    let status = command.status().map_err(|source| Error::File { path: "cargo".into(), source })?;
    if expanse_host::cancelled() {
        return Err(PipelineError::Cancelled.into());
    }
    if status.success() { Ok(()) } else { Err(Error::Command { command: shown(), code: status.code() }) }
}
