//! Whole runs of the driver, as a user starts them, on a part of the data set of the repository.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use expanse_program::tensors_from_bytes;
use expanse_tests::{
    driver, driver_command, fixture,
    small::{command, output, read, refuse, refused, stderr, succeed, timeless},
};
use serde_json::Value;

#[test]
fn a_run_gives_its_document_and_leaves_a_whole_folder() {
    let (runs, folder, document) = succeed(&[]);
    let kept: Value = serde_json::from_slice(&read(&folder, "metrics.json")).unwrap();
    assert_eq!(document, kept);
    for model in ["baseline", "three_phase"] {
        for score in ["accuracy", "bac", "gmean", "gm_macro", "fm", "worst_recall"] {
            let value = document[model][score].as_f64().unwrap_or(f64::NAN);
            assert!((0.0..=1.0).contains(&value), "{model}.{score} is {value}");
        }
        assert_eq!(document[model]["recall"].as_array().unwrap().len(), 10);
    }
    for time in ["before", "after"] {
        for column in ["raw", "null", "size_matched"] {
            assert_eq!(document["gap"][time][column].as_array().unwrap().len(), 10, "{time}.{column}");
        }
    }
    for phase in ["train", "embed", "augment", "finetune", "evaluate"] {
        assert!(document["seconds"][phase].as_f64().unwrap() >= 0.0);
    }

    let (baseline, checkpoint) =
        (read(&folder, "baseline.safetensors"), read(&folder, "checkpoint.safetensors"));
    let (baseline, checkpoint) =
        (tensors_from_bytes(&baseline).unwrap(), tensors_from_bytes(&checkpoint).unwrap());
    let changed: Vec<_> =
        baseline.iter().zip(&checkpoint).filter(|(a, b)| a != b).map(|(a, _)| a.name.as_str()).collect();
    assert_eq!(changed, ["linear.bias", "linear.weight"], "phase 3 changes the head alone");

    let record: Value = serde_json::from_slice(&read(&folder, "record.json")).unwrap();
    for stage in ["backbone", "head", "loss", "sampler", "backend"] {
        assert_eq!(record["plugins"][stage]["sha256"].as_str().unwrap().len(), 64);
    }
    assert_eq!(record["data"]["train_counts"][9], 5);
    let calls = record["plugin_calls"].as_array().unwrap();
    let call = |kind: &str, name: &str| {
        let found = calls.iter().find(|call| call["kind"] == kind && call["call"] == name);
        found.unwrap_or_else(|| panic!("no call `{name}` of the {kind} in {calls:?}"))
    };
    // The rehearsal and phase 2; two epochs of each training phase.
    assert_eq!(
        (&call("sampler", "resample")["count"], &call("sampler", "resample")["plugin"]),
        (&2.into(), &"eos".into())
    );
    assert!(call("sampler", "resample")["seconds"].as_f64().unwrap() > 0.0);
    assert!(cfg!(not(target_os = "linux")) || call("sampler", "resample")["peak_memory"].is_u64());
    assert!(call("backend", "step")["count"].as_u64().unwrap() > 4);
    assert!(String::from_utf8(read(&folder, "config.toml")).unwrap().contains("plugin = \"eos\""));
    let events = String::from_utf8(read(&folder, "events.jsonl")).unwrap();
    assert_eq!(events.lines().filter(|line| line.contains("\"epoch\":")).count(), 4);
    let mut names: Vec<_> =
        fs::read_dir(runs.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".lock", "fashion-mnist-lt"]);
}

