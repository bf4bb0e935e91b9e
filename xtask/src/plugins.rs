//! Building, finding, trusting and opening plugins.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use expanse_config::{Isolation, Resolved, Stage};
use expanse_domain::sha256;
use expanse_host::{Device, Host, HostError, Identified, Kind, Sampler, Sidecar, Trust, TrustList, Worker};
use expanse_pipeline::{Components, Identity};
use serde_json::{Map, Value};

use crate::{cli::PluginOptions, error::Error, machine, on_demand, workspace};

/// Variable with folders to look for plugins in, separated as in PATH.
const PATH_VARIABLE: &str = "EXPANSE_PLUGIN_PATH";

/// Builds the workspace's plugins if that is wanted, and gives a host that finds them.
pub fn host(options: &PluginOptions) -> Result<Host, Error> {
    // Asked before anything is built: that may put another file in the place of this program, which is then nowhere.
    let worker = worker()?;
    if !options.no_build {
        build()?;
    }
    finder(&options.plugin_path, worker)
}

/// A host that finds what is built already.
pub fn host_of_built(plugin_path: &[PathBuf]) -> Result<Host, Error> {
    finder(plugin_path, worker()?)
}

fn finder(plugin_path: &[PathBuf], worker: Worker) -> Result<Host, Error> {
    // What was built with this program is as trusted as this program.
    let folders = built_with_this_program().collect();
    let host = Host::new(search_path(plugin_path)).with_trust(Trust::Listed { folders, list: trust_list()? });
    let host = match user_folder("EXPANSE_CACHE_HOME", "XDG_CACHE_HOME", ".cache") {
        Some(folder) => host.with_cache(&folder),
        None => host,
    };
    Ok(host.with_worker(worker))
}

/// The folders of what the workspace has built.
fn built_with_this_program() -> impl Iterator<Item = PathBuf> {
    workspace::build_folder().into_iter().chain(on_demand::folder())
}

/// This program, as the process of a plugin.
pub fn worker() -> Result<Worker, Error> {
    let program = env::current_exe().map_err(|source| Error::File { path: "this program".into(), source })?;
    Ok(Worker { program, arguments: vec![WORKER.into()] })
}

/// The command by which this program serves a plugin.
pub const WORKER: &str = "plugin-worker";

/// `plugin-worker`: serves one plugin to the program that has started this one.
pub fn serve() -> Result<(), Error> {
    expanse_host::serve().map_err(|source| Error::File { path: "the pipe to the driver".into(), source })
}

/// The libraries that the user trusts.
fn trust_list() -> Result<TrustList, Error> {
    let folder = user_folder("EXPANSE_CONFIG_HOME", "XDG_CONFIG_HOME", ".config");
    // Without a home nothing can be listed, and nothing is.
    folder
        .map_or(Ok(TrustList::default()), |folder| Ok(TrustList::load(folder.join("trusted-plugins.toml"))?))
}

/// A folder of Expanse's own, by its variable; below the desktop's, by its variable; or below the home.
fn user_folder(own: &str, desktop: &str, below_home: &str) -> Option<PathBuf> {
    let path = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let desktop = || path(desktop).or_else(|| Some(path("HOME")?.join(below_home)));
    path(own).or_else(|| Some(desktop()?.join("expanse")))
}

/// `plugin trust`: lists a library, by the bytes that it has now.
pub fn trust(file: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { path: file.into(), source };
    let path = fs::canonicalize(file).map_err(failed)?;
    let sha256 = sha256(&fs::read(&path).map_err(failed)?);
    let told = Sidecar::read(&path)
        .map_err(|problem| Error::Host(Box::new(HostError::Sidecar { path: path.clone(), problem })))?;
    if let Some(expected) = told.map(|sidecar| sidecar.sha256).filter(|told| *told != sha256) {
        let (field, found) = ("SHA-256", sha256);
        return Err(Error::Host(Box::new(HostError::OtherManifest { path, field, expected, found })));
    }
    let mut list = trust_list()?;
    list.add(&sha256, &path)?;
    println!("trusted: {} with SHA-256 {sha256}\nkept in {}", path.display(), list.file().display());
    Ok(())
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
    folders.extend(built_with_this_program());
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let user = env::var_os("XDG_DATA_HOME").map(PathBuf::from).or(home);
    folders.extend(user.map(|user| user.join("expanse/plugins")));
    folders.extend(["/usr/local/lib/expanse/plugins", "/usr/lib/expanse/plugins"].map(PathBuf::from));
    folders
}

/// The backend that has every operation that can be recorded.
const FALLBACK: &str = "flex";

