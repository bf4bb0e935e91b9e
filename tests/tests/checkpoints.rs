//! Models that come from PyTorch and go there, as a user brings and takes them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use expanse_checkpoint::{Checkpoint, Values, read};
use expanse_tests::{driver_command, small::command};
use serde_json::Value;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/checkpoints").join(file)
}

/// What makes the networks of the golden files.
const RESNET: [&str; 2] = ["backbone.depth=8", "backbone.width=4"];
const WIDE_RESNET: [&str; 4] =
    ["backbone.plugin=wide-resnet", "backbone.depth=10", "backbone.widen=2", "backbone.width=3"];

fn run(arguments: &[&str], paths: &[&Path], set: &[&str]) -> Output {
    let mut command = driver_command();
    command.args(arguments).args(paths).args(set.iter().flat_map(|value| ["--set", value]));
    command.output().expect("the driver starts")
}

fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The scores of a model, with the rows in a file where one is given.
fn evaluate(model: &Path, out: Option<&Path>, set: &[&str]) -> Value {
    let out = out.map(|out| format!("--out={}", out.display()));
    let mut arguments = vec!["evaluate", "--no-build", "--format", "json"];
    arguments.extend(out.as_deref());
    arguments.push("--checkpoint");
    serde_json::from_str(&succeeded(&run(&arguments, &[model], set))).expect("stdout is one JSON document")
}

fn convert(from: &Path, to: &Path) -> Checkpoint {
    succeeded(&run(&["checkpoint", "convert"], &[from, to], &[]));
    read(to).unwrap()
}

fn floats<'a>(checkpoint: &'a Checkpoint, name: &str) -> &'a [f32] {
    let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name == name);
    match &tensor.unwrap_or_else(|| panic!("there is no `{name}`")).values {
        Values::F32(values) => values,
        Values::I64(_) => panic!("`{name}` holds whole numbers"),
    }
}

#[test]
fn models_of_pytorch_predict_here_what_they_predict_there() {
    let told: Value = serde_json::from_slice(&fs::read(golden("logits.json")).unwrap()).unwrap();
    let every = told["every"].as_u64().unwrap() as usize;
    let folder = tempfile::tempdir().unwrap();
    for (model, set) in [("resnet8", &RESNET[..]), ("resnet8-half", &RESNET), ("wide-resnet", &WIDE_RESNET)] {
        let out = folder.path().join("rows.safetensors");
        let document = evaluate(&golden(&format!("{model}.pth")), Some(&out), set);
        let rows = read(&out).unwrap();
        let logits = floats(&rows, "logits");
        assert_eq!(logits.len(), 1000 * 10, "{model}");
        let expected: Vec<Vec<f32>> = serde_json::from_value(told["logits"][model].clone()).unwrap();
        assert_eq!(expected.len(), 1000 / every);
        let scale = expected.iter().flatten().fold(0f32, |scale, value| scale.max(value.abs()));
        for (image, expected) in expected.iter().enumerate() {
            let found = &logits[image * every * 10..][..10];
            for (found, expected) in found.iter().zip(expected) {
                let distance = (found - expected).abs();
                assert!(distance <= 1e-4 * scale.max(1.0), "{model}, image {image}: {found}, not {expected}");
            }
        }
        let accuracy = document["scores"]["accuracy"].as_f64().unwrap();
        assert!((0.02..0.98).contains(&accuracy), "{model}: {accuracy}");
    }
}

/// What `predict` says of some pictures.
fn predict(model: &Path, pictures: &[&Path], more: &[&str]) -> Vec<Value> {
    let file = format!("--checkpoint={}", model.display());
    let output = run(&["predict", "--no-build", "--format=json", &file], pictures, more);
    serde_json::from_str(&succeeded(&output)).expect("stdout is one JSON document")
}

#[test]
fn pictures_get_the_classes_that_pytorch_gives_them() {
    let told: Value = serde_json::from_slice(&fs::read(golden("logits.json")).unwrap()).unwrap();
    let numbers = [0, 250, 990];
    let pictures = numbers.map(|number| golden(&format!("image-{number}.pgm")));
    let pictures: Vec<&Path> = pictures.iter().map(PathBuf::as_path).collect();
    let said = predict(&golden("resnet8.pth"), &pictures, &RESNET);
    for ((said, picture), number) in said.iter().zip(&pictures).zip(numbers) {
        assert_eq!(said["picture"].as_str(), picture.to_str());
        let logits: Vec<f64> =
            serde_json::from_value(told["logits"]["resnet8"][number / 10].clone()).unwrap();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let found: Vec<f64> =
            said["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).collect();
        for (found, logit) in found.iter().zip(&logits) {
            assert!((found - logit.exp() / sum).abs() < 1e-4, "{picture:?}: {found}");
        }
        let largest = found.iter().copied().fold(0.0, f64::max);
        assert_eq!(said["confidence"].as_f64(), Some(largest));
        assert_eq!(said["probabilities"][said["class"].as_str().unwrap()].as_f64(), Some(largest));
    }
    assert_eq!(said.len(), 3);
    let file = format!("--checkpoint={}", golden("resnet8.pth").display());
    let missing = golden("image-1.pgm");
    let output = run(&["predict", "--no-build", &file], &[pictures[0], &missing], &RESNET);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
    assert!(stderr.contains("image-1.pgm cannot be read: "), "{stderr}");
}

#[test]
fn a_model_goes_through_both_formats_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for model in ["resnet8.pth", "wide-resnet.pth"] {
        let first = read(&golden(model)).unwrap();
        let safe = convert(&golden(model), &path("model.safetensors"));
        let again = convert(&path("model.safetensors"), &path("model.pth"));
        for tensor in &first.tensors {
            for other in [&safe, &again] {
                let other = other.tensors.iter().find(|other| other.name == tensor.name).unwrap();
                assert_eq!((&other.shape, &other.values), (&tensor.shape, &tensor.values), "{}", tensor.name);
            }
        }
        assert_eq!(again.tensors.len(), first.tensors.len());
    }
    let shown = succeeded(&run(&["checkpoint", "show"], &[&path("model.pth")], &[]));
    assert!(shown.contains("block2.layer.0.convShortcut.weight") && shown.contains("12×6×1×1"), "{shown}");
    let arguments = ["checkpoint", "show", "--format", "json"];
    let shown: Value =
        serde_json::from_str(&succeeded(&run(&arguments, &[&path("model.pth")], &[]))).unwrap();
    let tensors = shown["tensors"].as_array().unwrap();
    assert!(
        tensors
            .iter()
            .any(|tensor| tensor["name"] == "fc.bias" && tensor["shape"] == serde_json::json!([10]))
    );
}

