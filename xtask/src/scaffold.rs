//! `plugin new`: a crate of its own that is a plugin which works.

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    fs, io,
    path::{Path, PathBuf},
};

use expanse_host::Kind;

use crate::{
    cli::{NewKind, NewOptions},
    error::Error,
    workspace,
};

/// The files of every crate, with those that differ by kind under their names.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("../templates/every/manifest.toml")),
    ("README.md", include_str!("../templates/every/README.md")),
    ("rustfmt.toml", include_str!("../../rustfmt.toml")),
    (".gitignore", include_str!("../templates/every/gitignore")),
    (".github/workflows/test.yml", include_str!("../templates/every/test.yml")),
    ("tests/conformance.rs", include_str!("../templates/every/conformance.rs")),
];

/// The workspace's own manifest, whose profiles a plugin shares.
const WORKSPACE: &str = include_str!("../../Cargo.toml");
const PROFILES: &str = "[profile.dev]";
const LOCK_FILE: &str = "Cargo.lock";

/// `plugin new`.
pub fn new(options: &NewOptions) -> Result<(), Error> {
    let (kind, name) = (Kind::from(options.kind), options.name.as_str());
    let folder = options.path.join(format!("{kind}-{name}"));
    let refused = |message: String| Error::PluginFile { path: folder.clone(), message };
    check_name(name).map_err(refused)?;
    if folder.exists() {
        return Err(refused("it is there already; take another name, or remove it".into()));
    }
    if let Ok(parent) = options.path.canonicalize()
        && parent.starts_with(workspace::root())
    {
        let message = "this is inside of Expanse's own workspace; give a folder outside of it with --path";
        return Err(refused(message.into()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let lock = workspace::root().join(LOCK_FILE);
    let lock = fs::read_to_string(&lock).map_err(failed(&lock))?;
    let mut files = files(kind, name, options.git.as_deref());
    files.push((LOCK_FILE.into(), lock));
    // The folder appears when it is whole.
    let partial = options.path.join(format!(".{kind}-{name}.{}.partial", std::process::id()));
    if let Err(source) = write(&partial, &files).and_then(|()| fs::rename(&partial, &folder)) {
        // What cannot be removed either is named by the error.
        let _ = fs::remove_dir_all(&partial);
        return Err(Error::File { path: partial, source });
    }
    let library = library(kind, name);
    println!("{}", folder.display());
    eprintln!("next, there:   cargo test, which runs the conformance kit, and cargo build");
    eprintln!("then, here:    cargo xtask plugin trust FILE");
    eprintln!("               cargo xtask run --set {kind}.plugin=FILE");
    eprintln!("where FILE is  {}", folder.join("target/debug").join(library).display());
    Ok(())
}

/// What can be a plugin, a crate and a part of a file name.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let right = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && !name.contains("--")
        && name.len() <= 40;
    let allowed =
        "lower-case letters, digits and single hyphens between them, a letter first, 40 characters at most";
    if right { Ok(()) } else { Err(format!("`{name}` cannot be the name; use {allowed}")) }
}

/// The file that cargo makes of the crate.
fn library(kind: Kind, name: &str) -> String {
    format!("{DLL_PREFIX}{kind}_{}{DLL_SUFFIX}", name.replace('-', "_"))
}

/// All files of a crate but the lock file.
fn files(kind: Kind, name: &str, git: Option<&str>) -> Vec<(PathBuf, String)> {
    let (features, test_features) = match kind {
        Kind::Sampler => ("", "\"conformance\""),
        Kind::Backend => ("\"engine\", \"record\"", "\"conformance\", \"engine\", \"record\""),
        Kind::Backbone | Kind::Head | Kind::Loss => ("\"record\"", "\"conformance\", \"engine\", \"record\""),
    };
    // A path in quotes of TOML, as Windows needs it, too.
    let path = workspace::root().join("crates/sdk").display().to_string();
    let sdk = match git {
        Some(url) => format!("git = {url:?}"),
        None => format!("path = {path:?}"),
    };
    let profiles = WORKSPACE.find(PROFILES).map_or("", |at| &WORKSPACE[at..]);
    let home = git.unwrap_or("https://arxiv.org/abs/2207.06080");
    let replacements = [
        ("__CRATE__", format!("{kind}-{name}")),
        ("__KIND__", kind.to_string()),
        ("__NAME__", name.into()),
        ("__TYPE__", camel_case(name)),
        ("__LIBRARY__", library(kind, name)),
        ("__EDITION__", "2024".into()),
        ("__RUST__", env!("CARGO_PKG_RUST_VERSION").into()),
        ("__SDK__", sdk),
        ("__FEATURES__", features.into()),
        ("__TEST_FEATURES__", test_features.into()),
        ("__PROFILES__", profiles.trim_end().into()),
        ("__HOME__", home.into()),
    ];
    let fill = |text: &str| {
        let filled = replacements.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
        // An empty list of features is left out.
        filled.replace(", features = []", "")
    };
    let own = ("src/lib.rs", source(kind));
    FILES.iter().chain([&own]).map(|(path, text)| (PathBuf::from(path), fill(text))).collect()
}

fn source(kind: Kind) -> &'static str {
    match kind {
        Kind::Backbone => include_str!("../templates/backbone/lib.rs"),
        Kind::Head => include_str!("../templates/head/lib.rs"),
        Kind::Loss => include_str!("../templates/loss/lib.rs"),
        Kind::Sampler => include_str!("../templates/sampler/lib.rs"),
        Kind::Backend => include_str!("../templates/backend/lib.rs"),
    }
}

/// `my-own2` → `MyOwn2`.
fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

fn write(folder: &Path, files: &[(PathBuf, String)]) -> io::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

impl From<NewKind> for Kind {
    fn from(kind: NewKind) -> Self {
        match kind {
            NewKind::Backbone => Self::Backbone,
            NewKind::Head => Self::Head,
            NewKind::Loss => Self::Loss,
            NewKind::Sampler => Self::Sampler,
            NewKind::Backend => Self::Backend,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates_and_files() {
        for name in ["x", "my-own", "smote2"] {
            check_name(name).unwrap();
        }
        for name in ["", "My", "2x", "a_b", "a-", "a--b", "-a", "ä", "a b", "../x", &"x".repeat(41)] {
            let error = check_name(name).unwrap_err();
            assert!(error.contains("use lower-case letters"), "{error}");
        }
        assert_eq!(camel_case("my-own2"), "MyOwn2");
    }

    #[test]
    fn every_placeholder_is_filled_for_every_kind() {
        for kind in Kind::ALL {
            for git in [None, Some("https://example.org/expanse")] {
                for (path, text) in files(kind, "my-own", git) {
                    assert!(!text.contains("__"), "{kind} {}: {text}", path.display());
                    assert!(!text.trim().is_empty(), "{kind} {}", path.display());
                }
            }
        }
        let (_, manifest) = files(Kind::Head, "x", Some("https://example.org/y")).swap_remove(0);
        assert!(
            manifest.contains("{ git = \"https://example.org/y\", features = [\"record\"] }"),
            "{manifest}"
        );
        let manifest: toml::Table = manifest.parse().unwrap();
        let own: toml::Table = WORKSPACE.parse().unwrap();
        assert_eq!(manifest["profile"], own["profile"], "the profiles are those of the workspace");
    }
}