#[test]
fn kept_runs_are_listed_shown_and_verified() {
    let (runs, folder, document) = succeed(&["sampler.plugin=random", "seed=3"]);
    let ask = |arguments: &[&str]| {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = driver_command();
        command.args(["runs", verb, "--folder"]).arg(runs.path()).args(rest);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let (code, list, _) = ask(&["list"]);
    let bac = format!("{:.4}", document["three_phase"]["bac"].as_f64().unwrap());
    let line = list.lines().nth(1).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        (code, words[..3].to_vec()),
        (Some(0), vec!["fashion-mnist-lt/0001", "3", "random"]),
        "{list}"
    );
    assert_eq!(words[4], bac);
    let (_, shown, _) = ask(&["show", "fashion-mnist-lt/0001"]);
    assert!(shown.contains("Ankle boot") && shown.contains("sampler   random 0.1.0, SHA-256 "), "{shown}");
    assert_eq!(ask(&["verify"]).0, Some(0));
    let sums =
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&folder).status();
    assert!(sums.unwrap().success());

    let mut metrics = read(&folder, "metrics.json");
    metrics.push(b' ');
    fs::write(folder.join("metrics.json"), metrics).unwrap();
    let (code, told, error) = ask(&["verify"]);
    assert!(code == Some(1) && told.contains("fashion-mnist-lt/0001") && told.contains("damaged"), "{told}");
    assert!(error.contains("fashion-mnist-lt/0001: metrics.json is not what the run wrote"), "{error}");
    let (code, _, error) = ask(&["show", "x/0002"]);
    assert!(code == Some(1) && error.contains("no run `x/0002`") && error.contains("fashion-mnist-lt/0001"));
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    // As wide as the shipped experiments, so that the kernels do divide their work among threads.
    let run = |more: &str| succeed(&["backbone.width=16", "train.batch_size=64", more]);
    let (_first, reference, _) = run("threads=1");
    for threads in ["threads=1", "threads=2", "threads=3"] {
        let (_runs, folder, _) = run(threads);
        assert_eq!(timeless(&folder), timeless(&reference), "{threads}");
        for file in ["baseline.safetensors", "checkpoint.safetensors", "embeddings.safetensors"] {
            assert!(read(&folder, file) == read(&reference, file), "{file} differs with {threads}");
        }
    }
    let (_runs, folder, _) = run("seed=1");
    assert!(read(&folder, "checkpoint.safetensors") != read(&reference, "checkpoint.safetensors"));
}

#[test]
fn sampler_and_depth_change_by_configuration_alone() {
    let before = fs::read(driver()).unwrap();
    let mut seen: Vec<Value> = Vec::new();
    for set in [
        vec!["sampler.plugin=eos"],
        vec!["sampler.plugin=eos", "sampler.compat=true"],
        vec!["sampler.plugin=smote", "sampler.k_neighbors=3"],
        vec!["sampler.plugin=random"],
        vec!["backbone.depth=14"],
        vec!["train.class_weighting=effective-number"],
        vec!["finetune.head_init=phase1"],
    ] {
        let (_runs, folder, _) = succeed(&set);
        let metrics = timeless(&folder);
        assert!(!seen.contains(&metrics), "{set:?} changes nothing");
        seen.push(metrics);
    }
    assert!(fs::read(driver()).unwrap() == before, "the driver is the same file");
}

#[test]
fn phase_1_is_kept_and_shared_only_by_runs_that_agree_on_it() {
    let runs = tempfile::tempdir().unwrap();
    let run = |set: &[&str]| {
        let set: Vec<_> = ["run.cache=true"].iter().chain(set).copied().collect();
        let output = output(runs.path(), &set);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output).contains("kept from an earlier run")
    };
    assert!(!run(&[]));
    assert!(run(&[]), "the same run again");
    assert!(run(&["sampler.plugin=random", "threads=1"]), "another sampler");
    assert!(!run(&["train.learning_rate=0.05"]), "another training");
    assert!(!run(&["seed=1"]), "another seed");
    let base = runs.path().join("fashion-mnist-lt");
    assert_eq!(timeless(&base.join("0001")), timeless(&base.join("0002")));

    // A kept result that is damaged is made again.
    for entry in fs::read_dir(runs.path().join("cache")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    assert!(!run(&[]));
}

