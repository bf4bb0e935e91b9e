//! Plugins of the workspace that are built only when asked for, because what they link takes many minutes to compile.
//!
//! They are the members of the workspace that are no default members. They have a target folder of their own: what
//! `cargo build` and the tests find beside the driver never depends on what was once built on demand.

use std::path::PathBuf;

use cargo_metadata::MetadataCommand;
use expanse_host::{Found, Host, Kind};

use crate::{cli::PassOn, error::Error, plugins, tidy::TidyError, workspace};

/// The package of the server for backends `remote`.
const SERVER: &str = "expanse-server";

/// A plugin that is built only when asked for.
pub struct OnDemand {
    /// What it is for.
    pub kind: Kind,
    /// Its name in experiments.
    pub name: String,
    package: String,
}

impl OnDemand {
    /// How it is asked for.
    pub fn command(&self) -> String {
        format!("cargo xtask plugin build {}", self.name)
    }

    /// Its library, if it is built.
    pub fn found(&self, host: &Host) -> Option<Found> {
        host.list().into_iter().find(|found| found.kind == self.kind && found.name == self.name)
    }
}

/// All of them, in the order of their names.
pub fn members() -> Result<Vec<OnDemand>, Error> {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace::root().join("Cargo.toml")).no_deps();
    let metadata = command.exec().map_err(TidyError::Metadata)?;
    let by_default = metadata.workspace_default_packages();
    let others = metadata.workspace_packages().into_iter();
    let mut members: Vec<_> = others
        .filter(|package| !by_default.iter().any(|other| other.id == package.id))
        .filter_map(|package| {
            let (kind, name) = package.name.as_str().split_once('-')?;
            let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
            Some(OnDemand { kind, name: name.into(), package: package.name.to_string() })
        })
        .collect();
    members.sort_by(|a, b| a.package.cmp(&b.package));
    Ok(members)
}

/// The plugin, if it is one of them.
pub fn member(kind: Kind, name: &str) -> Option<OnDemand> {
    // Where cargo does not answer, what the caller has to say is worth more.
    members().ok()?.into_iter().find(|member| member.kind == kind && member.name == name)
}

/// The folder that their libraries lie in, once they are built.
pub fn folder() -> Option<PathBuf> {
    Some(target()?.join(workspace::build_folder()?.file_name()?))
}

/// `serve`: builds the server, and runs it until it is stopped.
pub fn serve(options: &PassOn) -> Result<(), Error> {
    let target = target().unwrap_or_default().display().to_string();
    let mut arguments = vec!["run", "--package", SERVER];
    // What is no other backend is left to the server to refuse.
    let lent = lent(&options.arguments).and_then(|name| member(Kind::Backend, name));
    if let Some(lent) = lent.as_ref().filter(|lent| lent.name != "remote") {
        arguments.extend(["--features", &lent.name]);
    }
    arguments.push("--");
    arguments.extend(options.arguments.iter().map(String::as_str));
    workspace::cargo(&arguments, &[("CARGO_TARGET_DIR", &target)])
}

/// The backend whose devices are to be lent, if it is named.
fn lent(arguments: &[String]) -> Option<&str> {
    arguments.iter().enumerate().find_map(|(number, argument)| match argument.strip_prefix("--backend")? {
        "" => arguments.get(number + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

fn target() -> Option<PathBuf> {
    Some(workspace::build_folder()?.parent()?.join("on-demand"))
}

/// `plugin build`: builds them in the profile of everything else, each alone, so that its features are the same
/// whatever is asked for besides.
pub fn build(names: &[String]) -> Result<(), Error> {
    let members = members()?;
    let wanted = names.iter().map(|name| {
        let known = || members.iter().map(|member| member.name.clone()).collect();
        let found = members.iter().find(|member| [&member.name, &member.package].contains(&name));
        found.ok_or_else(|| Error::NotOnDemand { name: name.clone(), known: known() })
    });
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let target = target().unwrap_or_default().display().to_string();
    for member in &wanted {
        workspace::cargo(&["build", "--package", &member.package], &[("CARGO_TARGET_DIR", &target)])?;
    }
    let host = plugins::host_of_built(&[])?;
    for member in wanted {
        let Some(found) = member.found(&host) else { continue };
        println!("built: {}", found.path.display());
        if member.kind == Kind::Backend {
            println!("device: {}", plugins::device(host.device(&found, &member.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::lent;

    #[test]
    fn the_backend_that_is_lent_is_named_in_either_way() {
        let named = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(String::from).collect();
            lent(&words).map(String::from)
        };
        assert_eq!(named("--listen 0.0.0.0:1 --backend wgpu --sessions 2").as_deref(), Some("wgpu"));
        assert_eq!(named("--backend=cuda").as_deref(), Some("cuda"));
        assert_eq!(
            (named(""), named("--backend"), named("--backends wgpu"), named("--memory 9")),
            (None, None, None, None)
        );
    }
}
