//! Dependencies point down, and the driver links no tensor library.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cargo_metadata::DependencyKind;

/// The layers of `crates/`, lowest first. What lies elsewhere is an entry, above all of them.
const LAYERS: [(&str, &[&str]); 4] = [
    ("vocabulary", &["abi", "domain"]),
    ("maths", &["imbalance", "metrics", "neighbors", "sampling", "sampling-learned"]),
    (
        "mechanism",
        &["checkpoint", "config", "conformance", "cpu", "data", "engine", "host", "program", "report", "sdk"],
    ),
    ("composition", &["pipeline"]),
];

/// Which crate may use which other one of its own layer.
const WITHIN: [(&str, &str); 13] = [
    ("sampling", "neighbors"),
    ("sampling-learned", "sampling"),
    ("checkpoint", "program"),
    ("conformance", "host"),
    ("conformance", "program"),
    ("cpu", "engine"),
    ("cpu", "program"),
    ("engine", "program"),
    ("host", "program"),
    ("sdk", "conformance"),
    ("sdk", "engine"),
    ("sdk", "host"),
    ("sdk", "program"),
];

/// All that a plugin may use of the workspace; a burn backend gets the engine through the sdk.
const FOR_PLUGINS: [&str; 8] =
    ["sdk", "cpu", "domain", "imbalance", "metrics", "neighbors", "sampling", "sampling-learned"];

/// Where the tables above stand, for messages.
const HERE: &str = "xtask/src/tidy/layers.rs";

/// The package of the driver.
const DRIVER: &str = "xtask";

/// A package of the workspace.
pub(super) struct Package {
    /// Its folder, from the root.
    pub folder: String,
    /// The packages of the workspace that its manifest names.
    pub needs: Vec<Dependency>,
}

/// A package of the workspace that another one needs.
pub(super) struct Dependency {
    pub folder: String,
    pub kind: DependencyKind,
}

/// All packages that are resolved, by id.
pub(super) struct Graph(pub BTreeMap<String, Linked>);

/// A package with the ids of those that it needs, and what for.
pub(super) struct Linked {
    pub name: String,
    pub needs: Vec<(String, Vec<DependencyKind>)>,
}

/// Every crate has a layer, and uses lower layers only, besides the pairs that are listed.
pub(super) fn check_layers(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut unused: BTreeSet<_> = WITHIN.into();
    for Package { folder, needs } in packages {
        let Some(layer) = layer(folder) else {
            problems.push(format!("{folder}: stands in no layer; add it to LAYERS in {HERE}, or move it"));
            continue;
        };
        for Dependency { folder: other, kind } in needs {
            // The tests that cross crates may name what they like.
            if folder == "tests" && *kind == DependencyKind::Development {
                continue;
            }
            let pair = (short(folder), short(other));
            unused.remove(&pair);
            if self::layer(other).is_some_and(|other| other >= layer) && !WITHIN.contains(&pair) {
                problems.push(format!(
                    "{folder}: uses {other}, which is not below it; move what they share down, or turn the dependency around"
                ));
            }
        }
    }
    let exists = |name: &str| packages.iter().any(|package| package.folder == format!("crates/{name}"));
    for name in LAYERS.iter().flat_map(|(_, crates)| *crates).filter(|name| !exists(name)) {
        problems.push(format!("crates/{name}: is in LAYERS and does not exist; remove it from {HERE}"));
    }
    for (user, used) in unused {
        let what = format!("is in WITHIN as a user of crates/{used} and does not use it");
        problems.push(format!("crates/{user}: {what}; remove the pair from {HERE}"));
    }
    problems
}

