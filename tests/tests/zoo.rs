//! What hostile and broken libraries can do to a run, in the process of the driver and in one of their own.
//!
//! `docs/containment.md` shows this table; a test compares.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use expanse_tests::{built, driver_command, file_name, fixture, variant::variant};
use serde_json::Value;

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It ends with one error that says this, and leaves nothing.
    Error(&'static str),
    /// The driver dies of this signal; no run is listed.
    Dies(i32),
    /// It is reported, and the user can end the driver; no run is listed.
    Reported,
    /// It goes on, and its result is the one it would have had.
    Works,
}

impl Fate {
    /// As the table of the documentation has it.
    fn text(self) -> String {
        match self {
            Self::Error(message) => format!("one error: “{message}”"),
            Self::Dies(libc_signal) => {
                let name = if libc_signal == ABORT { "SIGABRT" } else { "SIGSEGV" };
                format!("the driver dies of {name}; no run is listed")
            }
            Self::Reported => "reported after `augment.stall_seconds`; Ctrl-C twice ends the driver".into(),
            Self::Works => "the run goes on, with the right result".into(),
        }
    }
}

const ABORT: i32 = 6;
const SEGMENT: i32 = 11;
const ABORTED: Fate = Fate::Error("its process was ended by signal 6 (SIGABRT)");
const SEGFAULTED: Fate = Fate::Error("its process was ended by signal 11 (SIGSEGV)");
const LEFT: Fate = Fate::Error("its process ended itself in the middle of a call, with exit code 0");
const ENDED: Fate = Fate::Error("a plugin ended the process in the middle of the run");

/// A harm: library, option and value, the words of the documentation, and the fates with `isolation = "none"` and
/// `"process"`.
type Harm = (&'static str, &'static str, &'static str, &'static str, Fate, Fate);

/// Harms that are done while rows are made, after the rehearsal has gone well.
const HARMS: [Harm; 25] = [
    ("hostile", "harm", "none", "does what it should", Fate::Works, Fate::Works),
    ("hostile", "harm", "abort", "aborts", Fate::Dies(ABORT), ABORTED),
    ("hostile", "harm", "segfault", "segmentation fault", Fate::Dies(SEGMENT), SEGFAULTED),
    ("hostile", "harm", "exit", "`exit(0)`", ENDED, LEFT),
    ("hostile", "harm", "exit-in-thread", "`exit(0)` in a thread", ENDED, LEFT),
    (
        "hostile",
        "harm",
        "loop",
        "never returns",
        Fate::Reported,
        Fate::Error("it has neither returned nor reported progress for 1 s and was ended"),
    ),
    ("hostile", "harm", "stack-overflow", "stack overflow", Fate::Dies(ABORT), ABORTED),
    ("hostile", "harm", "allocate", "allocates 100 GB", Fate::Dies(ABORT), ABORTED),
    (
        "hostile",
        "harm",
        "change-input",
        "changes its input",
        Fate::Error("it changed its input"),
        Fate::Error("it changed its input"),
    ),
    ("hostile", "harm", "print", "prints to stdout", Fate::Works, Fate::Works),
    ("hostile", "harm", "panic-hook", "sets a panic hook", Fate::Works, Fate::Works),
    (
        "hostile",
        "harm",
        "change-directory",
        "changes the directory",
        Fate::Error("it changed the working directory of the process"),
        Fate::Error("it changed the working directory of the process"),
    ),
    ("hostile", "harm", "threads", "leaves 64 threads", Fate::Works, Fate::Works),
    (
        "raw",
        "outside",
        "features",
        "writes behind its rows",
        Fate::Error("it wrote outside its rows"),
        Fate::Error("it wrote outside its rows"),
    ),
    (
        "raw",
        "outside",
        "labels",
        "writes behind its labels",
        Fate::Error("it wrote outside its rows"),
        Fate::Error("it wrote outside its rows"),
    ),
    (
        "raw",
        "outside",
        "sources",
        "writes behind its sources",
        Fate::Error("it wrote outside its rows"),
        Fate::Error("it wrote outside its rows"),
    ),
    (
        "misbehaving",
        "mode",
        "panic-when-opened",
        "panics when opened",
        Fate::Error("panicking while being opened"),
        Fate::Error("panicking while being opened"),
    ),
    (
        "misbehaving",
        "mode",
        "panic",
        "panics",
        Fate::Error("the plugin panicked at"),
        Fate::Error("the plugin panicked at"),
    ),
    (
        "misbehaving",
        "mode",
        "panic-in-thread",
        "panics in a thread",
        Fate::Error("the plugin panicked at"),
        Fate::Error("the plugin panicked at"),
    ),
    ("misbehaving", "mode", "panic-when-dropped", "panics when dropped", Fate::Works, Fate::Works),
    (
        "misbehaving",
        "mode",
        "not-a-number",
        "makes NaN",
        Fate::Error("column 2 is not finite"),
        Fate::Error("column 2 is not finite"),
    ),
    (
        "misbehaving",
        "mode",
        "wrong-class",
        "makes wrong counts",
        Fate::Error("rows by class, it labelled"),
        Fate::Error("rows by class, it labelled"),
    ),
    (
        "misbehaving",
        "mode",
        "out-of-range",
        "labels out of range",
        Fate::Error("there are 10 classes"),
        Fate::Error("there are 10 classes"),
    ),
    (
        "misbehaving",
        "mode",
        "one-too-few",
        "leaves a row unwritten",
        Fate::Error("rows by class, it labelled"),
        Fate::Error("rows by class, it labelled"),
    ),
    (
        "misbehaving",
        "mode",
        "no-such-base",
        "tells a source that is not there",
        Fate::Error("there are 207 rows of 10 classes"),
        Fate::Error("there are 207 rows of 10 classes"),
    ),
];

