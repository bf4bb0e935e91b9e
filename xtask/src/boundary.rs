//! `abi`: what a change of the boundary means for the plugins that are there.

use std::{fs, path::Path};

use expanse_host::{BOUNDARY, Found, Growth, Host, Kind};

use crate::{error::Error, workspace};

/// The folder with a library of each kind for every version that was released.
const FROZEN: &str = "tests/frozen";

/// How the boundary has changed since a version, by kind.
struct Since {
    version: String,
    kinds: Vec<(Kind, Growth)>,
}

/// `abi`: compares the boundary with every frozen version, and says which version it needs.
pub fn command() -> Result<(), Error> {
    let mut versions = Vec::new();
    let folder = workspace::root().join(FROZEN);
    let entries = fs::read_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        versions.push(since(&path)?);
    }
    versions.sort_by_key(|since| numbers(&since.version));
    println!("the boundary is {BOUNDARY}");
    for Since { version, kinds } in &versions {
        for (kind, growth) in kinds {
            let told = match growth {
                Growth::Same => "the same",
                Growth::Program => "grown: its plugins still load",
                Growth::Library => "shrunk: something of it is gone",
                Growth::Broken(_) => "broken: its plugins load no more",
            };
            println!("since {version:<8}{kind:<10}{told}");
        }
    }
    verdict(BOUNDARY, &versions).map_err(Error::Boundary)
}

fn since(folder: &Path) -> Result<Since, Error> {
    let host = Host::new(vec![folder.into()]);
    let mut since = Since { version: String::new(), kinds: Vec::new() };
    for found in host.list() {
        let Found { kind, .. } = found;
        let (version, growth) = host.growth(&found).map_err(|error| Error::Host(Box::new(error)))?;
        since.version = version;
        since.kinds.push((kind, growth));
    }
    Ok(since)
}

/// Nothing may be lost within a series of versions, and what has grown since the last one needs a number of its own.
fn verdict(now: &str, versions: &[Since]) -> Result<(), String> {
    let [major, minor, patch] = numbers(now);
    let of_series = versions.iter().filter(|since| numbers(&since.version)[..2] == [major, minor]);
    for Since { version, kinds } in of_series {
        for (kind, growth) in kinds {
            let why = match growth {
                Growth::Broken(difference) => difference.as_str(),
                Growth::Library => "something that plugins of that version may use is gone",
                Growth::Same | Growth::Program => continue,
            };
            let next = format!("{major}.{}.0", minor + 1);
            return Err(format!(
                "the boundary breaks {kind} plugins of {version}: undo the change, add at the end instead, or make it version {next} and let all plugins be built again\n{why}"
            ));
        }
    }
    let same = |since: &&Since| since.version == now;
    let grown = |since: &Since| since.kinds.iter().any(|(_, growth)| *growth == Growth::Program);
    if versions.iter().find(same).is_some_and(grown) {
        let next = format!("{major}.{minor}.{}", patch + 1);
        return Err(format!(
            "the boundary has grown since {now} was frozen: make it version {next} in crates/abi"
        ));
    }
    println!("version {now} suits");
    Ok(())
}

fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now: &str, frozen: &str, growth: Growth, expected: Option<&str>) {
        let kinds = vec![(Kind::Head, Growth::Same), (Kind::Sampler, growth)];
        let verdict = verdict(now, &[Since { version: frozen.into(), kinds }]);
        match expected {
            None => assert_eq!(verdict, Ok(())),
            Some(expected) => assert!(verdict.clone().unwrap_err().contains(expected), "{verdict:?}"),
        }
    }

    #[test]
    fn a_change_needs_its_version() {
        let broken = || Growth::Broken("x".into());
        check("0.1.0", "0.1.0", Growth::Same, None);
        check("0.1.0", "0.1.0", Growth::Program, Some("make it version 0.1.1"));
        check("0.1.1", "0.1.0", Growth::Program, None);
        check("0.1.1", "0.1.0", broken(), Some("breaks sampler plugins of 0.1.0"));
        check("0.1.1", "0.1.0", broken(), Some("make it version 0.2.0"));
        check("0.1.1", "0.1.0", Growth::Library, Some("is gone"));
        check("0.2.0", "0.1.0", broken(), None);
    }
}
