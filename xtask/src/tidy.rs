//! What the compiler does not check: the layers, what is published, the homes of unsafe code, the map in ARCHITECTURE.md.
//!
//! Every rule is a pure function of what is read here, and stands with its table in one of the modules.

mod heavy;
mod layers;
mod map;
mod published;
mod sources;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{Metadata, MetadataCommand};

use heavy::Member;
use layers::{Dependency, Graph, Linked, Package};
use published::{Need, Published};
use sources::Source;

/// The workspace cannot be examined.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// Cargo does not describe the workspace.
    #[error("cargo does not describe the workspace: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    /// Git cannot be started.
    #[error("git cannot be started: {0}; tidy asks it which files belong to the repository")]
    Start(#[source] io::Error),
    /// Git does not list the files.
    #[error("git does not list the files of {}: {message}", root.display())]
    List {
        /// The folder asked about.
        root: PathBuf,
        /// What git says.
        message: String,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What is untidy in the workspace at `root`: one line each that says where, what, and what to do.
///
/// Files that are new and not ignored count like those that are committed.
///
/// # Errors
///
/// Cargo or git does not answer, or a file cannot be read.
pub fn problems(root: &Path) -> Result<Vec<String>, TidyError> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).exec()?;
    let (packages, sources) = (packages(&metadata), sources(root)?);
    let mut problems = layers::check_layers(&packages);
    problems.extend(layers::check_plugins(&packages));
    problems.extend(layers::check_driver(&graph(&metadata)));
    problems.extend(heavy::check(&members(&metadata)));
    problems.extend(published::check(&published(&metadata)));
    problems.extend(map::check(&sources));
    problems.extend(sources::check(&sources));
    Ok(problems)
}

/// The folder of a package, from the root.
fn folder(metadata: &Metadata, package: &cargo_metadata::Package) -> String {
    let folder = package.manifest_path.parent().unwrap_or(&package.manifest_path);
    folder.strip_prefix(&metadata.workspace_root).unwrap_or(folder).as_str().replace('\\', "/")
}

/// The packages that are to be published, with what they need of the workspace.
fn published(metadata: &Metadata) -> Vec<Published> {
    let members = metadata.workspace_packages();
    let is_published = |package: &cargo_metadata::Package| package.publish.is_none();
    let need = |dependency: &cargo_metadata::Dependency| {
        let package = members.iter().find(|package| package.name.as_str() == dependency.name)?;
        let versioned = !dependency.req.comparators.is_empty();
        let (name, kind) = (dependency.name.clone(), dependency.kind);
        Some(Need { name, kind, published: is_published(package), versioned })
    };
    let published = members.iter().filter(|package| is_published(package)).map(|package| Published {
        folder: folder(metadata, package),
        needs: package.dependencies.iter().filter_map(need).collect(),
    });
    published.collect()
}

/// The members of the workspace with all that they need.
fn members(metadata: &Metadata) -> Vec<Member> {
    let by_default = metadata.workspace_default_packages();
    let members = metadata.workspace_packages();
    let member = |package: &&cargo_metadata::Package| Member {
        folder: folder(metadata, package),
        by_default: by_default.iter().any(|other| other.id == package.id),
        needs: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
    };
    members.iter().map(member).collect()
}

/// The packages of the workspace with what they need of one another.
fn packages(metadata: &Metadata) -> Vec<Package> {
    let members = metadata.workspace_packages();
    let folder = |package: &cargo_metadata::Package| folder(metadata, package);
    let folders: BTreeMap<&str, String> =
        members.iter().map(|package| (package.name.as_str(), folder(package))).collect();
    let needs = |package: &cargo_metadata::Package| {
        let inside = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        let known = inside.filter_map(|dependency| {
            let folder = folders.get(dependency.name.as_str())?.clone();
            Some(Dependency { folder, kind: dependency.kind })
        });
        known.collect()
    };
    members.iter().map(|package| Package { folder: folder(package), needs: needs(package) }).collect()
}

/// The whole graph of packages, as resolved.
fn graph(metadata: &Metadata) -> Graph {
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let nodes = nodes.map(|node| {
        let kinds = |dependency: &cargo_metadata::NodeDep| {
            dependency.dep_kinds.iter().map(|info| info.kind).collect::<Vec<_>>()
        };
        let needs = node.deps.iter().map(|dependency| (dependency.pkg.repr.clone(), kinds(dependency)));
        let name = names.get(&node.id).copied().unwrap_or_default().to_owned();
        (node.id.repr.clone(), Linked { name, needs: needs.collect() })
    });
    Graph(nodes.collect())
}

/// The files of the repository, those that are no text without theirs.
fn sources(root: &Path) -> Result<Vec<Source>, TidyError> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let answer = git.output().map_err(TidyError::Start)?;
    if !answer.status.success() {
        let message = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        return Err(TidyError::List { root: root.into(), message });
    }
    let names = String::from_utf8_lossy(&answer.stdout);
    let mut sources = Vec::new();
    for name in names.split_terminator('\0') {
        let path = root.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).unwrap_or_default();
                sources.push(Source { path: name.into(), text });
            }
            // Removed, and the removal is not committed yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TidyError::Read { path, source }),
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_itself_has_no_problems() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let problems = problems(&root).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn a_folder_without_a_workspace_is_an_error() {
        let error = problems(Path::new("does-not-exist")).unwrap_err().to_string();
        assert!(error.contains("cargo does not describe the workspace"), "{error}");
    }
}