/// A plugin is written against the sdk and the mathematics, so that it could live in a repository of its own.
pub(super) fn check_plugins(packages: &[Package]) -> Vec<String> {
    let plugins = packages.iter().filter(|package| package.folder.starts_with("plugins/"));
    let needs = plugins.flat_map(|plugin| plugin.needs.iter().map(move |need| (&plugin.folder, need)));
    let built = needs.filter(|(_, need)| need.kind != DependencyKind::Development);
    let foreign = built.filter(|(_, need)| !FOR_PLUGINS.contains(&short(&need.folder)));
    let problem = |(plugin, need): (&String, &Dependency)| {
        let other = &need.folder;
        format!("{plugin}: uses {other}; a plugin may use of the workspace {} only", FOR_PLUGINS.join(", "))
    };
    foreign.map(problem).collect()
}

/// The driver links no tensor library, by whatever chain of packages; a workspace without a driver passes.
pub(super) fn check_driver(graph: &Graph) -> Vec<String> {
    let Some(start) = graph.0.iter().find(|(_, package)| package.name == DRIVER) else { return Vec::new() };
    let mut problems = Vec::new();
    let mut seen = BTreeSet::from([start.0]);
    let mut waiting = VecDeque::from([(start.1, vec![DRIVER])]);
    while let Some((package, chain)) = waiting.pop_front() {
        for (id, _) in package.needs.iter().filter(|(_, kinds)| is_linked(kinds)) {
            let Some(next) = graph.0.get(id).filter(|_| seen.insert(id)) else { continue };
            let chain: Vec<&str> = chain.iter().copied().chain([next.name.as_str()]).collect();
            if is_tensor_library(&next.name) {
                let (library, chain) = (&next.name, chain.join(" → "));
                problems.push(format!(
                    "{DRIVER}: links the tensor library {library} by {chain}; only plugins may, cut the chain"
                ));
            } else {
                waiting.push_back((next, chain));
            }
        }
    }
    problems
}

/// The layer of a folder; `None` for a crate that is in no layer.
fn layer(folder: &str) -> Option<usize> {
    if let Some(name) = folder.strip_prefix("crates/") {
        return LAYERS.iter().position(|(_, crates)| crates.contains(&name));
    }
    let entry = [DRIVER, "tests"].contains(&folder)
        || ["plugins/", "tests/fixtures/"].iter().any(|parent| folder.starts_with(parent));
    entry.then_some(LAYERS.len())
}

/// `crates/sdk` → `sdk`; the folder itself for what is no crate, so that the tables never mean a plugin.
fn short(folder: &str) -> &str {
    folder.strip_prefix("crates/").unwrap_or(folder)
}

fn is_linked(kinds: &[DependencyKind]) -> bool {
    kinds.iter().any(|kind| *kind != DependencyKind::Development)
}

