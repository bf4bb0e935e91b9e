//! The conformance kit: every plugin in the workspace passes it, and plugins with a flaw do not.

use std::{fs, path::Path};

use burn::tensor::Tensor;
use expanse_conformance::Outcome;
use expanse_host::Kind;
use expanse_program::{DIALECT, Program};
use expanse_sdk::record;
use expanse_tests::{
    fixture,
    kit::{check, conforms},
    plugins,
};

#[test]
fn every_plugin_of_the_workspace_conforms() {
    let found = plugins().list();
    for kind in Kind::ALL {
        assert!(found.iter().any(|found| found.kind == kind), "there is no {kind}");
    }
    for found in found {
        conforms(&found);
    }
}

/// With this flaw the check fails, with a message that holds the text, and so does the command.
fn finds(library: &Path, flaw: &str, check_name: &str, text: &str) {
    let (report, succeeded) = check(library, &["--set", &format!("flaw={flaw}")]);
    let outcome = report.outcome(check_name);
    let Some(Outcome::Failed(why)) = outcome else {
        panic!("{flaw}: {check_name} is {outcome:?}\n{report}");
    };
    assert!(why.contains(text), "{flaw}: {why}");
    assert!(!succeeded && !report.conforms(), "{flaw}");
}

fn is_in_order(library: &Path) {
    let (report, succeeded) = check(library, &[]);
    assert!(succeeded && report.conforms(), "{report}");
}

#[test]
fn every_flaw_of_a_sampler_is_found() {
    let library = fixture("nonconforming");
    is_in_order(&library);
    let finds = |flaw: &str, check: &str, text: &str| finds(&library, flaw, check, text);
    finds("takes-every-offset", "options-out-of-range", "`offset` = 101 is accepted");
    finds("panics", "exact-counts", "panicked at");
    finds("prints", "nothing-on-stdout", "here I am");
    finds("leaks", "opened-and-dropped", "left behind by 10000 instances");
    finds("many-threads", "thread-budget", "it may use 2 threads");
    finds("remembers", "same-seed", "when asked again");
    finds("remembers", "two-instances", "something else");
    finds("counts-threads", "same-bits-at-any-thread-count", "other bits with 2 threads than with 1");
    finds("one-too-few", "exact-counts", "asked for [0, 12, 17] rows by class, it labelled [0, 12, 16]");
    finds("not-a-number", "finite-output", "is not finite");
    finds("copies-not-a-number", "not-a-number", "a sample with the value NaN is accepted");
    finds("overflows", "extreme-values", "samples of ±1e18");
    finds("descends", "exact-counts", "not in order of their classes");
    finds("wrong-shares", "enemy-shares", "tells 0.5 as the share of enemies of class 0");
    finds("names-no-class", "drawn-requests", "name a wanted class of at most 2 samples");
    finds("refuses-small", "drawn-requests", "has fewer than 6 rows); serve it");
    finds("stays-broken", "works-after-an-error", "serves no request any more: an error was too much");
    finds("wrong-source", "provenance", "names the base 0");
    finds("takes-every-label", "bad-requests", "is accepted");
    finds("wants-something", "nothing-wanted", "nothing is wanted");
    finds("blames-itself", "one-row", "answered with an internal error (one row is too few)");
    finds("wrong-cancellation", "cancelled", "interrupted");
}

#[test]
fn a_plugin_that_ends_the_process_is_told_with_the_check_it_was_in() {
    let library = fixture("nonconforming");
    finds(&library, "exits", "exact-counts", "it ends the process (exit status: 0)");
    finds(&library, "aborts", "exact-counts", "it ends the process (signal: 6 (SIGABRT)");
    // The checks after it run, in another process.
    let (report, _) = check(&library, &["--set", "flaw=aborts"]);
    assert_eq!(report.outcome("manifest"), Some(&Outcome::Passed));
    assert_eq!(report.outcome("unknown-option"), Some(&Outcome::Passed));
    assert_eq!(report.outcome("opened-and-dropped"), Some(&Outcome::Passed));
}

#[test]
fn a_panic_that_can_be_brought_about_is_contained() {
    let (report, _) = check(&fixture("nonconforming"), &["--set", "flaw=panics"]);
    assert_eq!(report.outcome("panic"), Some(&Outcome::Passed), "{report}");
    let (report, _) = check(&fixture("wrong-recorder"), &["--set", "flaw=panics"]);
    assert_eq!(report.outcome("panic"), Some(&Outcome::Passed), "{report}");
}

