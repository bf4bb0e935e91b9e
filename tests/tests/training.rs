//! What training can be told: every key acts, and what it says is what happens.

use std::{fs, path::Path};

use expanse_program::tensors_from_bytes;
use expanse_tests::{
    driver_command, fixture,
    small::{output, read, stderr, succeed, timeless},
};
use serde_json::Value;

/// A run as `runs show` tells it.
fn shown(runs: &Path) -> String {
    let mut command = driver_command();
    let output =
        command.args(["runs", "show", "fashion-mnist-lt/0001", "--folder"]).arg(runs).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_dial_of_the_phases_that_train_acts() {
    const MINORITY: &str = "augment.sampling_strategy=minority";
    let mut seen: Vec<Value> = Vec::new();
    for set in [
        vec![],
        vec!["train.class_weighting=effective-number"],
        vec!["train.class_weighting=effective-number", "train.class_weighting_from=0.5"],
        // Where phase 2 makes all classes equal, weights do as well.
        vec![MINORITY],
        vec![MINORITY, "finetune.class_weighting=inverse"],
        vec![MINORITY, "finetune.class_weighting=inverse", "finetune.class_weighting_from=0.5"],
        vec!["train.optimizer=nesterov"],
        vec!["train.optimizer=adam", "train.learning_rate=0.001"],
        vec!["train.optimizer=adamw", "train.learning_rate=0.001", "train.weight_decay=0.1"],
        vec!["train.optimizer=adam", "train.learning_rate=0.001", "train.weight_decay=0.1"],
        vec!["train.clip_norm=0.1"],
        vec!["train.decay=cosine", "train.warmup_epochs=0"],
        vec!["train.warmup_epochs=2"],
        vec!["train.mixup=0.4"],
        vec!["train.mixup=1.0"],
        vec!["finetune.optimizer=nesterov"],
        vec!["finetune.optimizer=adam"],
        vec!["finetune.clip_norm=0.1"],
        vec!["finetune.decay=cosine", "finetune.warmup_epochs=0"],
        vec!["finetune.warmup_epochs=0"],
    ] {
        let (_runs, folder, _) = succeed(&set);
        let metrics = timeless(&folder);
        assert!(!seen.contains(&metrics), "{set:?} changes nothing");
        seen.push(metrics);
    }
}

/// Head and embeddings of a run: W and b before and after, and the training embeddings with their labels.
fn heads(folder: &Path) -> [[Vec<f32>; 2]; 2] {
    ["baseline.safetensors", "checkpoint.safetensors"].map(|file| {
        let tensors = tensors_from_bytes(&read(folder, file)).unwrap();
        ["linear.weight", "linear.bias"]
            .map(|name| tensors.iter().find(|tensor| tensor.name == name).unwrap().values.clone())
    })
}

/// The training embeddings of a run, and their labels.
fn training_embeddings(folder: &Path) -> (Vec<f32>, Vec<i64>) {
    let bytes = read(folder, "embeddings.safetensors");
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: Value = serde_json::from_slice(header).unwrap();
    let part = |name: &str| {
        let offset = |at: usize| header[name]["data_offsets"][at].as_u64().unwrap() as usize;
        &data[offset(0)..offset(1)]
    };
    let (embeddings, _) = part("train.embeddings").as_chunks();
    let (labels, _) = part("train.labels").as_chunks();
    (
        embeddings.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        labels.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
    )
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

fn assert_close(found: &[f32], expected: impl Iterator<Item = f64>, what: &str) {
    let expected: Vec<f64> = expected.collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let close = (f64::from(*found) - expected).abs() <= 1e-4 * expected.abs().max(1e-2);
        assert!(close, "{what}: {found}, not {expected}");
    }
}

#[test]
fn heads_balanced_without_synthesis_are_what_their_methods_say() {
    let run = |set: &[&str]| {
        let (runs, folder, document) = succeed(set);
        let method = set[0].strip_prefix("finetune.method=").unwrap();
        assert_eq!(document["method"], method);
        assert_eq!(document["audit"][9]["rows"], 0, "{method}");
        let shown = shown(runs.path());
        assert!(shown.contains(method) && !shown.contains("three-phase"), "{shown}");
        (runs, folder)
    };
    let row = |weight: &[f32], class: usize| {
        let features = weight.len() / 10;
        weight[class * features..(class + 1) * features].to_vec()
    };
    for tau in [1.0, 0.5, 0.0] {
        let (_runs, folder) = run(&["finetune.method=tau-norm", &format!("finetune.tau={tau}")]);
        let [[before, _], [after, bias]] = heads(&folder);
        assert_eq!(bias, [0.0; 10]);
        for class in 0..10 {
            let before = row(&before, class);
            let factor = norm(&before).powf(-tau);
            let expected = before.iter().map(|value| f64::from(*value) * factor);
            assert_close(&row(&after, class), expected, &format!("τ = {tau}, class {class}"));
        }
    }

    let (_runs, folder) = run(&["finetune.method=ncm"]);
    let [_, [after, bias]] = heads(&folder);
    let (embeddings, labels) = training_embeddings(&folder);
    for class in 0..10 {
        let members: Vec<usize> = (0..labels.len()).filter(|&at| labels[at] as usize == class).collect();
        let features = after.len() / 10;
        let mean = (0..features).map(|column| {
            let sum: f64 = members.iter().map(|at| f64::from(embeddings[at * features + column])).sum();
            sum / members.len() as f64
        });
        let row = row(&after, class);
        assert_close(&row, mean, &format!("mean of class {class}"));
        assert_close(&bias[class..=class], std::iter::once(-norm(&row).powi(2) / 2.0), "half of its square");
    }

    let (_runs, folder) = run(&["finetune.method=lws"]);
    let [[before, bias_before], [after, bias]] = heads(&folder);
    let mut factors = Vec::new();
    for class in 0..10 {
        let (before, after) = (row(&before, class), row(&after, class));
        let products = before.iter().zip(&after).map(|(a, b)| f64::from(*a) * f64::from(*b));
        let factor = products.sum::<f64>() / norm(&before).powi(2);
        let expected = before.iter().map(|value| f64::from(*value) * factor);
        assert_close(&after, expected, &format!("class {class} times {factor}"));
        let expected = std::iter::once(f64::from(bias_before[class]) * factor);
        assert_close(&bias[class..=class], expected, "its bias");
        factors.push(factor);
    }
    assert!(factors.iter().all(|factor| (factor - 1.0).abs() > 1e-6), "{factors:?}");

    let (_first, folder) = run(&["finetune.method=crt"]);
    let (_second, continued) = run(&["finetune.method=crt", "finetune.head_init=phase1"]);
    let [[before, _], [after, _]] = heads(&folder);
    let [_, [further, _]] = heads(&continued);
    assert!(before != after && before != further && after != further);

    // Of heads that are no matrix, only a new one can be trained.
    for (method, head, refused) in [
        ("crt", "mlp", false),
        ("tau-norm", "mlp", true),
        ("lws", "mlp", true),
        ("ncm", "cosine", true),
        ("tau-norm", "cosine", true),
        ("lws", "cosine", true),
        ("crt", "cosine", false),
    ] {
        let runs = tempfile::tempdir().unwrap();
        let set = [format!("finetune.method={method}"), format!("head.plugin={head}")];
        let output = output(runs.path(), &[&set[0], &set[1]]);
        assert_eq!(output.status.success(), !refused, "{set:?}: {}", stderr(&output));
        let why =
            format!("finetune.method `{method}` needs a head whose logits are W·x + b, and head `{head}`");
        assert_eq!(stderr(&output).contains(&why), refused, "{}", stderr(&output));
        assert!(!refused || !stderr(&output).contains("epoch 1 of"), "{}", stderr(&output));
    }
}

#[test]
fn training_ends_early_where_no_epoch_is_better_and_says_so() {
    // So small a step that the accuracy stays what it is: the first epoch is the best of all.
    let set = [
        "data.validation=0.2",
        "train.selection=validation",
        "train.patience=3",
        "train.epochs=9",
        "train.learning_rate=1e-12",
        "train.warmup_epochs=0",
    ];
    let runs = tempfile::tempdir().unwrap();
    let output = output(runs.path(), &set);
    assert!(output.status.success(), "{}", stderr(&output));
    let told = stderr(&output);
    let folder = runs.path().join("fashion-mnist-lt/0001");
    let events = String::from_utf8(read(&folder, "events.jsonl")).unwrap();
    let history: Vec<f64> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|event| event["validation_bac"].as_f64())
        .collect();
    let best = history.iter().copied().fold(0.0, f64::max);
    let kept = 1 + history.iter().position(|bac| *bac == best).unwrap();
    let metrics = timeless(&folder);
    let trained = history.len();
    assert_eq!(metrics["train"], serde_json::json!({"planned": 9, "trained": trained, "kept": kept}));
    assert!(trained < 9 && trained == kept + 3, "{history:?}");
    let note = format!("phase 1 ends early, after epoch {trained} of 9");
    assert!(told.contains(&note) && events.contains(&note), "{told}");
    assert!(told.contains("none of the last 3 was better"), "{told}");
    let shown = shown(runs.path());
    let line =
        format!("phase 1 ended early, after epoch {trained} of 9; the weights are those of epoch {kept}");
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn an_optimizer_that_a_backend_lacks_is_refused_before_the_run() {
    let backend = format!("backend.plugin={}", fixture("wrong-backend").display());
    let lacking = [&backend, "backend.flaw=knows-sgd-alone"];
    let refused = |more: &str, key: &str| {
        let runs = tempfile::tempdir().unwrap();
        let output = output(runs.path(), &[&lacking[..], &[more]].concat());
        let told = stderr(&output);
        assert!(!output.status.success() && told.contains(key), "{told}");
        assert!(told.contains("it knows sgd without clipping and nothing else"), "{told}");
        assert!(told.contains("or another backend") && !told.contains("epoch 1 of"), "{told}");
        assert_eq!(fs::read_dir(runs.path().join("fashion-mnist-lt")).into_iter().flatten().count(), 0);
    };
    refused("train.optimizer=adam", "refuses train.optimizer `adam`");
    refused("finetune.optimizer=nesterov", "refuses finetune.optimizer `nesterov`");
    refused("finetune.clip_norm=1", "with finetune.clip_norm 1");
    succeed(&lacking);
}
