//! Plugins as files: what can be wrong with them, with their options and with what they answer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expanse_domain::{Matrix, Seed};
use expanse_host::{Found, Host, HostError, Kind, Sampler};
use expanse_tests::{file_name, fixture, plugins};
use serde_json::{Map, Value, json};

#[test]
fn every_shipped_plugin_is_found_by_its_name() {
    let found = plugins().list();
    for kind in Kind::ALL {
        assert!(found.iter().any(|found| found.kind == kind), "there is no {kind}");
    }
    for found in &found {
        let manifest = plugins().manifest(found).unwrap();
        let named = manifest.plugins.iter().any(|entry| entry.name == found.name);
        assert!(named, "{} holds no `{}`", found.path.display(), found.name);
        let (path, version, sha256) = plugins().identify(found.kind, &found.name).unwrap();
        assert_eq!((&path, version.as_str(), sha256.len()), (&found.path, env!("CARGO_PKG_VERSION"), 64));
    }
}

#[test]
fn options_that_cannot_be_used_are_named() {
    check_option("eos", json!({"k": 3}), "k", "there is no option `k`");
    check_option("eos", json!({"k_neighbors": "ten"}), "k_neighbors", "invalid type: string \"ten\"");
    check_option("eos", json!({"k_neighbors": -1}), "k_neighbors", "invalid value: integer `-1`");
    check_option("eos", json!({"k_neighbors": 0}), "k_neighbors", "it must be at least 1");
    check_option("eos", json!({"r_max": 1.5}), "r_max", "above 0 and at most 1");
    check_option("eos", json!({"compat": null}), "compat", "invalid type: null");
    check_option("resnet", json!({"layers": 8}), "layers", "there is no option `layers`");
    check_option("resnet", json!({"depth": "deep"}), "depth", "invalid type: string \"deep\"");
    check_option("resnet", json!({"depth": 9}), "depth", "a depth of 9 is not 6n + 2; use 8, 14");
    check_option("resnet", json!({"depth": 2}), "depth", "a depth of 2 is not 6n + 2");
    check_option("resnet", json!({"depth": 14, "width": 0}), "width", "a width of 0 is not in 1 to 1024");
}

fn check_option(plugin: &str, options: Value, expected_option: &str, expected_message: &str) {
    let options = options.as_object().unwrap();
    let error = match plugin {
        "resnet" => plugins().backbone(plugin, options).err(),
        _ => plugins().sampler(plugin, options).err(),
    };
    match error.unwrap_or_else(|| panic!("{options:?} are accepted")) {
        HostError::Option { name, option, message, allowed, .. } => {
            assert_eq!((name.as_str(), option.as_str()), (plugin, expected_option), "{message}");
            assert!(message.contains(expected_message), "{message}");
            assert!(allowed.contains(&option) || message.contains("there is no option"), "{allowed:?}");
            assert!(!allowed.is_empty());
        }
        error => panic!("{error}"),
    }
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    let check = |error: Option<HostError>, message: &str| {
        let error = error.unwrap().to_string();
        assert!(error.starts_with(message), "{error}");
    };
    let none = Map::new();
    check(
        plugins().sampler("eso", &none).err(),
        "no sampler is called `eso`; did you mean `eos`? known: adasyn",
    );
    check(plugins().sampler("smte", &none).err(), "no sampler is called `smte`; did you mean `smote`?");
    check(plugins().sampler("resnet", &none).err(), "no sampler is called `resnet`; known: adasyn");
    check(plugins().backbone("resnt", &none).err(), "no backbone is called `resnt`; did you mean `resnet`?");
    check(plugins().backend("tpu", &none).err(), "no backend is called `tpu`");
}

#[test]
fn a_file_that_is_no_plugin_is_told_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = |bytes: &[u8]| {
        let path = folder.path().join(file_name("sampler_x"));
        fs::write(&path, bytes).unwrap();
        path
    };
    let sampler = fs::read(found(Kind::Sampler, "eos").path).unwrap();
    assert_refused(&place(b"#!/bin/sh\nexit 0\n"), "this is no shared library");
    assert_refused(&place(b""), "this is no shared library");
    for length in [20, sampler.len() / 2, sampler.len() - 1] {
        assert_refused(&place(&sampler[..length]), &format!("is truncated: {length} bytes of at least"));
    }
    let mut foreign = sampler.clone();
    foreign[18] = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    assert_refused(&place(&foreign), "this shared library is for another machine");
    assert_refused(&folder.path().join(file_name("sampler_y")), "it cannot be read");
    assert_refused(folder.path(), "it cannot be read");
    assert_refused(&fixture("not-a-plugin"), "this is a shared library and no plugin");

    // A name of its own, because a library that has been opened stays open.
    let backbone = folder.path().join(file_name("sampler_z"));
    fs::copy(found(Kind::Backbone, "resnet").path, &backbone).unwrap();
    let host = Host::new(vec![folder.path().into()]);
    let error = host.sampler("z", &Map::new()).err().unwrap().to_string();
    let expected =
        format!("{}: this is a plugin of kind `backbone`, and a sampler is needed", canonical(&backbone));
    assert_eq!(error, expected);
}

fn canonical(path: &Path) -> String {
    fs::canonicalize(path).unwrap().display().to_string()
}

fn assert_refused(path: &Path, message: &str) {
    let error = plugins().sampler(path.to_str().unwrap(), &Map::new()).err().unwrap().to_string();
    assert!(
        error.contains(message) && error.contains(&*path.file_name().unwrap().to_string_lossy()),
        "{error}"
    );
}

