use serde_json::json;

use super::resolve_x;
use crate::Fate;

/// The value of a key, and the place it comes from.
fn check(
    experiment: &str,
    environment: &[(&str, &str)],
    set: &[&str],
    key: &str,
    value: serde_json::Value,
    at: &str,
) {
    let resolved = resolve_x(experiment, environment, set).unwrap();
    let found = resolved.to_json().pointer(&format!("/{}", key.replace('.', "/"))).cloned();
    assert_eq!(found, Some(value), "{key}");
    let origin = resolved.origin(key).unwrap().to_string();
    assert!(origin.ends_with(at), "{key} comes from {origin}, not from {at}");
}

#[test]
fn each_layer_overrides_those_below() {
    let photos = "data.set = 'photos'";
    let five = "data.set = 'photos'\ntrain.epochs = 5";
    let six = [("EXPANSE_TRAIN__EPOCHS", "6")];
    let epochs = "train.epochs";
    check(
        "",
        &[],
        &[],
        epochs,
        json!(default_epochs()),
        &format!("built-in defaults, line {}", default_line(&format!("epochs = {}", default_epochs()))),
    );
    check(photos, &[], &[], epochs, json!(7), "/data/photos.toml:5");
    check(five, &[], &[], epochs, json!(5), "/experiments/x.toml:2");
    check(five, &six, &[], epochs, json!(6), "EXPANSE_TRAIN__EPOCHS");
    check(five, &six, &["train.epochs=8"], epochs, json!(8), "--set train.epochs=8");
    check(five, &six, &["train.epochs=8", "train.epochs=9"], epochs, json!(9), "--set train.epochs=9");
}

#[test]
fn a_protocol_is_stronger_than_the_defaults_alone() {
    check("protocol = 'quick'", &[], &[], "train.epochs", json!(2), "/protocols/quick.toml:1");
    check(
        "protocol = 'quick'\ndata.set = 'photos'",
        &[],
        &[],
        "train.epochs",
        json!(7),
        "/data/photos.toml:5",
    );
    check("protocol = 'quick'", &[], &["protocol="], "train.epochs", json!(default_epochs()), "");
    let of_protocol = "/protocols/quick.toml:2";
    check("", &[("EXPANSE_PROTOCOL", "quick")], &[], "finetune.epochs", json!(1), of_protocol);
}

#[test]
fn the_strongest_layer_chooses_the_data_set() {
    let (key, photos) = ("data.folder", json!("photos"));
    check("", &[], &[], key, json!("lt"), "/data/fashion-mnist-lt.toml:2");
    check("", &[("EXPANSE_DATA__SET", "photos")], &[], key, photos.clone(), "/data/photos.toml:2");
    check("", &[], &["data.set=photos"], key, photos, "/data/photos.toml:2");
    check(
        "data.set = 'photos'",
        &[],
        &["data.set=fashion-mnist-lt"],
        key,
        json!("lt"),
        "fashion-mnist-lt.toml:2",
    );
    check("", &[], &["data.set=photos", "data.folder=/mine"], key, json!("/mine"), "--set data.folder=/mine");
}

#[test]
fn flags_and_variables_are_toml_or_else_text() {
    let flag =
        |argument: &str, key, value| check("", &[], &[argument], key, value, &format!("--set {argument}"));
    flag("train.milestones=[0.5, 0.75]", "train.milestones", json!([0.5, 0.75]));
    flag("train.learning_rate=1", "train.learning_rate", json!(1.0));
    flag("run.folder=out/a=b", "run.folder", json!("out/a=b"));
    flag("run.folder=\"3\"", "run.folder", json!("3"));
    flag("augment.sampling_strategy=0.5", "augment.sampling_strategy", json!(0.5));
    flag("sampler.since=2024-01-02", "sampler.since", json!("2024-01-02"));
    flag("sampler={plugin = 'smote', k_neighbors = 3}", "sampler.k_neighbors", json!(3));
    check("", &[("EXPANSE_RUN__CACHE", "false")], &[], "run.cache", json!(false), "EXPANSE_RUN__CACHE");
    check("", &[("EXPANSE_RUN__FOLDER", "out")], &[], "run.folder", json!("out"), "EXPANSE_RUN__FOLDER");
}

#[test]
fn variables_that_are_no_keys_are_left_aside() {
    let environment = [
        ("EXPANSE_PLUGIN_PATH", "/plugins"),
        ("EXPANSE_LOG", "debug"),
        ("HOME", "/root"),
        ("expanse_seed", "7"),
    ];
    assert_eq!(resolve_x("", &environment, &[]).unwrap().experiment.seed, 0);
}

