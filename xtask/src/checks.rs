//! What keeps the house in order.

use crate::{cli::PassOn, error::Error, plugins, tidy as rules, workspace};

/// `test`: builds the plugins and runs every test of the workspace.
pub fn test(options: &PassOn) -> Result<(), Error> {
    plugins::build()?;
    let mut arguments = vec!["test", "--workspace"];
    arguments.extend(options.arguments.iter().map(String::as_str));
    workspace::cargo(&arguments, &[])
}

/// `check`: format, lints, tidy, documentation, tests.
pub fn check() -> Result<(), Error> {
    workspace::cargo(&["fmt", "--all", "--check"], &[])?;
    workspace::cargo(
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"],
        &[],
    )?;
    tidy()?;
    workspace::cargo(
        &["doc", "--workspace", "--no-deps", "--quiet"],
        &[("RUSTDOCFLAGS", "--deny warnings")],
    )?;
    test(&PassOn { arguments: Vec::new() })
}

/// `tidy`: the rules of the house.
pub fn tidy() -> Result<(), Error> {
    let problems = rules::problems(&workspace::root())?;
    if problems.is_empty() { Ok(()) } else { Err(Error::Tidy(problems)) }
}

/// `bench`: the price of the plugin boundary, with the profile that everything runs in.
pub fn bench(options: &PassOn) -> Result<(), Error> {
    plugins::build()?;
    let mut arguments =
        vec!["bench", "--profile", "dev", "--package", "expanse-tests", "--bench", "boundary"];
    if !options.arguments.is_empty() {
        arguments.push("--");
        arguments.extend(options.arguments.iter().map(String::as_str));
    }
    workspace::cargo(&arguments, &[])
}
