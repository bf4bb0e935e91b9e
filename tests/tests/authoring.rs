//! Plugins made outside of this repository: what `plugin new` makes, the examples, and the way of a new user.
//!
//! All of them are built into one target folder, `outside` within that of the workspace, so that burn is compiled there
//! once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use expanse_domain::sha256;
use expanse_host::Sidecar;
use expanse_tests::{built, driver, file_name, small::SMALL};
use serde_json::Value;

const KINDS: [&str; 5] = ["sampler", "backbone", "head", "loss", "backend"];

/// The target folder of everything that is built outside of the workspace.
fn outside() -> PathBuf {
    built().join("../outside")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Cargo in a folder outside of the workspace, as its user calls it.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(folder).args(arguments).env("CARGO_TARGET_DIR", outside());
    command
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", text(&output));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The driver, with a list of trusted libraries and a memory of its own.
fn xtask(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(driver());
    command.args(arguments).env_remove("RAYON_NUM_THREADS");
    command.env("EXPANSE_CONFIG_HOME", home.join("config")).env("EXPANSE_CACHE_HOME", home.join("cache"));
    command
}

/// A run of seconds with the sampler in a file, into a folder.
fn run(home: &Path, library: &str) -> Command {
    let mut command = xtask(home, &["run", "--no-build", "--format", "json"]);
    let folder = format!("run.folder={}", home.join("runs").display());
    let plugin = format!("sampler.plugin={library}");
    for set in SMALL.into_iter().chain([folder.as_str(), &plugin]) {
        command.args(["--set", set]);
    }
    command
}

/// From nothing to a three-phase run with a sampler of one's own: five commands, and no file of ours is touched.
#[test]
fn a_new_user_writes_tries_and_runs_a_sampler_in_five_commands() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path();
    let library = outside().join("debug").join(file_name("sampler_first_try"));
    let library = library.display().to_string();

    succeed(xtask(home, &["plugin", "new", "sampler", "first-try", "--path", home.to_str().unwrap()]));
    succeed(cargo(&home.join("sampler-first-try"), &["build"]));
    // It is not trusted yet, so that no run opens it; checking it is what tells whether to trust it.
    let refused = run(home, &library).output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains("plugin trust"), "{}", text(&refused));

    let checked = succeed(xtask(home, &["plugin", "check", "--no-build", &library]));
    assert!(text(&checked).contains("0 failed"), "{}", text(&checked));
    succeed(xtask(home, &["plugin", "trust", &library]));
    let output = succeed(run(home, &library));

    let metrics: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(metrics["three_phase"]["bac"].as_f64().is_some_and(|bac| bac > 0.0), "{metrics}");
    let folder = home.join("runs/fashion-mnist-lt/0001");
    let record: Value = serde_json::from_slice(&fs::read(folder.join("record.json")).unwrap()).unwrap();
    assert_eq!(record["plugins"]["sampler"]["sha256"], sha256(&fs::read(&library).unwrap()).as_str());
}

#[test]
fn what_plugin_new_makes_passes_its_own_tests_and_the_kit() {
    let scratch = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let path = scratch.path().to_str().unwrap();
        succeed(xtask(scratch.path(), &["plugin", "new", kind, "made-new", "--path", path]));
        let folder = scratch.path().join(format!("{kind}-made-new"));
        for file in ["README.md", ".gitignore", ".github/workflows/test.yml", "Cargo.lock", "rustfmt.toml"] {
            assert!(folder.join(file).is_file(), "{kind}: {file}");
        }
        succeed(cargo(&folder, &["fmt", "--check"]));
        let tested = text(&succeed(cargo(&folder, &["test"])));
        assert!(tested.contains(&format!("{kind} `made-new` 0.1.0")), "{tested}");
        assert!(tested.contains(" passed, 0 failed, "), "{tested}");
        // The versions are those that Expanse is tested with.
        assert_eq!(foreign_versions(&folder.join("Cargo.lock")), [""; 0], "{kind}");
    }
}

#[test]
fn the_examples_pass_their_own_tests_and_the_kit() {
    let folder = root().join("examples");
    let before = fs::read(folder.join("Cargo.lock")).unwrap();
    let tested = text(&succeed(cargo(&folder, &["test", "--workspace"])));
    for plugin in ["sampler `principal-noise` 0.1.0", "backbone `pooled` 0.1.0"] {
        assert!(tested.contains(plugin), "{tested}");
    }
    assert_eq!(tested.matches(" passed, 0 failed, ").count(), 2, "{tested}");
    assert!(fs::read(folder.join("Cargo.lock")).unwrap() == before, "the lock file of the examples is stale");
    assert_eq!(foreign_versions(&folder.join("Cargo.lock")), [""; 0]);
}