/// Files, with the words of the documentation and what is said of them, the same in either process.
const FILES: [(&str, Fate); 13] = [
    ("text file", Fate::Error("this is no shared library")),
    ("truncated file", Fate::Error("this shared library is truncated")),
    ("other architecture", Fate::Error("this shared library is for another machine")),
    ("no plugin", Fate::Error("is a shared library and no plugin")),
    ("missing symbol", Fate::Error("undefined symbol: ")),
    ("missing dependency", Fate::Error("cannot open shared object file")),
    ("panics in its manifest", Fate::Error("panicking in the manifest")),
    ("wrong layout", Fate::Error("built against another version of the plugin boundary")),
    ("later series of the boundary", Fate::Error("built against another version of the plugin boundary")),
    ("wrong dialect", Fate::Error("its programs are in dialect `burn-ir/0.1.0`")),
    ("older boundary", Fate::Works),
    ("newer boundary", Fate::Works),
    ("not trusted", Fate::Error("it is not trusted")),
];

/// A run of seconds whose phase 1 is kept, since all runs here share it.
const SMALL: [&str; 10] = [
    "data.profile=counts",
    "data.counts=[60,40,30,20,16,12,10,8,6,5]",
    "backbone.width=4",
    "backbone.depth=8",
    "train.epochs=1",
    "train.warmup_epochs=1",
    "train.batch_size=32",
    "finetune.epochs=1",
    "finetune.warmup_epochs=1",
    "augment.stall_seconds=1",
];

