//! The map of the code tells the folders that there are.

use std::collections::BTreeSet;

use super::sources::Source;

/// Where the map is.
const FILE: &str = "ARCHITECTURE.md";
/// The heading over the map.
const HEADING: &str = "## Code map";
/// The folder whose every folder the map names. A plugin needs no line: adding one touches its own folder alone.
const MAPPED: &str = "crates/";
/// The folders that a path in the text may begin with.
const ROOTS: [&str; 4] = ["crates/", "plugins/", "tests/", "xtask/"];

/// The map names every crate, and all that the text names exists.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let text = sources.iter().find(|source| source.path == FILE).map(|source| source.text.as_str());
    let Some((text, (_, map))) = text.and_then(|text| Some((text, text.split_once(HEADING)?))) else {
        return vec![format!("{FILE}: there is no section `{HEADING}`; write one that names every crate")];
    };
    let map = map.split("\n## ").next().unwrap_or_default();
    let mapped: BTreeSet<&str> = paths(map).into_iter().filter_map(folder).collect();
    let folders: BTreeSet<&str> = sources.iter().filter_map(|source| folder(&source.path)).collect();
    let absent = folders.difference(&mapped).map(|folder| {
        format!(
            "{FILE}: the code map leaves out {folder}; say there what it holds and which file to read first"
        )
    });
    let exists = |path: &str| {
        let inside =
            |source: &Source| source.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        sources.iter().any(|source| source.path == path || inside(source))
    };
    let stale = paths(text).into_iter().filter(|path| !exists(path));
    let stale =
        stale.map(|path| format!("{FILE}: names {path}, which does not exist; name what took its place"));
    absent.chain(stale).collect()
}

/// The paths that a text names, each once.
fn paths(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./*".contains(c)));
    let paths = words.map(|word| word.trim_end_matches(['.', '/', '-']));
    paths.filter(|path| ROOTS.iter().any(|root| path.starts_with(root)) && !path.contains('*')).collect()
}

/// `crates/host/src/lib.rs` → `crates/host`.
fn folder(path: &str) -> Option<&str> {
    let name = path.strip_prefix(MAPPED)?.split('/').next().filter(|name| !name.is_empty())?;
    Some(&path[..MAPPED.len() + name.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let files = ["crates/abi/src/lib.rs", "crates/host/src/lib.rs", "plugins/head-linear/Cargo.toml"];
        let mut sources = files.map(|path| Source { path: path.into(), text: String::new() }).to_vec();
        sources.push(Source { path: FILE.into(), text: text.into() });
        let problems = super::check(&sources);
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(&format!("{FILE}: {expected}")), "{problem}");
        }
    }

    #[test]
    fn the_map_names_what_there_is_and_nothing_else() {
        let map =
            "# A\n## Code map\n- `crates/abi`, `crates/host/src/lib.rs`: x. See plugins/head-linear/.\n";
        check(map, &[]);
        check(&format!("{map}All of `crates/*`, and not recrates/x.\n## End\n"), &[]);
        check(
            &map.replace("crates/abi", "crates/abis"),
            &["the code map leaves out crates/abi;", "names crates/abis,"],
        );
        check(&format!("{map}## End\n`crates/host/src/main.rs`\n"), &["names crates/host/src/main.rs,"]);
        check(&format!("See xtask/src/run.rs.\n{map}"), &["names xtask/src/run.rs,"]);
        check("## Code map\ncrates/abi\n## End\ncrates/host\n", &["the code map leaves out crates/host"]);
        check("# A\ncrates/abi\n", &["there is no section `## Code map`"]);
    }
}