/// Puts a backend that has more operations in the place of one that lacks some, for the whole run; answers what to
/// tell the user.
pub fn fall_back(
    components: &mut Components,
    host: &Host,
    missing: &[String],
) -> Result<Option<String>, Error> {
    const STAGE: &str = "backend";
    let chosen = components.identities[STAGE].plugin.clone();
    if missing.is_empty() || chosen == FALLBACK {
        return Ok(None);
    }
    let failed =
        |source| Error::Plugin { origin: format!("{STAGE}.plugin"), mark: None, source: Box::new(source) };
    let (_, version, sha256) = host.identify(Kind::Backend, FALLBACK).map_err(failed)?;
    components.backend = host.backend(FALLBACK, &Map::new()).map_err(failed)?;
    let options = Value::Object(Map::new());
    components
        .identities
        .insert(STAGE.into(), Identity { plugin: FALLBACK.into(), version, sha256, options });
    let lacks = missing.join(", ");
    Ok(Some(format!("backend `{chosen}` lacks {lacks}; the whole run is on `{FALLBACK}`, which is slower")))
}

/// Opens every component of an experiment.
pub fn open(resolved: &Resolved, host: &Host) -> Result<Components, Error> {
    let e = &resolved.experiment;
    let mut identities = BTreeMap::new();
    let (sampler, sampler_identity) = open_sampler(resolved, host)?;
    let stages = [&e.backbone, &e.head, &e.loss, &e.sampler, &e.backend];
    for (kind, stage) in Kind::ALL.into_iter().zip(stages) {
        let known = sampler_identity.clone().filter(|_| kind == Kind::Sampler);
        let identified = known.map_or_else(|| host.identify(kind, &stage.plugin), Ok);
        let (_, version, sha256) = identified.map_err(|error| located(resolved, kind, error))?;
        let options = Value::Object(stage.options.clone());
        identities
            .insert(kind.name().into(), Identity { plugin: stage.plugin.clone(), version, sha256, options });
    }
    Ok(Components {
        backbone: component(resolved, Kind::Backbone, &e.backbone, |s| host.backbone(&s.plugin, &s.options))?,
        head: component(resolved, Kind::Head, &e.head, |s| host.head(&s.plugin, &s.options))?,
        loss: component(resolved, Kind::Loss, &e.loss, |s| host.loss(&s.plugin, &s.options))?,
        sampler,
        backend: component(resolved, Kind::Backend, &e.backend, |s| host.backend(&s.plugin, &s.options))?,
        identities,
    })
}

/// A sampler, with what it is where that is known already.
type OpenSampler = (Box<dyn Sampler>, Option<Identified>);

/// Opens the sampler of an experiment, in a process of its own where the experiment says so.
pub fn open_sampler(resolved: &Resolved, host: &Host) -> Result<OpenSampler, Error> {
    let e = &resolved.experiment;
    match e.augment.isolation {
        Isolation::None => {
            let sampler =
                component(resolved, Kind::Sampler, &e.sampler, |s| host.sampler(&s.plugin, &s.options))?;
            Ok((sampler, None))
        }
        Isolation::Process => {
            let memory = match e.augment.memory_gib {
                0.0 => machine::memory(),
                gib => Some((gib * f64::from(1 << 30)) as u64),
            };
            let (sampler, identity) = component(resolved, Kind::Sampler, &e.sampler, |s| {
                host.isolated_sampler(&s.plugin, &s.options, memory)
            })?;
            Ok((sampler, Some(identity)))
        }
    }
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
pub fn located(resolved: &Resolved, kind: Kind, error: HostError) -> Error {
    match error {
        HostError::Option { option, message, allowed, .. } if !option.is_empty() => {
            resolved.option_error(kind.name(), &option, &message, &allowed).into()
        }
        source => {
            let key = format!("{kind}.plugin");
            let mark = resolved.mark(&key).map(Box::new);
            let origin = resolved.origin(&key).map_or(key, |origin| origin.to_string());
            let not_built = match &source {
                HostError::NotFound { kind, name, .. } => on_demand::member(*kind, name),
                _ => None,
            };
            let source = Box::new(source);
            match not_built {
                Some(member) => Error::NotBuilt { origin, mark, command: member.command(), source },
                None => Error::Plugin { origin, mark, source },
            }
        }
    }
}

/// A device by its name, or why there is none.
pub fn device(asked: Result<Device, HostError>) -> String {
    asked.map_or_else(|error| format!("none; {error}"), |device| device.name)
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
                    let device = match kind {
                        Kind::Backend => format!("; device: {}", device(host.device(&found, &name))),
                        _ => String::new(),
                    };
                    println!("{kind:<10}{name:<18}{version:<10}{}{device}", plugin.summary);
                }
            }
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    for member in on_demand::members()?.iter().filter(|member| member.found(&host).is_none()) {
        let (kind, name, command) = (member.kind, &member.name, member.command());
        println!("{kind:<10}{name:<18}{:<10}not built; `{command}` builds it, once", "-");
    }
    Ok(())
}