/// A run with a library as its sampler.
fn command(library: &Path, isolation: &str, set: &[String]) -> (tempfile::TempDir, Command) {
    static KEPT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let runs = tempfile::tempdir_in(built()).unwrap();
    // Phase 1 is trained by the first run, and by those beside it.
    let kept = KEPT.get_or_init(|| tempfile::tempdir_in(built()).unwrap()).path().join("cache");
    fs::create_dir_all(&kept).unwrap();
    std::os::unix::fs::symlink(&kept, runs.path().join("cache")).unwrap();
    // 100 GB must not be had, whatever the machine.
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={}", 16u64 << 30)).args(["--core=0"]);
    let driver = driver_command();
    command.arg(driver.get_program());
    command.envs(driver.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["run", "--no-build", "--format", "json"]);
    let sets = SMALL.iter().map(ToString::to_string).chain(set.iter().cloned()).chain([
        format!("run.folder={}", runs.path().display()),
        format!("augment.isolation={isolation}"),
        format!("sampler.plugin={}", library.display()),
    ]);
    for value in sets {
        command.args(["--set", &value]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (runs, command)
}

#[track_caller]
fn check(what: &str, (runs, mut command): (tempfile::TempDir, Command), fate: Fate) -> Option<Value> {
    let mut scores = None;
    let mut child = command.spawn().expect("prlimit is part of util-linux");
    if fate == Fate::Reported {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let reported = lines.find(|line| line.contains("has neither returned nor reported progress for 1 s"));
        assert!(reported.is_some_and(|line| line.contains("in `resample`")), "{what}");
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "{what}: it heeded the first request");
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{what}");
    } else {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        match fate {
            Fate::Error(message) => {
                assert!(!output.status.success() && output.status.signal().is_none(), "{what}: {stderr}");
                let errors = stderr.lines().filter(|line| line.starts_with("error: "));
                assert_eq!(errors.count(), 1, "{what}: {stderr}");
                assert!(stderr.contains(message), "{what}: {stderr}");
                assert!(output.stdout.is_empty(), "{what}");
            }
            Fate::Dies(signal) => assert_eq!(output.status.signal(), Some(signal), "{what}: {stderr}"),
            Fate::Works => {
                assert!(output.status.success(), "{what}: {stderr}");
                let document: Value = serde_json::from_slice(&output.stdout).expect("stdout is one document");
                assert!(document["three_phase"]["bac"].is_f64(), "{what}");
                let folder = runs.path().join("fashion-mnist-lt/0001");
                let kept = fs::read(folder.join("metrics.json")).unwrap();
                assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), document, "{what}");
                scores = Some(document["three_phase"].clone());
            }
            Fate::Reported => unreachable!(),
        }
    }
    let listed = fs::read_dir(runs.path().join("fashion-mnist-lt")).into_iter().flatten();
    let complete = listed.filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_none_or(|extension| extension != "partial")
    });
    assert_eq!(complete.count(), usize::from(fate == Fate::Works), "{what}: runs listed");
    scores
}

#[test]
fn every_harm_ends_as_the_table_says() {
    // All of them copy the first row of each class, so a run that goes on has this result or a wrong one.
    let right = check("no harm", command(&fixture("hostile"), "none", &[]), Fate::Works);
    for (library, option, value, what, none, process) in HARMS {
        let mut set = vec![format!("sampler.{option}={value}")];
        if library == "hostile" {
            // The rehearsal goes well.
            set.push("sampler.after=1".into());
        }
        for (isolation, fate) in [("none", none), ("process", process)] {
            let scores = check(what, command(&fixture(library), isolation, &set), fate);
            assert!(scores.is_none() || scores == right, "{what}: a wrong result");
        }
    }
}

