//! `plugin check`: the conformance kit in a child process.

use std::{env, process::Command};

use expanse_conformance::{References, Task, supervise};
use expanse_host::{Host, HostError};
use serde_json::{Map, Value, json};

use crate::{
    cli::{CheckOptions, Format},
    error::Error,
    plugins,
};

/// `plugin check`.
pub fn check(options: &CheckOptions) -> Result<(), Error> {
    // Asked before anything is built, as that may put another file in the place of this program.
    let program = env::current_exe().map_err(|source| Error::File { path: "the driver".into(), source })?;
    if !options.plugins.no_build {
        plugins::build()?;
    }
    let library = options.file.canonicalize();
    let mut task = Task::new(library.map_err(|source| Error::File { path: options.file.clone(), source })?);
    task.options = options.set.iter().map(|set| option(set)).collect();
    task.golden = options.golden.clone();
    task.references = plugins::search_path(&options.plugins.plugin_path);
    let report = supervise(|| Command::new(&program), &task)?;
    match options.format {
        Format::Table => print!("{report}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    if report.conforms() { Ok(()) } else { Err(Error::Conformance { failed: report.failed().count() }) }
}

/// `KEY=VALUE` as an option; what is no JSON is a string.
fn option(set: &str) -> (String, Value) {
    let (key, value) = set.split_once('=').unwrap_or((set, "true"));
    (key.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into()))
}

/// What this program does where it is the child that checks.
pub fn child(task: &Task) -> Result<(), Error> {
    let host = Host::new(task.references.clone());
    expanse_conformance::child(task, &host, references)
        .map_err(|source| Error::File { path: task.library.clone(), source })
}

/// The shipped plugins that stand around the one that is checked, as far as they are there. The backbone is as small
/// as it can be.
fn references(host: &Host) -> Result<References, HostError> {
    let none = Map::new();
    let small = json!({"depth": 8, "width": 4}).as_object().cloned().unwrap_or_default();
    Ok(References {
        backend: there(host.backend("flex", &none))?,
        backbone: there(host.backbone("resnet", &small))?,
        head: there(host.head("linear", &none))?,
        loss: there(host.loss("cross-entropy", &none))?,
    })
}

fn there<T>(opened: Result<T, HostError>) -> Result<Option<T>, HostError> {
    match opened {
        Ok(component) => Ok(Some(component)),
        Err(HostError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