/// Packages of a lock file in a version that the workspace's own lock file does not hold.
fn foreign_versions(lock: &Path) -> Vec<String> {
    let packages = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let package = |lines: &[&str]| match lines {
            [name, version, source] if name.starts_with("name") && source.starts_with("source") => {
                Some(format!("{name} {version}"))
            }
            _ => None,
        };
        text.lines().collect::<Vec<_>>().windows(3).filter_map(package).collect()
    };
    let own = packages(&root().join("Cargo.lock"));
    assert!(own.len() > 100, "nothing is compared");
    packages(lock).into_iter().filter(|package| !own.contains(package)).collect()
}

#[test]
fn names_and_places_that_cannot_be_are_refused_and_nothing_is_left() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().to_str().unwrap();
    let refuse = |arguments: &[&str], message: &str| {
        let output = xtask(scratch.path(), &[&["plugin", "new"], arguments].concat()).output().unwrap();
        assert!(!output.status.success() && text(&output).contains(message), "{}", text(&output));
    };
    refuse(&["sampler", "My_Own", "--path", path], "`My_Own` cannot be the name; use lower-case");
    refuse(&["sampler", "../x", "--path", path], "cannot be the name");
    refuse(&["samplers", "x", "--path", path], "[possible values: backbone, head, loss, sampler, backend]");
    refuse(
        &["sampler", "x", "--path", root().join("plugins").to_str().unwrap()],
        "inside of Expanse's own workspace",
    );
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    fs::create_dir(scratch.path().join("sampler-x")).unwrap();
    refuse(&["sampler", "x", "--path", path], "it is there already");
    // A file where a folder should be: nothing can be written below it.
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    refuse(&["sampler", "y", "--path", file.to_str().unwrap()], "file");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(scratch.path().join("sampler-x")).unwrap().count(), 0);
}

#[test]
fn a_packed_library_comes_with_its_manifest_and_hash() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let library = built().join(file_name("sampler_eos"));
    let pack = || {
        xtask(scratch.path(), &["plugin", "pack", library.to_str().unwrap(), "--out", out.to_str().unwrap()])
    };
    let printed = succeed(pack());
    let folder = PathBuf::from(String::from_utf8(printed.stdout).unwrap().trim());
    let packed = folder.join(file_name("sampler_eos"));
    assert!(fs::read(&packed).unwrap() == fs::read(&library).unwrap());
    let sidecar = Sidecar::read(&packed).unwrap().unwrap();
    assert_eq!(sidecar.sha256, sha256(&fs::read(&library).unwrap()));
    assert_eq!((sidecar.plugins[0].name.as_str(), sidecar.target.as_str()), ("eos", expanse_host::TARGET));
    // It is whole or not there, and never overwritten.
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    let again = pack().output().unwrap();
    assert!(!again.status.success() && text(&again).contains("is there already"), "{}", text(&again));
    let no_plugin =
        xtask(scratch.path(), &["plugin", "pack", file_name("sampler_eos").as_str()]).output().unwrap();
    assert!(!no_plugin.status.success(), "a file that is not there is packed");
}

#[test]
fn a_plugin_is_described_by_its_name_and_by_its_file() {
    let scratch = tempfile::tempdir().unwrap();
    let describe =
        |plugin: &str| text(&succeed(xtask(scratch.path(), &["plugin", "describe", "--no-build", plugin])));
    let resnet = describe("resnet");
    for part in [
        "backbone `resnet` 0.1.0, MIT OR Apache-2.0",
        "depth = 32    integer, at least 8, at most 1202",
        "Number of layers, 6n + 2",
        "programs in burn-ir/",
    ] {
        assert!(resnet.contains(part), "{resnet}");
    }
    let file = built().join(file_name("head_linear"));
    assert!(describe(file.to_str().unwrap()).contains("it has no options"));
    let unknown = xtask(scratch.path(), &["plugin", "describe", "--no-build", "resnot"]).output().unwrap();
    assert!(!unknown.status.success() && text(&unknown).contains("no file and no plugin is called so"));
}