#[test]
fn every_file_ends_as_the_table_says() {
    let folder = tempfile::tempdir_in(built()).unwrap();
    let sampler = fs::read(built().join(file_name("sampler_eos"))).unwrap();
    let place = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(file_name(&format!("sampler_{name}")));
        fs::write(&path, bytes).unwrap();
        path
    };
    let changed = |from: &[u8], to: &[u8]| {
        let at = sampler.windows(from.len()).position(|window| window == from).expect("the text is there");
        let mut bytes = sampler.clone();
        bytes[at..][..to.len()].copy_from_slice(to);
        bytes
    };
    let mut foreign = sampler.clone();
    foreign[18] = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    let trusted = |path: PathBuf| {
        let output = driver_command().args(["plugin", "trust"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    };
    for (what, fate) in FILES {
        let path = match what {
            "text file" => place("text", b"#!/bin/sh\nexit 0\n"),
            "truncated file" => place("truncated", &sampler[..sampler.len() / 2]),
            "other architecture" => place("foreign", &foreign),
            "no plugin" => fixture("not-a-plugin"),
            "missing symbol" => {
                trusted(place("symbol", &changed(b"\0pthread_create\0", b"\0pthread_creatx\0")))
            }
            "missing dependency" => {
                trusted(place("needs", &changed(b"\0libgcc_s.so.1\0", b"\0libgcc_x.so.1\0")))
            }
            "panics in its manifest" => fixture("hostile"),
            "wrong layout" => {
                trusted(variant("layout", &[("abi/src/data.rs", "pub seed: u64", "pub seed: u32")]))
            }
            "later series of the boundary" => {
                trusted(variant("series", &[("abi/Cargo.toml", "version = \"0.1.", "version = \"0.2.")]))
            }
            "wrong dialect" => {
                let dialect = ("raw/src/lib.rs", "\"dialect\": null", "\"dialect\": \"burn-ir/0.1.0\"");
                trusted(variant("dialect", &[dialect]))
            }
            "older boundary" => {
                let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/0.1.0");
                trusted(frozen.join(file_name("sampler_frozen")))
            }
            "newer boundary" => trusted(newer()),
            "not trusted" => place("stranger", &[&sampler[..], b"of other bytes"].concat()),
            _ => panic!("there is no file for `{what}`"),
        };
        for isolation in ["none", "process"] {
            let (runs, mut command) = command(&path, isolation, &[]);
            if what == "panics in its manifest" {
                command.env("HOSTILE_MANIFEST", "1");
            }
            check(what, (runs, command), fate);
        }
    }
    // What the maintainers of the boundary want to know besides.
    let library = folder.path().with_file_name("outside/layout").join(file_name("sampler_layout"));
    let told = |more: &[&str]| {
        let (_runs, mut command) = command(&library, "none", &[]);
        let output = command.args(more).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told(&[]).contains("hint: --explain shows the difference"));
    let explained = told(&["--explain"]);
    assert!(explained.contains("seed") && explained.contains("u32"), "{explained}");
}

/// A plugin of a boundary that has grown: a root has a field more, a trait a method, and the services a function.
fn newer() -> PathBuf {
    variant(
        "newer",
        &[
            ("abi/Cargo.toml", "version = \"0.1.1\"", "version = \"0.1.2\""),
            (
                "abi/src/roots.rs",
                "options: RStr<'_>) -> Fallible<$object>,",
                "options: RStr<'_>) -> Fallible<$object>,\n pub later: extern \"C\" fn() -> u64,",
            ),
            (
                "abi/src/objects.rs",
                "output: SampleOutput<'_>) -> Fallible<RString>;",
                "output: SampleOutput<'_>) -> Fallible<RString>;\n fn later(&self) -> u64 { 7 }",
            ),
            (
                "abi/src/services.rs",
                "target: RStr<'_>) -> bool,\n}",
                "target: RStr<'_>) -> bool,\n pub later: extern \"C\" fn() -> u64,\n}",
            ),
            (
                "raw/src/lib.rs",
                "SamplerRoot { manifest, init, open }",
                "SamplerRoot { manifest, init, open, later }",
            ),
            (
                "raw/src/lib.rs",
                "extern \"C\" fn manifest",
                "extern \"C\" fn later() -> u64 { 7 }\nextern \"C\" fn manifest",
            ),
        ],
    )
}

#[test]
fn the_documentation_shows_these_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/containment.md");
    let text = fs::read_to_string(path).unwrap();
    let harms =
        HARMS.map(|(.., what, none, process)| format!("| {what} | {} | {} |", none.text(), process.text()));
    let files = FILES.map(|(what, fate)| format!("| {what} | {} |", fate.text()));
    for row in harms.iter().chain(&files) {
        assert!(text.lines().any(|line| line == row), "docs/containment.md lacks the row\n{row}");
    }
}