#[test]
fn the_model_of_a_run_tells_all_that_is_needed() {
    let runs = tempfile::tempdir().unwrap();
    succeeded(&command(runs.path(), &["backbone.depth=8", "seed=5"]).output().unwrap());
    let folder = runs.path().join("fashion-mnist-lt/0001");
    let metrics: Value = serde_json::from_slice(&fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    // Beside its configuration it needs no flag.
    for (file, scores) in [("checkpoint", "three_phase"), ("baseline", "baseline")] {
        let evaluated = evaluate(&folder.join(format!("{file}.safetensors")), None, &[]);
        assert_eq!(evaluated["scores"], metrics[scores], "{file}");
    }
    // Elsewhere it needs the data alone, also as PyTorch's file.
    let moved = runs.path().join("moved.pth");
    convert(&folder.join("checkpoint.safetensors"), &moved);
    let counts = ["data.profile=counts", "data.counts=[60,40,30,20,16,12,10,8,6,5]"];
    assert_eq!(evaluate(&moved, None, &counts)["scores"], metrics["three_phase"]);
    refuse(
        &moved,
        &["data.classes=[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\"]"],
        "it was made for the classes T-shirt/top, ",
    );
}

#[test]
fn a_run_keeps_the_names_that_pytorch_has() {
    let runs = tempfile::tempdir().unwrap();
    let set = ["backbone.plugin=wide-resnet", "backbone.depth=10", "backbone.widen=1"];
    succeeded(&command(runs.path(), &set).output().unwrap());
    let folder = runs.path().join("fashion-mnist-lt/0001");
    let kept = read(&folder.join("checkpoint.safetensors")).unwrap();
    let told = read(&golden("wide-resnet.pth")).unwrap();
    let mut expected: Vec<_> = told.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    // The first stage of a network that is not widened needs no convolution on the way.
    expected.retain(|name| {
        !name.ends_with("num_batches_tracked") && *name != "block1.layer.0.convShortcut.weight"
    });
    expected.sort_unstable();
    assert_eq!(kept.tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), expected);
    let metrics: Value = serde_json::from_slice(&fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    let evaluated = evaluate(&folder.join("checkpoint.safetensors"), None, &[]);
    assert_eq!(evaluated["scores"], metrics["three_phase"]);
}

/// An evaluation that fails: one error with the file and this, and nothing on stdout.
#[track_caller]
fn refuse(model: &Path, set: &[&str], message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let out = format!("--out={}", folder.path().join("rows.safetensors").display());
    let output = run(&["evaluate", "--no-build", &out, "--checkpoint"], &[model], set);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    let file = model.display().to_string();
    assert!(stderr.contains(&file) && stderr.contains(message), "`{message}` is not in: {stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_model_of_the_experiment_is_one_error_that_names_the_tensor() {
    let resnet = golden("resnet8.pth");
    refuse(
        &resnet,
        &["backbone.depth=14", "backbone.width=4"],
        "tensor `layer1.1.conv1.weight` is missing and 29 more; choose",
    );
    refuse(&resnet, &["backbone.depth=8"], "is 4×1×3×3, and the model's is 16×1×3×3; choose the backbone");
    let cosine = [RESNET[0], RESNET[1], "head.plugin=cosine"];
    refuse(&resnet, &cosine, "tensor `linear.bias` is none of the model's; choose the backbone");
    refuse(&golden("wide-resnet.pth"), &RESNET, "is missing and ");
    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("half.pth");
    let bytes = fs::read(&resnet).unwrap();
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    refuse(&half, &RESNET, "the zip archive is damaged or cut short");
    refuse(&folder.path().join("none.pth"), &RESNET, "it cannot be read: No such file");
    let output = run(&["checkpoint", "convert", "--rename", "fc=linear"], &[&resnet, &half], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no tensor's name begins with `fc`"), "{stderr}");
}
