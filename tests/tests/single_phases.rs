//! The phases one at a time: the chain of the commands, on files alone, comes to the bytes of a whole run.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use expanse_checkpoint::{Checkpoint, Values, read, write};
use expanse_tests::{
    driver_command,
    small::{SMALL, stderr, succeed},
};
use serde_json::Value;

/// A command of one phase, in a folder, on the small experiment.
fn phase(folder: &Path, arguments: &[&str], set: &[&str]) -> Command {
    let mut command = driver_command();
    command.current_dir(folder).args(arguments).args(["--no-build"]);
    command.args(SMALL.iter().chain(set).flat_map(|value| ["--set", value]));
    command
}

fn done(mut command: Command) -> Output {
    let output = command.output().expect("the driver starts");
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

#[test]
fn a_chain_of_single_phases_comes_to_the_bytes_of_a_run() {
    let (_runs, run, document) = succeed(&["finetune.soft_labels=true"]);
    let folder = tempfile::tempdir().unwrap();
    let made =
        |file: &str| fs::read(folder.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let kept = |file: &str| fs::read(run.join(file)).unwrap();
    let do_phase = |arguments: &[&str]| done(phase(folder.path(), arguments, &["finetune.soft_labels=true"]));

    do_phase(&["train", "--out", "model.safetensors"]);
    assert!(made("model.safetensors") == kept("baseline.safetensors"), "phase 1 differs");
    do_phase(&["embed", "--checkpoint", "model.safetensors", "--out", "train.safetensors"]);
    do_phase(&["embed", "--checkpoint", "model.safetensors", "--split", "test", "--out", "test.safetensors"]);
    let run_rows = read(&run.join("embeddings.safetensors")).unwrap();
    let values = |file: &Checkpoint, name: &str| {
        let tensor = file.tensors.iter().find(|tensor| tensor.name == name);
        tensor.unwrap_or_else(|| panic!("there is no `{name}`")).values.clone()
    };
    for split in ["train", "test"] {
        let rows = read(&folder.path().join(format!("{split}.safetensors"))).unwrap();
        for name in ["embeddings", "labels"] {
            let same = values(&rows, name) == values(&run_rows, &format!("{split}.{name}"));
            assert!(same, "the {name} of {split} differ");
        }
    }
    do_phase(&["augment", "train.safetensors", "--out", "balanced.safetensors"]);
    do_phase(&[
        "finetune",
        "--checkpoint",
        "model.safetensors",
        "--embeddings",
        "balanced.safetensors",
        "--out",
        "head.safetensors",
    ]);
    let head = read(&folder.path().join("head.safetensors")).unwrap();
    let names: Vec<_> = head.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["linear.bias", "linear.weight"]);
    let files =
        ["--checkpoint", "model.safetensors", "--head", "head.safetensors", "--out", "whole.safetensors"];
    done({
        let mut command = driver_command();
        command.current_dir(&folder).arg("reassemble").args(files);
        command
    });
    assert!(made("whole.safetensors") == kept("checkpoint.safetensors"), "the model differs");

    let output = do_phase(&["evaluate", "--checkpoint", "whole.safetensors", "--format", "json"]);
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores["scores"], document["three_phase"]);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    done(phase(folder.path(), &["train", "--out", "model.pth"], &[]));
    done(phase(folder.path(), &["embed", "--checkpoint", "model.pth", "--out", "rows.safetensors"], &[]));
    let rows = read(&folder.path().join("rows.safetensors")).unwrap();
    let refuse = |arguments: &[&str], set: &[&str], expected: &[&str]| {
        let output = phase(folder.path(), arguments, set).output().unwrap();
        let told = stderr(&output);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        assert_eq!(told.matches("error: ").count(), 1, "{told}");
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
        assert!(!folder.path().join("out.safetensors").exists());
    };
    let out = ["--out", "out.safetensors"];
    refuse(&["train", "--out", "model.onnx"], &[], &["model.onnx", ".safetensors"]);
    let embed = ["embed", "--checkpoint", "model.pth"];
    refuse(
        &[&embed[..], &out].concat(),
        &["backbone.width=8"],
        &["model.pth", "tensor `conv1.weight` is 4×1×3×3"],
    );
    let finetune = ["finetune", "--checkpoint", "model.pth", "--embeddings", "bad.safetensors"];
    let refuse_rows = |change: &dyn Fn(&mut Checkpoint), set: &[&str], expected: &str| {
        let mut changed = rows.clone();
        change(&mut changed);
        write(&folder.path().join("bad.safetensors"), &changed).unwrap();
        refuse(&[&finetune[..], &out].concat(), set, &["bad.safetensors", expected]);
    };
    let place =
        |file: &Checkpoint, name: &str| file.tensors.iter().position(|tensor| tensor.name == name).unwrap();
    let drop_labels = |file: &mut Checkpoint| drop(file.tensors.remove(place(file, "labels")));
    refuse_rows(&drop_labels, &[], "no whole numbers `labels`");
    let label_10 = |file: &mut Checkpoint| {
        let at = place(file, "labels");
        let Values::I64(labels) = &mut file.tensors[at].values else { panic!("labels are whole numbers") };
        labels[3] = 10;
    };
    refuse_rows(&label_10, &[], "label 10 at row 3; there are 10 classes");
    refuse_rows(&|_| (), &["finetune.soft_labels=true"], "no r and partner_class");
    let narrow = |file: &mut Checkpoint| {
        let at = place(file, "embeddings");
        let tensor = &mut file.tensors[at];
        let Values::F32(values) = &mut tensor.values else { panic!("embeddings are numbers with a point") };
        values.truncate(tensor.shape[0] * 2);
        tensor.shape[1] = 2;
    };
    refuse_rows(&narrow, &[], "rows of 2 values; the embeddings of the model have 16");

    // A head of another width.
    done(phase(folder.path(), &["train", "--out", "wide.pth"], &["backbone.width=8"]));
    let output = driver_command()
        .current_dir(&folder)
        .args(["reassemble", "--checkpoint", "model.pth", "--head", "wide.pth"])
        .args(out)
        .output()
        .unwrap();
    let told = stderr(&output);
    assert!(!output.status.success() && told.contains("wide.pth") && told.contains("take a head"), "{told}");
}