#[test]
fn a_dry_run_tells_what_a_run_would_do_and_writes_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let dry = |set: &[&str]| {
        let mut command = command(runs.path(), set);
        let output = command.arg("--dry-run").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let plan = dry(&["run.cache=true"]);
    assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
    // 207 images in steps of 32, and as many of each class as of the largest.
    assert_eq!((&plan["train"]["epochs"], &plan["train"]["steps"]), (&2.into(), &7.into()));
    assert_eq!(plan["synthetic"], serde_json::json!([0, 20, 30, 40, 44, 48, 50, 52, 54, 55]));
    assert_eq!(plan["train"]["kept"], "nothing");
    assert!(plan["train"]["step_seconds"].as_f64().unwrap() > 0.0);
    assert!(cfg!(not(target_os = "linux")) || plan["peak_memory"].as_u64().unwrap() > 1 << 20);
    let output = output(runs.path(), &["run.cache=true"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let values = format!("{} trainable values, embeddings of {}", plan["trainable_values"], plan["features"]);
    assert!(stderr(&output).contains(&values), "{values} is not in: {}", stderr(&output));
    assert_eq!(dry(&["run.cache=true"])["train"]["kept"], "result");
    let refused = command(runs.path(), &["sampler.plugin=smot"]).arg("--dry-run").output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
}

#[test]
fn the_best_epoch_is_selected_on_images_held_out_of_the_training_data() {
    let (_runs, folder, _) = succeed(&["train.selection=validation", "data.validation=0.2"]);
    let record: Value = serde_json::from_slice(&read(&folder, "record.json")).unwrap();
    let trained: u64 =
        record["data"]["train_counts"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(trained + record["data"]["validation_images"].as_u64().unwrap(), 207);
    assert_eq!(record["data"]["test_images"], 1000);
    let events = String::from_utf8(read(&folder, "events.jsonl")).unwrap();
    assert_eq!(events.matches("validation_bac").count(), 2);
}

/// Stdout of another command of the driver.
#[test]
fn wrong_configuration_is_told_with_its_place() {
    refuse(&["sampler.plugin=smot"], &["--set sampler.plugin=smot", "did you mean `smote`?"]);
    refuse(
        &["sampler.plugin=eos", "sampler.k_neighbours=3"],
        &["k_neighbours", "did you mean `k_neighbors`?"],
    );
    refuse(
        &["sampler.k_neighbors=many"],
        &["sampler.k_neighbors", "invalid type: string", "expected a whole number"],
    );
    refuse(&["sampler.k_neighbors=0"], &["--set sampler.k_neighbors=0", "must be at least 1"]);
    refuse(&["backbone.depth=9"], &["--set backbone.depth=9", "is not 6n + 2"]);
    refuse(&["train.epoch=3"], &["train.epoch", "did you mean `epochs`?"]);
    refuse(&["train.epochs=many"], &["train.epochs is a string, expected a whole number"]);
    refuse(&["augment.sampling_strategy=[1,1,1,1,1,1,1,1,1,1]"], &["augment.sampling_strategy", "class 0"]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[data]\nset = \"fashion-mnist-lt\"\n[sampler]\nplugin = \"smott\"\n").unwrap();
    let experiment = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = driver_command();
        command.arg("run").arg(&file).arg("--no-build").arg("--set");
        let output = command.arg(format!("run.folder={}", folder.path().display())).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        stderr(&output)
    };
    let told = experiment("[data]\nset = \"fashion-mnist-lt\"\n[sampler]\nplugin = \"smott\"\n");
    assert!(told.contains("mine.toml:4") && told.contains("did you mean `smote`?"), "{told}");
    let told = experiment("[sampler]\nplugin = \"eos\"\nk_neighbors = \"ten\"\n");
    assert!(told.contains("mine.toml:3"), "{told}");
    let told = experiment("[sampler\n");
    assert!(told.contains("mine.toml:1"), "{told}");
}

#[test]
fn data_that_cannot_be_used_is_told_before_anything_runs() {
    refuse(&["data.folder=no/such/folder"], &["folder `no/such/folder` is not there", "data.folder"]);

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fashion-mnist-lt");
    let copy = |change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&source).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        change(folder.path());
        folder
    };
    let refuse_copy = |change: &dyn Fn(&Path), parts: &[&str]| {
        let folder = copy(change);
        refuse(&[&format!("data.folder={}", folder.path().display())], parts);
    };
    let images = "train-images-idx3-ubyte.gz";
    refuse_copy(&|folder| fs::remove_file(folder.join(images)).unwrap(), &["train-images-idx3-ubyte"]);
    refuse_copy(
        &|folder| {
            let bytes = fs::read(folder.join(images)).unwrap();
            fs::write(folder.join(images), &bytes[..bytes.len() / 2]).unwrap();
        },
        &["train-images-idx3-ubyte.gz"],
    );
    // An uncompressed file is taken first.
    let labels = |content: Vec<u8>| {
        move |folder: &Path| {
            let header = [0, 0, 8, 1].into_iter().chain((content.len() as u32).to_be_bytes());
            let bytes: Vec<u8> = header.chain(content.iter().copied()).collect();
            fs::write(folder.join("t10k-labels-idx1-ubyte"), bytes).unwrap();
        }
    };
    refuse_copy(&labels(vec![10; 1000]), &["t10k-labels-idx1-ubyte", "label 10"]);
    refuse_copy(&labels(vec![0; 999]), &["999", "1000"]);
    refuse_copy(&labels(vec![0; 1000]), &["class 1 (`Trouser`) has no test image"]);
    refuse(&["data.counts=[60,40,30,20,16,12,10,8,6,0]"], &["class 9 (`Ankle boot`) has no training image"]);
    refuse(&["data.counts=[60,40,30,20,16,12,10,8,6,11]"], &["class 9", "10", "11"]);
}