#[test]
fn a_library_whose_file_is_called_otherwise_is_found_by_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(found(Kind::Sampler, "random").path, folder.path().join(file_name("sampler_other"))).unwrap();
    let host = Host::new(vec![folder.path().into()]);
    let error = host.sampler("other", &Map::new()).err().unwrap().to_string();
    assert!(error.contains("it holds no `other`; it holds random"), "{error}");
    host.sampler("random", &Map::new()).unwrap();
    // A library stays of the kind that it was opened for.
    let error = host.head(&folder.path().join(file_name("sampler_other")).display().to_string(), &Map::new());
    assert!(
        error.err().unwrap().to_string().contains("this is a plugin of kind `sampler`, and a head is needed")
    );
    host.sampler(folder.path().join(file_name("sampler_other")).to_str().unwrap(), &Map::new()).unwrap();
}

#[test]
fn a_panic_is_one_clear_error_and_the_host_goes_on() {
    let data = Data::new();
    let panicking = misbehaving("panic").unwrap();
    let error = data.resample(&*panicking, &[1, 1, 1], 0).unwrap_err().to_string();
    assert_in_order(
        &error,
        &["sampler `misbehaving`", "panicked at ", "src/lib.rs:", ": panicking as asked"],
    );
    let error = data.resample(&*panicking, &[1, 1, 1], 0).unwrap_err().to_string();
    assert_in_order(&error, &["this instance panicked before", "open a new one"]);

    let error = misbehaving("panic-when-opened").err().unwrap().to_string();
    assert_in_order(&error, &["panicked at ", ": panicking while being opened, as asked"]);
    // Dropping an instance runs code of the plugin, too; the process goes on.
    drop(misbehaving("panic-when-dropped").unwrap());
    let error = data.resample(&*misbehaving("panic-in-thread").unwrap(), &[1, 1, 1], 0).unwrap_err();
    let parts = ["panicked at ", "src/lib.rs:", ": panicking in a thread, as asked"];
    assert_in_order(&error.to_string(), &parts);

    let made = data.resample(&*misbehaving("copy").unwrap(), &[0, 1, 2], 0).unwrap();
    assert_eq!(made.labels, [1, 2, 2]);
}

#[test]
fn an_answer_that_breaks_the_contract_is_refused() {
    let check = |mode: &str, problem: &str| {
        let error = Data::new().resample(&*misbehaving(mode).unwrap(), &[2, 3, 1], 0).unwrap_err();
        assert!(matches!(error, HostError::Contract { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("sampler `misbehaving` breaks its contract: {problem}; please tell its author")
        );
    };
    check("not-a-number", "synthetic row 1, column 2 is not finite");
    check("wrong-class", "asked for [2, 3, 1] rows by class, it labelled [6, 0, 0]");
    check("one-too-few", "asked for [2, 3, 1] rows by class, it labelled [2, 3, 0]");
    let error = misbehaving("politely").err().unwrap();
    assert!(matches!(&error, HostError::Option { option, .. } if option == "mode"), "{error}");
}

#[test]
fn the_rows_of_shipped_samplers_lie_between_their_sources() {
    let data = Data::new();
    each_sampler(|sampler, name| {
        let made = data.resample(sampler, &[4, 12, 17], 5).unwrap();
        for (row, source) in made.provenance.iter().enumerate() {
            let (base, partner) = (source.base as usize, source.partner as usize);
            // Some of its rows step away from a neighbour, and tell their base alone.
            if name == "svm-smote" && base == partner {
                continue;
            }
            let ends = data.features.row(base).iter().zip(data.features.row(partner));
            for (value, (from, to)) in made.features.row(row).iter().zip(ends) {
                assert!((value - (from + source.r * (to - from))).abs() < 1e-4, "{name}");
            }
        }
    });
}

/// 31 samples of three classes in four columns, some of them twice.
struct Data {
    features: Matrix,
    labels: Vec<u32>,
}

impl Data {
    fn new() -> Self {
        let mut rng = Seed(3).rng();
        let labels: Vec<u32> = [vec![0; 18], vec![1; 9], vec![2; 4]].concat();
        let mut features: Vec<f32> =
            labels.iter().flat_map(|label| [*label as f32; 4]).map(|mean| mean + rng.unit_f32()).collect();
        features.copy_within(0..4, 4);
        features.copy_within(4 * 20..4 * 21, 4 * 22);
        Self { features: Matrix::new(features, 31, 4).unwrap(), labels }
    }

    fn resample(
        &self,
        sampler: &dyn Sampler,
        wanted: &[u64],
        seed: u64,
    ) -> Result<expanse_host::Synthetic, HostError> {
        sampler.resample(self.features.view(), &self.labels, wanted, Seed(seed))
    }
}

fn each_sampler(check: impl Fn(&dyn Sampler, &str)) {
    for Found { name, .. } in plugins().list().into_iter().filter(|found| found.kind == Kind::Sampler) {
        check(&*plugins().sampler(&name, &Map::new()).unwrap(), &name);
    }
}

fn found(kind: Kind, name: &str) -> Found {
    plugins().list().into_iter().find(|found| (found.kind, found.name.as_str()) == (kind, name)).unwrap()
}

fn misbehaving(mode: &str) -> Result<Box<dyn Sampler>, HostError> {
    let path: PathBuf = fixture("misbehaving");
    plugins().sampler(path.to_str().unwrap(), json!({ "mode": mode }).as_object().unwrap())
}

fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("`{part}` is missing: {text}")).1;
    }
}