fn is_tensor_library(name: &str) -> bool {
    ["burn", "candle-core", "tch", "ort"].contains(&name)
        || ["burn-", "cubecl"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyKind::{Build, Development, Normal};

    /// Every crate of the table with the pairs of its layer: a workspace without a problem.
    fn workspace() -> Vec<Package> {
        let package = |name: &&str| {
            let needs = WITHIN.iter().filter(|(user, _)| user == name);
            let needs = needs.map(|(_, used)| need(&format!("crates/{used}"), Normal)).collect();
            Package { folder: format!("crates/{name}"), needs }
        };
        let mut packages: Vec<_> = LAYERS.iter().flat_map(|(_, crates)| *crates).map(package).collect();
        packages.extend(
            ["xtask", "tests", "plugins/head-linear", "tests/fixtures/broken"]
                .map(|folder| Package { folder: folder.into(), needs: vec![need("crates/sdk", Normal)] }),
        );
        packages
    }

    fn need(folder: &str, kind: DependencyKind) -> Dependency {
        Dependency { folder: folder.into(), kind }
    }

    /// The problems of the workspace above after `folder` was made to use `other`.
    #[track_caller]
    fn check(folder: &str, other: &str, kind: DependencyKind, expected: &[&str]) {
        let mut packages = workspace();
        packages.iter_mut().find(|p| p.folder == folder).unwrap().needs.push(need(other, kind));
        let problems: Vec<_> = [check_layers(&packages), check_plugins(&packages)].concat();
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn dependencies_point_down() {
        check("crates/pipeline", "crates/host", Normal, &[]);
        check("crates/metrics", "crates/domain", Development, &[]);
        check("crates/sdk", "crates/engine", Build, &[]);
        check("crates/domain", "crates/metrics", Normal, &["crates/domain: uses crates/metrics, which"]);
        check("crates/abi", "crates/domain", Normal, &["crates/abi: uses crates/domain, which"]);
        check("crates/engine", "crates/sdk", Normal, &["crates/engine: uses crates/sdk, which"]);
        check("crates/host", "crates/pipeline", Development, &["crates/host: uses crates/pipeline, which"]);
        check("crates/host", "plugins/head-linear", Build, &["crates/host: uses plugins/head-linear, which"]);
        check("xtask", "tests", Normal, &["xtask: uses tests, which"]);
        check("tests", "tests/fixtures/broken", Normal, &["tests: uses tests/fixtures/broken, which"]);
        check("tests", "tests/fixtures/broken", Development, &[]);
    }

    #[test]
    fn plugins_use_the_sdk_and_the_mathematics() {
        check("plugins/head-linear", "crates/sampling", Normal, &[]);
        check("plugins/head-linear", "crates/host", Development, &[]);
        check(
            "plugins/head-linear",
            "crates/engine",
            Normal,
            &["plugins/head-linear: uses crates/engine; a"],
        );
        check("tests/fixtures/broken", "crates/abi", Normal, &[]);
    }

    #[test]
    fn the_tables_are_those_of_the_workspace() {
        let mut packages = workspace();
        packages.retain(|package| package.folder != "crates/report");
        packages
            .iter_mut()
            .for_each(|package| package.needs.retain(|need| need.folder != "crates/neighbors"));
        packages.push(Package { folder: "crates/video".into(), needs: vec![] });
        packages.push(Package { folder: "tools".into(), needs: vec![] });
        let problems = check_layers(&packages);
        let expected = [
            "crates/video: stands in no layer",
            "tools: stands in no layer",
            "crates/report: is in LAYERS and does not exist",
            "crates/sampling: is in WITHIN as a user of crates/neighbors",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        assert!(problems.iter().zip(expected).all(|(p, expected)| p.starts_with(expected)), "{problems:?}");
    }

    /// A graph of packages whose ids are their names.
    fn graph(edges: &[(&str, &str, DependencyKind)]) -> Graph {
        let mut graph = Graph(BTreeMap::new());
        for &(from, to, kind) in edges {
            for name in [from, to] {
                let linked = || Linked { name: name.into(), needs: vec![] };
                graph.0.entry(name.into()).or_insert_with(linked);
            }
            graph.0.get_mut(from).unwrap().needs.push((to.into(), vec![kind]));
        }
        graph
    }

    #[test]
    fn the_driver_links_no_tensor_library() {
        let edges = [
            ("xtask", "expanse-pipeline", Normal),
            ("expanse-pipeline", "expanse-host", Normal),
            ("expanse-host", "burning", Normal),
            ("xtask", "expanse-tests", Development),
            ("expanse-tests", "burn", Normal),
            ("head-linear", "burn", Normal),
        ];
        assert_eq!(check_driver(&graph(&edges)), [""; 0]);
        assert_eq!(check_driver(&graph(&edges[5..])), [""; 0]);
        for (library, kind) in [("burn-ir", Normal), ("cubecl-runtime", Build), ("tch", Normal)] {
            let found = check_driver(&graph(&[&edges[..], &[("expanse-host", library, kind)]].concat()));
            let chain = format!("{library} by xtask → expanse-pipeline → expanse-host → {library};");
            assert!(matches!(&found[..], [one] if one.contains(&chain)), "{found:?}");
        }
    }
}
