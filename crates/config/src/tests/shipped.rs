use std::{
    fs,
    path::{Path, PathBuf},
};

use super::resolve_in;
use crate::{
    ClassWeighting, DEFAULTS, Decay, Experiment, HeadInit, HeadMethod, Layer, OptimizerName, Profile,
    Selection, data_sets, document, experiments, names::toml_files,
};

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn shipped(experiment: &str) -> Experiment {
    resolve_in(&config(), Some(experiment), &[], &[]).unwrap().experiment
}

#[test]
fn every_experiment_and_data_set_resolves() {
    let names = experiments(&config()).unwrap();
    assert!(names.iter().any(|name| name == "fashion-mnist-lt"), "{names:?}");
    for name in &names {
        shipped(name);
    }
    let sets = data_sets(&config()).unwrap();
    assert!(sets.iter().any(|set| set == "fashion-mnist-lt"), "{sets:?}");
    for set in &sets {
        let data = resolve_in(&config(), None, &[], &[&format!("data.set={set}")]).unwrap().experiment.data;
        assert_eq!(data.classes.len(), 10, "{set}");
    }
    for protocol in toml_files(&config().join("protocols")).unwrap() {
        let resolved = resolve_in(&config(), None, &[], &[&format!("protocol={protocol}")]).unwrap();
        let lowest =
            resolved.origins().into_values().filter(|origin| origin.layer == Layer::Protocol).count();
        assert!(lowest > 5, "{protocol} says {lowest} values");
    }
}

#[test]
fn the_first_run_needs_no_experiment() {
    let resolved = resolve_in(&config(), None, &[], &[]).unwrap();
    let Experiment { data, sampler, .. } = &resolved.experiment;
    assert_eq!(resolved.name, "default");
    assert_eq!((data.set.as_str(), data.profile), ("fashion-mnist-lt", Profile::Natural));
    assert_eq!(sampler.plugin, "eos");
}

#[test]
fn the_paper_is_followed_to_the_letter() {
    let Experiment { data, backbone, train, finetune, .. } = shipped("cifar10-paper");
    assert_eq!((data.profile, data.ratio, data.largest), (Profile::Exponential, 100.0, 5000));
    assert_eq!((data.crop_padding, data.flip), (4, true));
    assert_eq!((backbone.plugin.as_str(), &backbone.options["depth"]), ("resnet", &32.into()));
    assert_eq!((train.schedule.epochs, finetune.schedule.epochs), (200, 10));
    let steps: Vec<f64> = train.schedule.milestones.iter().map(|share| share * 200.0).collect();
    assert_eq!((steps, train.schedule.factors), (vec![160.0, 180.0], vec![0.01, 0.0001]));
    for phase in [&shipped("cifar10-paper").train.schedule, &finetune.schedule] {
        assert_eq!((phase.batch_size, phase.learning_rate, phase.momentum), (128, 0.1, 0.9));
        assert_eq!((phase.weight_decay, phase.warmup_epochs), (2e-4, 5));
        assert_eq!((phase.optimizer, phase.decay, phase.clip_norm), (OptimizerName::Sgd, Decay::Step, 0.0));
        assert_eq!((phase.class_weighting, phase.class_weighting_from), (ClassWeighting::None, 0.0));
    }
    assert_eq!((train.patience, train.mixup), (0, 0.0));
    assert_eq!(finetune.method, HeadMethod::OverSampled);
    assert_eq!((train.selection, finetune.head_init), (Selection::Last, HeadInit::Fresh));
}

#[test]
fn resolved_toml_resolves_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolved.toml");
    for name in experiments(&config()).unwrap() {
        let set =
            ["sampler.plugin=smote", "sampler.weights={ a = [1, 2.5], b = true }", "data.counts=[1, 2]"];
        let first = resolve_in(&config(), Some(&name), &[], &set).unwrap();
        fs::write(&file, first.to_toml()).unwrap();
        let second = resolve_in(&config(), file.to_str(), &[], &[]).unwrap();
        assert_eq!(first.experiment, second.experiment, "{name}");
        assert_eq!(first.to_toml(), second.to_toml(), "{name}");
        assert_eq!(second.name, "resolved");
    }
}

#[test]
fn the_resolved_toml_is_ordered_in_tables() {
    let text = resolve_in(&config(), Some("fashion-mnist-lt"), &[], &[]).unwrap().to_toml();
    let heads: Vec<&str> = text.lines().filter(|line| !line.contains(" = ") && !line.is_empty()).collect();
    let tables = [
        "data", "backbone", "head", "loss", "sampler", "backend", "train", "augment", "finetune", "gap",
        "run",
    ];
    assert_eq!(heads, tables.map(|table| format!("[{table}]")));
    assert!(
        text.starts_with("seed = 0\nthreads = 0\nprotocol = \"\"\n\n[data]\nset = \"fashion-mnist-lt\"\n"),
        "{text}"
    );
    assert!(text.contains("\n[backbone]\nplugin = \"resnet\"\ndepth = 8\n\n[head]\n"), "{text}");
}

#[test]
fn the_defaults_say_all_keys_and_explain_each() {
    let (_, lines) = document::parse(DEFAULTS).unwrap();
    let text: Vec<&str> = DEFAULTS.lines().collect();
    for (key, line) in &lines {
        assert!(text[line - 2].starts_with("# "), "{key} on line {line} has no comment above it");
    }
    let resolved = resolve_in(&config(), None, &[], &[]).unwrap();
    let tables = lines.keys().filter(|key| resolved.origin(key).is_none()).count();
    assert_eq!(lines.len(), resolved.origins().len() + tables);
    let mut typed = Vec::new();
    for (table, value) in resolved.to_json().as_object().unwrap() {
        match value.as_object() {
            Some(keys) => typed.extend(keys.keys().map(|key| format!("{table}.{key}"))),
            None => typed.push(table.clone()),
        }
    }
    typed.sort();
    assert_eq!(typed, resolved.origins().into_keys().collect::<Vec<_>>());
}
