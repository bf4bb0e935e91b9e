//! What stands in the files.

/// Files that may hold unsafe code. Everywhere else the workspace's lints deny it.
const UNSAFE_HOMES: [&str; 25] = [
    "crates/abi/src/lib.rs",
    // Kernels use vector instructions and pointers; tasks share slices of which each takes its own part.
    "crates/cpu/src/kernels/norm.rs",
    "crates/cpu/src/kernels/reduce.rs",
    "crates/cpu/src/kernels/simd.rs",
    "crates/cpu/src/kernels/slide.rs",
    "crates/cpu/src/kernels/stencil.rs",
    "crates/cpu/src/kernels/update.rs",
    "crates/cpu/src/kernels/weights.rs",
    "crates/cpu/src/kernels/winograd.rs",
    "crates/cpu/src/kernels/winograd/convolve.rs",
    "crates/cpu/src/kernels/winograd/gradient.rs",
    "crates/cpu/src/kernels/winograd/weights.rs",
    "crates/cpu/src/memory.rs",
    "crates/cpu/src/run/conv.rs",
    "crates/host/src/library.rs",
    // Advice on memory goes by its address.
    "crates/host/src/pages.rs",
    "crates/sdk/src/driver.rs",
    "crates/sdk/src/export.rs",
    // An allocator that counts.
    "tests/tests/allocations.rs",
    // A library that is no plugin exports a symbol all the same.
    "tests/fixtures/not-a-plugin/src/lib.rs",
    // A sampler that harms its process, and one written without the sdk.
    "tests/fixtures/hostile/src/lib.rs",
    "tests/fixtures/raw/src/lib.rs",
    // What the frozen plugins were built from exports its symbol by hand.
    "tests/frozen/0.1.0/source/plugins.rs",
    // The thread budget is an environment variable.
    "xtask/src/run.rs",
    // Where a plugin ends the process, the C library is the one to tell.
    "xtask/src/ending.rs",
];

/// Files that may ask what time it is: the record of a run, and whether a library is the one described before. Nothing
/// else depends on the clock of the day, so it may jump while a run goes on or waits.
const CLOCK_HOMES: [&str; 2] = ["crates/host/src/descriptions.rs", "xtask/src/machine.rs"];

/// The longest a source file may be; beyond that it is several things.
const LONGEST: usize = 500;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 4] = ["utils", "helpers", "common", "manager"];

/// Folders at the root of a machine, where the work of one person lies.
const PRIVATE_FOLDERS: [&str; 3] = ["work", "root", "home"];

/// Where the rules above stand, for messages.
const HERE: &str = "xtask/src/tidy/sources.rs";

/// A file of the repository.
#[derive(Clone)]
pub(super) struct Source {
    /// Its path, from the root, with `/`.
    pub path: String,
    /// What it holds; empty if that is no text.
    pub text: String,
}

/// All rules about single files.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let rust = |source: &&Source| {
        source.path.ends_with(".rs")
            && ["crates/", "plugins/", "tests/", "xtask/"].iter().any(|root| source.path.starts_with(root))
    };
    let mut problems: Vec<String> =
        UNSAFE_HOMES.iter().filter_map(|home| home_in_use(home, sources)).collect();
    for source in sources.iter().filter(rust) {
        let found = [name(source), length(source), opening(source), unsafe_outside(source), clock(source)];
        problems.extend(found.into_iter().flatten());
    }
    for source in sources {
        problems.extend([lints(source), private_path(source)].into_iter().flatten());
    }
    problems
}

fn name(Source { path, .. }: &Source) -> Option<String> {
    let parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
    let empty = parts.into_iter().find(|part| EMPTY_NAMES.contains(part))?;
    Some(format!("{path}: `{empty}` says nothing of what is inside; name it after that"))
}

fn length(Source { path, text }: &Source) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST)
        .then(|| format!("{path}: {lines} lines are several things; split it, {LONGEST} is the most"))
}

fn opening(Source { path, text }: &Source) -> Option<String> {
    let silent = path.ends_with("src/lib.rs") && !text.starts_with("//!");
    silent.then(|| format!("{path}: does not begin with `//!`; say first what the crate is for"))
}

fn unsafe_outside(source: &Source) -> Option<String> {
    let home = UNSAFE_HOMES.contains(&source.path.as_str());
    let line = unsafe_line(&source.text).filter(|_| !home)?;
    let path = &source.path;
    Some(format!("{path}:{line}: unsafe code; write it safely, or list the file in UNSAFE_HOMES in {HERE}"))
}

fn clock(Source { path, text }: &Source) -> Option<String> {
    if CLOCK_HOMES.contains(&path.as_str()) {
        return None;
    }
    let asks = |line: &str| {
        [concat!("System", "Time"), concat!("UNIX_", "EPOCH")].iter().any(|it| line.contains(it))
    };
    let line = text.lines().position(asks)? + 1;
    Some(format!(
        "{path}:{line}: asks for the time of the day, which may jump; measure with `Instant`, or list the file in \
         CLOCK_HOMES in {HERE}"
    ))
}

/// A home that needs to be one no more.
fn home_in_use(home: &str, sources: &[Source]) -> Option<String> {
    let used = sources.iter().any(|source| source.path == home && unsafe_line(&source.text).is_some());
    (!used).then(|| format!("{home}: is in UNSAFE_HOMES and holds no unsafe code; remove it from {HERE}"))
}

