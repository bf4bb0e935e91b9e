//! Building, finding and opening plugins.

use std::{collections::BTreeMap, env, path::PathBuf};

use expanse_config::{Resolved, Stage};
use expanse_host::{Host, HostError, Kind};
use expanse_pipeline::{Components, Identity};
use serde_json::Value;

use crate::{cli::PluginOptions, error::Error, workspace};

/// Variable with folders to look for plugins in, separated as in PATH.
const PATH_VARIABLE: &str = "EXPANSE_PLUGIN_PATH";

/// Builds the workspace's plugins if that is wanted, and gives a host that finds them.
pub fn host(options: &PluginOptions) -> Result<Host, Error> {
    if !options.no_build {
        build()?;
    }
    Ok(Host::new(search_path(&options.plugin_path)))
}

/// Builds the whole workspace at once, so that cargo always settles on the same features of what its members share
/// and compiles it once.
pub fn build() -> Result<(), Error> {
    workspace::cargo(&["build"], &[])
}

/// Explicit folders, the environment, beside this program, the user's, the system's.
pub fn search_path(explicit: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = explicit.to_vec();
    if let Some(variable) = env::var_os(PATH_VARIABLE) {
        folders.extend(env::split_paths(&variable));
    }
    folders.extend(workspace::build_folder());
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let user = env::var_os("XDG_DATA_HOME").map(PathBuf::from).or(home);
    folders.extend(user.map(|user| user.join("expanse/plugins")));
    folders.extend(["/usr/local/lib/expanse/plugins", "/usr/lib/expanse/plugins"].map(PathBuf::from));
    folders
}

/// Opens every component of an experiment.
pub fn open(resolved: &Resolved, host: &Host) -> Result<Components, Error> {
    let e = &resolved.experiment;
    let mut identities = BTreeMap::new();
    let stages = [&e.backbone, &e.head, &e.loss, &e.sampler, &e.backend];
    for (kind, stage) in Kind::ALL.into_iter().zip(stages) {
        let (_, version, sha256) =
            host.identify(kind, &stage.plugin).map_err(|error| located(resolved, kind, error))?;
        let options = Value::Object(stage.options.clone());
        identities
            .insert(kind.name().into(), Identity { plugin: stage.plugin.clone(), version, sha256, options });
    }
    Ok(Components {
        backbone: component(resolved, Kind::Backbone, &e.backbone, |s| host.backbone(&s.plugin, &s.options))?,
        head: component(resolved, Kind::Head, &e.head, |s| host.head(&s.plugin, &s.options))?,
        loss: component(resolved, Kind::Loss, &e.loss, |s| host.loss(&s.plugin, &s.options))?,
        sampler: component(resolved, Kind::Sampler, &e.sampler, |s| host.sampler(&s.plugin, &s.options))?,
        backend: component(resolved, Kind::Backend, &e.backend, |s| host.backend(&s.plugin, &s.options))?,
        identities,
    })
}

fn component<T>(
    resolved: &Resolved,
    kind: Kind,
    stage: &Stage,
    open: impl Fn(&Stage) -> Result<T, HostError>,
) -> Result<T, Error> {
    open(stage).map_err(|error| located(resolved, kind, error))
}

/// An error of a plugin with the place in the configuration that it is about.
fn located(resolved: &Resolved, kind: Kind, error: HostError) -> Error {
    match error {
        HostError::Option { option, message, allowed, .. } if !option.is_empty() => {
            resolved.option_error(kind.name(), &option, &message, &allowed).into()
        }
        source => {
            let key = format!("{kind}.plugin");
            let origin = resolved.origin(&key).map_or(key, |origin| origin.to_string());
            Error::Plugin { origin, source: Box::new(source) }
        }
    }
}

/// `plugin list`.
pub fn list(options: &PluginOptions) -> Result<(), Error> {
    let host = host(options)?;
    println!("{:<10}{:<18}{:<10}what it does", "kind", "plugin", "version");
    for found in host.list() {
        match host.manifest(&found) {
            Ok(manifest) => {
                for plugin in manifest.plugins {
                    let (kind, name, version) = (found.kind, plugin.name, &manifest.version);
                    println!("{kind:<10}{name:<18}{version:<10}{}", plugin.summary);
                }
            }
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    Ok(())
}