#[test]
fn every_flaw_of_a_recorder_is_found() {
    let library = fixture("wrong-recorder");
    is_in_order(&library);
    let finds = |flaw: &str, check: &str, text: &str| finds(&library, flaw, check, text);
    finds("remembers", "same-program", "compute differently");
    finds("mixes-samples", "batch-sizes", "gives something else alone than in a batch of 4");
    finds("records-something-else", "replay", "its record computes something else than its module");
    finds("transposes", "ports", "its outputs are");
    finds("ignores-the-seed", "first-values", "another seed gives the same first values");
    finds("sizes-by-batch", "parameters", "its parameters change with the batch");
    finds("endless-gradient", "gradient", "not finite");
    finds("panics", "ports", "panicked at");
}

#[test]
fn every_flaw_of_a_backend_is_found() {
    let library = fixture("wrong-backend");
    is_in_order(&library);
    finds(&library, "keeps-nothing", "kept-images", "this backend keeps no inputs");
    let finds = |flaw: &str, text: &str| finds(&library, flaw, "optimizers", text);
    finds("ignores-the-method", "nesterov moves `");
    finds("ignores-clipping", "sgd with clipping moves `");
    finds("ignores-the-decay", "sgd moves `");
    finds("refuses-sgd", "it refuses sgd");
    // What a backend refuses in time it may lack.
    let (report, succeeded) = check(&library, &["--set", "flaw=knows-sgd-alone"]);
    let Some(Outcome::NotApplicable(why)) = report.outcome("optimizers") else { panic!("{report}") };
    assert!(succeeded && why.contains("sgd with clipping, nesterov, nesterov with clipping, adam"), "{why}");
}

#[test]
fn what_is_no_plugin_fails_to_load() {
    let (report, succeeded) = check(&fixture("not-a-plugin"), &[]);
    let outcome = report.outcome("load");
    assert!(matches!(outcome, Some(Outcome::Failed(why)) if why.contains("no plugin")), "{outcome:?}");
    assert!(!succeeded && !report.conforms());
}

#[test]
fn golden_numbers_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("golden.json");
    let check = |made: &str| {
        let features = "\"features\": [[1, 2], [3, 4], [5, 6]], \"labels\": [0, 0, 1], \"wanted\": [1, 2]";
        let rest = "\"seed\": 0, \"made_labels\": [0, 1, 1], \"tolerance\": 0.001";
        fs::write(&file, format!("{{\"source\": \"by hand\", {features}, {rest}, \"made\": {made}}}"))
            .unwrap();
        check(&fixture("nonconforming"), &["--golden", file.to_str().unwrap()]).0
    };
    let right = check("[[1, 2], [5, 6], [5, 6]]");
    assert_eq!(right.outcome("golden-numbers"), Some(&Outcome::Passed), "{right}");
    let wrong = check("[[1, 2], [5, 6], [5, 6.1]]");
    let why = "row 2, column 1 is 6, and 6.1 in by hand";
    assert_eq!(wrong.outcome("golden-numbers"), Some(&Outcome::Failed(why.into())));
    let broken = check("[[1, 2], [5]]");
    assert!(
        matches!(broken.outcome("load"), Some(Outcome::Failed(why)) if why.contains("one length")),
        "{broken}"
    );
}

/// The kit holds a program of operations that few backends have. It is recorded anew here: of a changed dialect, or
/// with other operations, it would test nothing.
#[test]
fn the_uncommon_program_of_the_kit_is_of_todays_dialect() {
    let module = burn::nn::LinearConfig::new(3, 3).init(&burn::tensor::Device::flex());
    let program = record("head `uncommon`".into(), module, |module: &burn::nn::Linear, recording| {
        let x: Tensor<2> = recording.input("embedding", [2, 3]);
        let x = module.forward(x).erf().cumsum(1);
        recording.output("logits", &(x.clone().round() + x.sort(1)));
    })
    .unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/conformance/programs/uncommon.program");
    if std::env::var_os("EXPANSE_WRITE").is_some() {
        fs::write(&file, program.to_bytes().unwrap()).unwrap();
    }
    let kept = Program::from_bytes(&fs::read(file).unwrap()).expect("run this test with EXPANSE_WRITE=1");
    assert_eq!(kept.header.dialect, DIALECT);
    assert_eq!(kept.header.parameters.len(), program.header.parameters.len());
    let missing =
        plugins().backend("flex", &serde_json::Map::new()).unwrap().missing_operations(&kept).unwrap();
    assert!(!missing.is_empty(), "the shipped backend has every operation of it; record others");
}
