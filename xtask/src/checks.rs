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
    workspace::cargo(&arguments, &[])
}

/// `check`: format, lints, tidy, documentation, tests.
pub fn check() -> Result<(), Error> {
    lint()?;
    test(&PassOn { arguments: Vec::new() })
}

/// All of `check` but the tests.
pub fn lint() -> Result<(), Error> {
    workspace::cargo(&["fmt", "--all", "--check"], &[])?;
    workspace::cargo(&["clippy", "--quiet", "--all-targets", "--", "--deny", "warnings"], &[])?;
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