#[test]
fn another_plugin_starts_its_table_anew() {
    let experiment = "[sampler]\nplugin = 'eos'\nk_neighbors = 10\ncompat = true\n";
    let check = |environment: &[(&str, &str)], set: &[&str], expected: serde_json::Value| {
        let resolved = resolve_x(experiment, environment, set).unwrap();
        assert_eq!(resolved.to_json()["sampler"], expected, "{environment:?} {set:?}");
        let named = resolved.origins().into_keys().filter(|key| key.starts_with("sampler.")).count();
        assert_eq!(named, expected.as_object().unwrap().len(), "{environment:?} {set:?}");
    };
    let smote = ("EXPANSE_SAMPLER__PLUGIN", "smote");
    let k = ("EXPANSE_SAMPLER__K_NEIGHBORS", "3");
    check(&[], &[], json!({"plugin": "eos", "k_neighbors": 10, "compat": true}));
    check(&[], &["sampler.plugin=smote"], json!({"plugin": "smote"}));
    check(&[], &["sampler.plugin=eos"], json!({"plugin": "eos", "k_neighbors": 10, "compat": true}));
    check(&[], &["sampler.k_neighbors=3"], json!({"plugin": "eos", "k_neighbors": 3, "compat": true}));
    // Within one layer the order does not count.
    check(
        &[],
        &["sampler.k_neighbors=3", "sampler.plugin=smote"],
        json!({"plugin": "smote", "k_neighbors": 3}),
    );
    check(&[smote, k], &[], json!({"plugin": "smote", "k_neighbors": 3}));
    check(&[smote, k], &["sampler.plugin=smote"], json!({"plugin": "smote", "k_neighbors": 3}));
    check(&[smote, k], &["sampler.plugin=eos"], json!({"plugin": "eos"}));
    check(&[k], &["sampler.plugin=smote"], json!({"plugin": "smote"}));
}

#[test]
fn the_experiment_gives_the_name_and_tables_have_no_origin() {
    let resolved = resolve_x("", &[], &[]).unwrap();
    assert_eq!((resolved.name.as_str(), resolved.origin("train")), ("x", None));
}

/// As the defaults say: the first `epochs` there are those of `[train]`.
fn default_epochs() -> u64 {
    let value = crate::DEFAULTS.lines().find_map(|line| line.strip_prefix("epochs = ")).unwrap();
    value.parse().unwrap()
}

fn default_line(text: &str) -> usize {
    1 + crate::DEFAULTS.lines().position(|line| line == text).unwrap()
}

#[test]
fn what_every_place_says_of_a_key_can_be_told() {
    let experiment = "data.set = 'photos'\n[sampler]\nplugin = 'smote'\nk_neighbors = 3";
    let environment = [("EXPANSE_TRAIN__EPOCHS", "6")];
    let resolved = resolve_x(experiment, &environment, &["train.epochs=8", "sampler.plugin=eos"]).unwrap();
    let check = |key: &str, expected: &[(&str, Fate)]| {
        let said = resolved.explain(key).unwrap();
        let said: Vec<_> = said.iter().map(|said| (said.value.to_string(), said.fate)).collect();
        let expected: Vec<_> = expected.iter().map(|(value, fate)| ((*value).to_owned(), *fate)).collect();
        assert_eq!(said, expected, "{key}");
    };
    use Fate::{Holds, OtherPlugin, Overridden};
    let default = default_epochs().to_string();
    check("train.epochs", &[(&default, Overridden), ("7", Overridden), ("6", Overridden), ("8", Holds)]);
    check("seed", &[("0", Holds)]);
    check("sampler.k_neighbors", &[("3", OtherPlugin)]);
    check("sampler.r_max", &[]);
    check("data.set", &[("\"fashion-mnist-lt\"", Overridden), ("\"photos\"", Holds)]);
    let error = |key: &str| resolved.explain(key).unwrap_err().to_string();
    assert_eq!(error("train.epoch"), "`train.epoch` is no key with a value; did you mean `train.epochs`?");
    assert!(error("gap").contains("known: gap.draws"), "{}", error("gap"));
}

#[test]
fn an_experiment_builds_on_another() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("data/fashion-mnist-lt.toml", "[data]\nfolder = 'lt'\nclasses = ['a', 'b']\n");
    write(
        "experiments/base.toml",
        "train.epochs = 3\nseed = 4\n[sampler]\nplugin = 'smote'\nk_neighbors = 2\n",
    );
    write("experiments/middle.toml", "extends = 'base'\nseed = 5\nsampler.k_neighbors = 9\n");
    write("mine.toml", "extends = 'experiments/middle.toml'\n[sampler]\nplugin = 'random'\n");
    write("experiments/a.toml", "extends = 'b'");
    write("experiments/b.toml", "seed = 1\nextends = '../experiments/a.toml'");
    write("experiments/c.toml", "extends = 'bass'");
    write("experiments/d.toml", "extends = 3");
    let resolve = |name: &str| {
        let path = folder.path().join(name).display().to_string();
        let name = if name.ends_with(".toml") { &path } else { name };
        super::resolve_in(folder.path(), Some(name), &[], &[])
    };
    let middle = resolve("middle").unwrap();
    let options = &middle.experiment.sampler.options;
    assert_eq!((middle.experiment.seed, middle.experiment.train.schedule.epochs), (5, 3));
    assert_eq!(options["k_neighbors"], 9, "{options:?}");
    assert!(middle.origin("train.epochs").unwrap().to_string().ends_with("base.toml:1"));
    let mine = resolve("mine.toml").unwrap();
    assert_eq!((mine.name.as_str(), mine.experiment.seed), ("mine", 5));
    assert!(mine.experiment.sampler.options.is_empty(), "options of another plugin are dropped");
    let error = |name: &str| resolve(name).unwrap_err().to_string();
    assert!(
        error("a")
            .contains("b.toml:2: extends is `../experiments/a.toml`, expected an experiment that does not")
    );
    assert!(
        error("c").contains("c.toml:1: no experiment `bass`") && error("c").contains("did you mean `base`?")
    );
    assert!(
        error("d").contains("d.toml:1: extends is 3, expected the name of an experiment"),
        "{}",
        error("d")
    );
}
