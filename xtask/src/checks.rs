//! What keeps the house in order.

use clap::ValueEnum as _;

use crate::{
    cli::{Benchmark, PassOn},
    error::Error,
    plugins, tidy as rules, workspace,
};

/// `test`: builds the workspace and runs every test of it.
pub fn test(options: &PassOn) -> Result<(), Error> {
    plugins::build()?;
    let mut arguments = vec!["test", "--no-fail-fast"];
    arguments.extend(options.arguments.iter().map(String::as_str));
    workspace::cargo(&arguments, &[])?;
    // Whoever chooses tests, by arguments of cargo's, chooses among those of the workspace.
    if options.arguments.is_empty() {
        workspace::cargo(&[&["test"], &PARQUET[..]].concat(), &[])?;
    }
    Ok(())
}

/// The crate that knows Parquet, with the feature, which the workspace is built without. Alone: in one build with burn it
/// would turn on features of crates that burn uses, too, and have burn compiled once more.
const PARQUET: [&str; 4] = ["--package", "expanse-data", "--features", "parquet"];

/// `check`: format, lints, tidy, documentation, tests.
pub fn check() -> Result<(), Error> {
    lint()?;
    test(&PassOn { arguments: Vec::new() })
}

/// All of `check` but the tests.
pub fn lint() -> Result<(), Error> {
    workspace::cargo(&["fmt", "--all", "--check"], &[])?;
    let clippy = |which: &[&str]| {
        let arguments = [&["clippy", "--quiet", "--all-targets"], which, &["--", "--deny", "warnings"]];
        workspace::cargo(&arguments.concat(), &[])
    };
    clippy(&[])?;
    clippy(&PARQUET)?;
    tidy()?;
    workspace::cargo(&["doc", "--quiet", "--no-deps"], &[("RUSTDOCFLAGS", "--deny warnings")])
}

/// `tidy`: the rules of the house.
pub fn tidy() -> Result<(), Error> {
    let problems = rules::problems(&workspace::root())?;
    if problems.is_empty() { Ok(()) } else { Err(Error::Tidy(problems)) }
}

/// `bench`: a benchmark of `tests/benches`, with the profile that everything runs in.
pub fn bench(which: Benchmark, options: &PassOn) -> Result<(), Error> {
    plugins::build()?;
    let name = which.to_possible_value().expect("every benchmark has a name");
    // Of the whole workspace, so that cargo settles on the features that everything has been compiled with.
    let mut arguments = vec!["bench", "--profile", "dev", "--bench", name.get_name()];
    if !options.arguments.is_empty() {
        arguments.push("--");
        arguments.extend(options.arguments.iter().map(String::as_str));
    }
    workspace::cargo(&arguments, &[])
}