/// The first line that uses the keyword in code, or names the lint that forbids it.
fn unsafe_line(text: &str) -> Option<usize> {
    let lint = concat!("unsafe", "_code");
    let uses = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        let mut after = code.split(concat!("un", "safe")).skip(1).map(str::trim_start);
        let keyword = ["{", "(", "fn ", "impl ", "impl<", "trait ", "extern "];
        let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| word == lint) || after.any(|rest| keyword.iter().any(|next| rest.starts_with(next)))
    };
    Some(text.lines().position(uses)? + 1)
}

/// Without the workspace's lints a crate would allow what they deny. Fixtures may stand outside.
fn lints(Source { path, text }: &Source) -> Option<String> {
    let workspace = text.contains("\n[workspace]\n");
    let member = path.ends_with("/Cargo.toml") && !path.starts_with("tests/fixtures/") && !workspace;
    let silent = member && !text.contains("[lints]\nworkspace = true");
    silent.then(|| {
        format!("{path}: does not take the workspace's lints; add `[lints]` with `workspace = true`")
    })
}

fn private_path(Source { path, text }: &Source) -> Option<String> {
    let line = text.lines().position(|line| PRIVATE_FOLDERS.iter().any(|folder| names(line, folder)))? + 1;
    Some(format!(
        "{path}:{line}: names a folder of one machine; write a path from the root of the repository"
    ))
}

/// Whether a line holds `/folder/` from the root of a machine: not within a longer path.
fn names(line: &str, folder: &str) -> bool {
    let folder = format!("/{folder}/");
    let longer = |before: char| before.is_alphanumeric() || "_-.~*}".contains(before);
    line.match_indices(&folder).any(|(at, _)| !line[..at].ends_with(longer))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problems of a workspace whose one file besides the homes of unsafe code is this one.
    #[track_caller]
    fn check(path: &str, text: &str, expected: Option<&str>) {
        let unsafe_home = concat!("//! Home.\nun", "safe { x() }\n");
        let mut sources =
            UNSAFE_HOMES.map(|home| Source { path: home.into(), text: unsafe_home.into() }).to_vec();
        sources.push(Source { path: path.into(), text: text.into() });
        let problems = super::check(&sources);
        match (expected, &problems[..]) {
            (None, []) => {}
            (Some(expected), [problem]) if problem.starts_with(&format!("{path}{expected}")) => {}
            _ => panic!("{problems:?}"),
        }
    }

    #[test]
    fn files_are_named_opened_and_short() {
        check("crates/a/src/lib.rs", "//! A.\n", None);
        check("crates/a/src/lib.rs", "mod a;\n", Some(": does not begin"));
        check("crates/a/src/b.rs", "mod a;\n", None);
        check("tests/src/helpers.rs", "", Some(": `helpers` says nothing"));
        check("crates/a/src/common/part.rs", "", Some(": `common` says nothing"));
        check("crates/a/src/commons.rs", "", None);
        check("xtask/src/a.rs", &"\n".repeat(500), None);
        check("xtask/src/a.rs", &"\n".repeat(501), Some(": 501 lines"));
        check("config/a.toml", &"\n".repeat(501), None);
    }

    #[test]
    fn unsafe_code_stays_at_home() {
        let keyword = concat!("un", "safe");
        let check = |text: &str, line: Option<&str>| {
            check("plugins/a/src/b.rs", &text.replace("KEYWORD", keyword), line);
        };
        check("// KEYWORD { }\n/// KEYWORD fn\nfn KEYWORDly() {}\nfn KEYWORD_codes() {}\n", None);
        check("\nlet x = KEYWORD { y };", Some(":2: unsafe code"));
        check("KEYWORD fn a() {}", Some(":1: unsafe code"));
        check("pub KEYWORD extern \"C\" fn a() {}", Some(":1: unsafe code"));
        check("KEYWORD impl Send for A {}", Some(":1: unsafe code"));
        check("#[KEYWORD(no_mangle)]", Some(":1: unsafe code"));
        check("#![allow(missing_docs, KEYWORD_code)]", Some(":1: unsafe code"));
        let problems = super::check(&[]);
        assert!(problems.iter().all(|problem| problem.contains("is in UNSAFE_HOMES")), "{problems:?}");
        assert_eq!(problems.len(), UNSAFE_HOMES.len());
    }

    #[test]
    fn the_clock_of_the_day_is_read_at_home() {
        let asks = concat!("let now = System", "Time::now();\n");
        for (path, found) in [("crates/a/src/b.rs", true), ("xtask/src/machine.rs", false)] {
            let source = Source { path: path.into(), text: asks.into() };
            assert_eq!(clock(&source).is_some(), found, "{path}");
        }
    }

    #[test]
    fn every_crate_takes_the_lints() {
        check("crates/a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n", None);
        check("crates/a/Cargo.toml", "[package]\n", Some(": does not take the workspace's lints"));
        check("Cargo.toml", "[workspace]\n", None);
        check("examples/Cargo.toml", "# Of their own.\n[workspace]\n", None);
        check("tests/fixtures/a/Cargo.toml", "[workspace]\n", None);
    }

    #[test]
    fn no_file_names_a_folder_of_one_machine() {
        for folder in PRIVATE_FOLDERS {
            let check = |text: &str, found| check("README.md", &text.replace("FOLDER", folder), found);
            check("a\nsee /FOLDER/me/x", Some(":2: names a folder"));
            check("path = \"/FOLDER/me\"", Some(":1: names a folder"));
            check("file:///FOLDER/me", Some(":1: names a folder"));
            check("https://example.org/FOLDER/x, a/FOLDER/b, ~/FOLDER/b, /FOLDERs/b", None);
        }
    }
}