#[test]
fn one_image_of_a_class_is_enough_for_eos_and_refused_by_smote() {
    let one = "data.counts=[60,40,30,20,16,12,10,8,6,1]";
    let (_runs, folder, _) = succeed(&[one]);
    let record: Value = serde_json::from_slice(&read(&folder, "record.json")).unwrap();
    assert_eq!(record["data"]["train_counts"][9], 1);
    refuse(&[one, "sampler.plugin=smote"], &["sampler `smote`", "class 9 has 1 sample"]);
}

#[test]
fn a_loss_of_cosines_is_refused_with_a_head_that_gives_none() {
    let needs = ["loss `ldam` takes `logits` that are cosines", "head `linear`", "use the head `cosine`"];
    refuse(&["loss.plugin=ldam"], &needs);
    succeed(&["loss.plugin=ldam", "head.plugin=cosine"]);
}

#[test]
fn training_that_diverges_is_told_with_what_to_lower() {
    refuse(&["train.learning_rate=1e30"], &["training has diverged", "lower train.learning_rate"]);
}

#[test]
fn plugins_that_misbehave_stop_the_run_with_one_error() {
    let plugin = |name: &str| format!("sampler.plugin={}", fixture(name).display());
    refuse(&[&plugin("not-a-plugin")], &["is a shared library and no plugin"]);
    let misbehaving = plugin("misbehaving");
    refuse(&[&misbehaving, "sampler.mode=panic"], &["the plugin panicked at", "misbehaving"]);
    refuse(&[&misbehaving, "sampler.mode=not-a-number"], &["breaks its contract", "not finite"]);
    let text = tempfile::NamedTempFile::with_suffix(".so").unwrap();
    refuse(&[&format!("sampler.plugin={}", text.path().display())], &["no shared library"]);
}

#[test]
fn a_folder_of_runs_that_cannot_be_written_is_told_before_training() {
    let file = tempfile::NamedTempFile::new().unwrap();
    refused(&output(file.path(), &[]), file.path(), &["run folder", "making the folder failed"]);
}

/// A limit on the size of files makes writes fail as a full disk does. It is set while the run trains, since plugins
/// are copied when they are loaded: the first file that is larger fails in the middle.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_of_runs_that_fills_up_leaves_nothing_half_written() {
    let runs = tempfile::tempdir().unwrap();
    let run = command(runs.path(), &["train.epochs=8"]);
    let mut shell = Command::new("sh");
    // The signal is ignored, so that the write itself fails, as it does on a full disk.
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("epoch 1 of")).expect("training begins").unwrap();
    let limit = ["--fsize=51200", "--pid", &child.id().to_string()];
    assert!(Command::new("prlimit").args(limit).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    let output = Output { stderr: rest.join("\n").into_bytes(), ..output };
    refused(&output, runs.path(), &["run folder", "writing failed", "free space"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_run_in_order() {
    let runs = tempfile::tempdir().unwrap();
    let mut child = command(runs.path(), &["train.epochs=100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("epoch 1 of")).expect("training begins").unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.iter().any(|line| line.contains("error: stopped at your request")), "{rest:?}");
    assert_eq!(fs::read_dir(runs.path().join("fashion-mnist-lt")).unwrap().count(), 0);
}
