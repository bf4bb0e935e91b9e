//! The conformance kit, as `plugin check` runs it.

use std::{path::Path, process::Command};

use expanse_conformance::{Outcome, Report};
use expanse_host::{Found, Host};

use crate::driver;

/// What cannot be told of the shipped plugins; every other check applies to all of them.
const UNTOLD: [&str; 5] = ["golden-numbers", "panic", "wrong-options", "options-out-of-range", "other-seed"];

/// What the check of kept images tells of backends on the processor.
const HOSTED: &str = "its memory is that of the host";

/// The report of `plugin check`, and whether the command has succeeded.
///
/// # Panics
///
/// If it answers no report.
pub fn check(library: &Path, more: &[&str]) -> (Report, bool) {
    let mut command = Command::new(driver());
    command.args(["plugin", "check", "--no-build", "--format", "json"]).arg(library).args(more);
    let output = command.output().expect("the driver starts");
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.success())
}

/// Every plugin of the library goes through every check and passes, but for what cannot be told of any. Answers the report.
///
/// # Panics
///
/// If that is not so.
pub fn conforms(found: &Found) -> Report {
    let (report, succeeded) = check(&found.path, &[]);
    assert!(succeeded && report.conforms(), "{report}");
    assert_eq!(report.kind, Some(found.kind));
    let manifest = Host::new(Vec::new()).manifest(found).expect("it has a manifest");
    let names = manifest.plugins.into_iter().map(|plugin| plugin.name);
    let mut checks = names.map(|name| report.checks.iter().filter(move |checked| checked.plugin == name));
    let first = checks.next().expect("a library holds a plugin").count();
    assert!(first > 10 && checks.all(|checks| checks.count() == first), "{report}");
    for checked in &report.checks {
        let expected = match &checked.outcome {
            Outcome::Passed => true,
            Outcome::NotApplicable(why) if why == HOSTED => true,
            _ => UNTOLD.contains(&checked.check.as_str()),
        };
        assert!(expected, "{}: {checked:?}", found.name);
    }
    report
}
