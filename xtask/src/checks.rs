//! What keeps the house in order.

use crate::{cli::PassOn, error::Error, plugins, tidy as rules, workspace};

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

/// `bench`: benchmarks of `tests/benches`, with the profile that everything runs in; by default the price of the plugin
/// boundary: of training steps, and of loading and of a sampler's call.
pub fn bench(options: &PassOn) -> Result<(), Error> {
    plugins::build()?;
    let (benches, rest) = match options.arguments.split_first() {
        Some((first, rest)) if first == "backend" => (vec!["--bench", "backend"], rest),
        _ => (vec!["--bench", "boundary", "--bench", "calls"], &options.arguments[..]),
    };
    // Of the whole workspace, so that cargo settles on the features that everything has been compiled with.
    let mut arguments = vec!["bench", "--profile", "dev"];
    arguments.extend(benches);
    if !rest.is_empty() {
        arguments.push("--");
        arguments.extend(rest.iter().map(String::as_str));
    }
    workspace::cargo(&arguments, &[])
}
