//! Runs that are stopped, by their user or by force, and go on.

#![cfg(unix)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use expanse_domain::Seed;
use expanse_tests::{driver_command, small};
use serde_json::Value;

/// Makes a small run one of a second or two whose phases all take a while; the best epoch is selected, so that this, too,
/// must go on.
const KEPT: [&str; 13] = [
    "data.validation=0.2",
    "train.epochs=6",
    "train.selection=validation",
    // All that a step may follow from besides: moments, the number of the step, the mixture of the batch, the epoch.
    "train.optimizer=adamw",
    "train.learning_rate=0.003",
    "train.clip_norm=1",
    "train.mixup=0.4",
    "train.class_weighting=effective-number",
    "train.class_weighting_from=0.5",
    "finetune.epochs=60",
    "gap.draws=60",
    "run.cache=true",
    "run.checkpoint_seconds=0",
];

/// Phase 1 for seconds, so that it can be met in the middle, with dropout, which draws anew in each step.
const LONG: [&str; 8] = [
    "train.epochs=20",
    "train.optimizer=sgd",
    "train.learning_rate=0.1",
    "train.mixup=0",
    "backbone.plugin=wide-resnet",
    "backbone.depth=10",
    "backbone.widen=1",
    "backbone.dropout=0.3",
];

/// How often the driver is killed.
const KILLS: usize = 50;

fn start(runs: &Path, set: &[&str]) -> Child {
    let mut command = small::command(runs, &[&KEPT[..], set].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the driver starts")
}

/// Lets a driver end, and answers what it told.
fn end(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

/// What a run leaves that must not depend on whether it was stopped. Times differ, and so do the bytes that hold them.
fn result(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |file: &str| fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let models = ["baseline.safetensors", "checkpoint.safetensors", "embeddings.safetensors"];
    let mut files: BTreeMap<_, _> = models.iter().map(|file| (file.to_string(), read(file))).collect();
    let mut metrics: Value = serde_json::from_slice(&read("metrics.json")).unwrap();
    metrics.as_object_mut().unwrap().remove("seconds").expect("times by phase");
    files.insert("metrics".into(), metrics.to_string().into_bytes());
    let events = String::from_utf8(read("events.jsonl")).unwrap();
    let epoch = |line: &str| -> Option<String> {
        let mut event: Value = serde_json::from_str(line).unwrap();
        (event["event"] == "epoch").then(|| {
            event.as_object_mut().unwrap().remove("samples_per_second").expect("a rate");
            event.to_string()
        })
    };
    let epochs: Vec<_> = events.lines().filter_map(epoch).collect();
    let told: Vec<_> = epochs.iter().filter(|epoch| epoch.contains("\"train\"")).collect();
    let config = String::from_utf8(read("config.toml")).unwrap();
    let configured = config.split_once("[train]").unwrap().1.lines().find(|line| line.starts_with("epochs"));
    assert_eq!(
        configured,
        Some(format!("epochs = {}", told.len()).as_str()),
        "an epoch is missing or told twice"
    );
    files.insert("epochs".into(), epochs.join("\n").into_bytes());
    files
}

fn assert_same(folder: &Path, reference: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in result(folder) {
        assert!(
            bytes == reference[&name],
            "{name} differs from that of a run that was never stopped: {what}"
        );
    }
}

/// The complete runs, and how many are not complete.
fn listed(runs: &Path) -> (Vec<String>, usize) {
    let entries = fs::read_dir(runs.join("fashion-mnist-lt")).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let all = names.len();
    names.retain(|name| !name.ends_with(".partial"));
    let partial = all - names.len();
    (names, partial)
}

#[test]
fn a_run_that_is_killed_fifty_times_ends_with_the_bytes_of_one_that_never_was() {
    let whole = tempfile::tempdir().unwrap();
    let began = Instant::now();
    end(start(whole.path(), &[]));
    let mut takes = began.elapsed();
    let reference = result(&whole.path().join("fashion-mnist-lt/0001"));

    let mut rng = Seed(1).derive("kills", &[]).rng();
    let mut runs = tempfile::tempdir().unwrap();
    let (mut killed, mut went_on, mut completed, mut fresh) = (0, 0, 0, true);
    while killed < KILLS {
        let before = listed(runs.path()).0;
        let mut child = start(runs.path(), &[]);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        // From the first moments to after the end; a run that goes on is shorter.
        let (began, longest) = (Instant::now(), takes.mul_f32(1.1 * rng.unit_f32()));
        let mut by_itself = false;
        while !by_itself && began.elapsed() < longest {
            thread::sleep(Duration::from_millis(2));
            by_itself = child.try_wait().unwrap().is_some();
        }
        // Tests beside may have made the first one long.
        if by_itself && fresh {
            takes = takes.min(began.elapsed());
        }
        fresh = false;
        child.kill().unwrap();
        child.wait().unwrap();
        went_on += usize::from(told.join().unwrap().iter().any(|line| line.contains("goes on in epoch")));
        let (after, partial) = listed(runs.path());
        assert!(partial <= 1, "what was killed before is cleared away");
        killed += usize::from(!by_itself);
        if after.len() > before.len() {
            // It was listed, so it is whole, even if the driver was killed just then. Begin with nothing again.
            let folder = runs.path().join("fashion-mnist-lt").join(after.last().unwrap());
            assert_same(&folder, &reference, &format!("after {killed} kills"));
            completed += 1;
            runs = tempfile::tempdir().unwrap();
            fresh = true;
        }
    }
    assert!(went_on >= 5, "{went_on} runs went on in the middle of phase 1");
    end(start(runs.path(), &[]));
    let (complete, partial) = listed(runs.path());
    assert_eq!(partial, 0);
    assert_same(&runs.path().join("fashion-mnist-lt").join(complete.last().unwrap()), &reference, "the last");
    let verified = driver_command().args(["runs", "verify", "--folder"]).arg(runs.path()).status().unwrap();
    assert!(verified.success());
    eprintln!("{killed} kills, {went_on} runs went on within phase 1, {completed} completed in between");
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_does() {
    let whole = tempfile::tempdir().unwrap();
    end(start(whole.path(), &LONG));
    let reference = result(&whole.path().join("fashion-mnist-lt/0001"));

    let runs = tempfile::tempdir().unwrap();
    // Phase 1 is kept when the user asks to stop, too, and not only when it is time to.
    let rarely = [&LONG[..], &["run.checkpoint_seconds=1000"]].concat();
    let mut child = start(runs.path(), &rarely);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("epoch 1 of")).expect("training begins").unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let how = "of 20; the same command goes on from there";
    assert!(
        rest.iter().any(|line| line.contains("stopped at your request in epoch") && line.contains(how)),
        "{rest:?}"
    );
    assert_eq!(listed(runs.path()), (vec![], 0));

    let told = end(start(runs.path(), &rarely));
    assert!(told.contains("train: goes on in epoch"), "{told}");
    // The default backend has no dropout, so the whole run is on another one, as one line says.
    let gave_way = "backend `cpu` lacks ";
    assert_eq!(told.lines().filter(|line| line.contains(gave_way)).count(), 1, "{told}");
    assert!(told.contains("the whole run is on `flex`"), "{told}");
    let folder = runs.path().join("fashion-mnist-lt/0001");
    let log = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let message = |record: &Value| record["fields"]["message"].as_str().unwrap_or_default().to_owned();
    let warned: Vec<_> = records.iter().filter(|record| message(record).contains(gave_way)).collect();
    assert_eq!((warned.len(), &warned[0]["level"]), (1, &"WARN".into()), "{log}");
    assert_same(&folder, &reference, "interrupted");
    let kept: Vec<_> = fs::read_dir(runs.path().join("cache")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(kept.iter().all(|path| path.extension().is_some_and(|e| e != "unfinished")), "{kept:?}");
}

#[test]
fn a_damaged_checkpoint_is_told_and_not_used() {
    let runs = tempfile::tempdir().unwrap();
    let mut child = start(runs.path(), &["train.epochs=40"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("epoch 1 of")).expect("training begins").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = fs::read_dir(runs.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept.filter(|path| path.extension().is_some_and(|e| e == "unfinished")).collect();
    assert_eq!(kept.len(), 1);
    let mut bytes = fs::read(&kept[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&kept[0], bytes).unwrap();
    let told = end(start(runs.path(), &["train.epochs=40"]));
    assert!(told.contains("note: training begins anew: ") && told.contains("cannot be used"), "{told}");
    assert!(!told.contains("goes on in epoch"), "{told}");
}

/// What a clock that jumps leaves behind: files of the future and of long ago.
#[test]
fn the_clock_may_jump_while_a_run_waits() {
    let whole = tempfile::tempdir().unwrap();
    end(start(whole.path(), &["train.epochs=40"]));
    let reference = result(&whole.path().join("fashion-mnist-lt/0001"));

    let runs = tempfile::tempdir().unwrap();
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = fs::metadata(runs.path()).unwrap().modified().unwrap();
    for (epoch, then) in [("epoch 1 of", now + century), ("goes on in epoch", now - century / 2)] {
        let mut child = start(runs.path(), &["train.epochs=40"]);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().contains(epoch)).expect("training goes on").unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let mut folders = vec![runs.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => fs::File::open(entry.path()).unwrap().set_modified(then).unwrap(),
                }
            }
        }
    }
    let told = end(start(runs.path(), &["train.epochs=40"]));
    assert!(told.contains("goes on in epoch"), "{told}");
    let (complete, partial) = listed(runs.path());
    assert_eq!((complete.len(), partial), (1, 0));
    assert_same(&runs.path().join("fashion-mnist-lt").join(&complete[0]), &reference, "the clock jumped");
}

#[test]
fn two_drivers_in_one_folder_of_runs_do_not_disturb_each_other() {
    let runs = tempfile::tempdir().unwrap();
    let drivers: Vec<_> = (0..3).map(|_| start(runs.path(), &[])).collect();
    drivers.into_iter().for_each(|driver| drop(end(driver)));
    let (complete, partial) = listed(runs.path());
    assert_eq!((complete, partial), (vec!["0001".into(), "0002".into(), "0003".into()], 0));
    let folder = |number: &str| runs.path().join("fashion-mnist-lt").join(number);
    let first = result(&folder("0001"));
    // Whichever came first trained; the others may have taken phase 1 from it, with no epochs of their own to tell.
    for number in ["0002", "0003"] {
        let checkpoint = fs::read(folder(number).join("checkpoint.safetensors")).unwrap();
        assert!(checkpoint == first["checkpoint.safetensors"]);
    }
}
