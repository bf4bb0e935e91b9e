//! What a host looks at before it opens a library, and that what it has opened stays what it was.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use expanse_domain::{Matrix, Seed, sha256};
use expanse_host::{Found, Host, HostError, Kind, Sampler, Sidecar, Trust, TrustList};
use expanse_tests::{built, driver_command, file_name, plugins};
use serde_json::Map;

/// A copy of a shipped sampler in a folder of its own, with bytes of its own.
fn stranger() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join(file_name("sampler_stranger"));
    let bytes = fs::read(built().join(file_name("sampler_smote"))).unwrap();
    fs::write(&library, [&bytes[..], library.to_string_lossy().as_bytes()].concat()).unwrap();
    (folder, library)
}

fn found(library: &Path) -> Found {
    Found { kind: Kind::Sampler, name: "stranger".into(), path: library.into() }
}

fn sidecar(library: &Path) -> Sidecar {
    let manifest = Host::new(Vec::new()).manifest(&found(library)).unwrap();
    Sidecar::of(Kind::Sampler, &manifest, &sha256(&fs::read(library).unwrap()))
}

fn open(host: &Host, library: &Path) -> Result<Box<dyn Sampler>, HostError> {
    host.sampler(library.to_str().unwrap(), &Map::new())
}

fn works(sampler: &dyn Sampler) -> bool {
    let features = Matrix::new((0..12).map(|value| value as f32).collect(), 6, 2).unwrap();
    let made = sampler.resample(features.view(), &[0, 0, 0, 0, 1, 1], &[0, 2], Seed(1));
    made.is_ok_and(|made| made.labels == [1, 1])
}

#[test]
fn a_library_that_is_replaced_or_truncated_after_it_was_opened_goes_on_working() {
    let (_folder, library) = stranger();
    let host = Host::new(Vec::new());
    let sampler = open(&host, &library).unwrap();
    let (_, _, before) = host.identify(Kind::Sampler, library.to_str().unwrap()).unwrap();
    // In place: a library that is mapped from this file would end the process.
    fs::File::options().write(true).open(&library).unwrap().set_len(100).unwrap();
    assert!(works(&*sampler));
    fs::write(&library, "another file").unwrap();
    assert!(works(&*sampler) && works(&*open(&host, &library).unwrap()));
    assert_eq!(host.identify(Kind::Sampler, library.to_str().unwrap()).unwrap().2, before);
    assert!(open(&Host::new(Vec::new()), &library).is_err(), "a new host reads the file as it is");
}

#[test]
fn only_what_is_trusted_is_opened() {
    let (folder, library) = stranger();
    let (_other_folder, other) = stranger();
    let list = |path: &str| TrustList::load(folder.path().join(path)).unwrap();
    let guarded = |list: TrustList| {
        Host::new(vec![built().into()]).with_trust(Trust::Listed { folders: vec![built().into()], list })
    };
    let refused = open(&guarded(list("trusted.toml")), &library).err().unwrap();
    assert!(matches!(refused, HostError::Untrusted { .. }), "{refused}");
    let line = refused.to_string();
    assert!(line.contains(&format!("cargo xtask plugin trust {}", canonical(&library))), "{line}");
    assert!(guarded(list("trusted.toml")).sampler("eos", &Map::new()).is_ok(), "built with this program");

    let mut trusted = list("trusted.toml");
    trusted.add(&sha256(&fs::read(&library).unwrap()), &library).unwrap();
    assert!(works(&*open(&guarded(list("trusted.toml")), &library).unwrap()));
    // Trust is for bytes, not for places.
    fs::copy(&other, &library).unwrap();
    let refused = open(&guarded(list("trusted.toml")), &library).err().unwrap();
    assert!(matches!(refused, HostError::Untrusted { .. }), "{refused}");
}

fn canonical(path: &Path) -> String {
    fs::canonicalize(path).unwrap().display().to_string()
}

#[test]
fn a_manifest_must_be_true_of_its_library() {
    let (_folder, library) = stranger();
    let true_one = sidecar(&library);
    let check = |change: &dyn Fn(&mut Sidecar), message: &str| {
        let mut sidecar = true_one.clone();
        change(&mut sidecar);
        fs::write(Sidecar::path(&library), sidecar.to_toml()).unwrap();
        let error = open(&Host::new(Vec::new()), &library).err().map(|error| error.to_string());
        match error {
            None => assert_eq!(message, ""),
            Some(error) => assert!(!message.is_empty() && error.contains(message), "{error}"),
        }
    };
    check(&|_| {}, "");
    check(&|sidecar| sidecar.sha256 = "00".into(), "its manifest tells the SHA-256 00 and it is ");
    check(&|sidecar| sidecar.target = "riscv64-none".into(), "its manifest tells the target riscv64-none");
    check(&|sidecar| sidecar.kind = Kind::Head, "this is a plugin of kind `head`, and a sampler is needed");
    check(
        &|sidecar| sidecar.abi = "0.2.0".into(),
        "another version of the plugin boundary (0.2.0, this program",
    );
    check(&|sidecar| sidecar.dialect = Some("x/1".into()), "its programs are in dialect `x/1`");
    check(&|sidecar| sidecar.plugins.clear(), "it lists no plugin");
    fs::write(Sidecar::path(&library), "kind = ").unwrap();
    let error = open(&Host::new(Vec::new()), &library).err().unwrap().to_string();
    assert!(error.contains("is no manifest of a plugin") && error.contains("make it again"), "{error}");
}

#[test]
fn a_library_with_a_manifest_is_described_without_being_opened() {
    let (folder, library) = stranger();
    let sidecar = sidecar(&library);
    // Such a file cannot be opened by anything.
    fs::write(&library, "no library").unwrap();
    fs::write(Sidecar::path(&library), sidecar.to_toml()).unwrap();
    let host = Host::new(vec![folder.path().into()]);
    assert_eq!(host.manifest(&host.list()[0]).unwrap(), sidecar.manifest());
}

/// A driver with a memory of its own.
fn list(cache: &Path, plugin_path: &Path) -> Output {
    let mut command = driver_command();
    command.env("EXPANSE_CACHE_HOME", cache).args(["plugin", "list", "--no-build", "--plugin-path"]);
    command.arg(plugin_path).output().unwrap()
}

#[test]
fn a_listing_opens_nothing_that_it_has_seen_before() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = list(cache.path(), folder.path());
    let table = String::from_utf8_lossy(&first.stdout).into_owned();
    let shipped = plugins().list();
    // A library may hold a family.
    let names = shipped.iter().flat_map(|found| {
        let plugins = plugins().manifest(found).unwrap().plugins;
        plugins.into_iter().map(|plugin| format!("{:<10}{:<18}", found.kind, plugin.name))
    });
    let names: Vec<String> = names.collect();
    let versions = |table: &str| -> Vec<String> {
        let line = |name: &String| table.lines().find_map(|line| line.strip_prefix(name.as_str()));
        let version = |line: &str| line.split_whitespace().next().unwrap().to_owned();
        names.iter().map(|name| version(line(name).unwrap_or_else(|| panic!("{name}\n{table}")))).collect()
    };
    assert!(versions(&table).iter().all(|version| version == "0.1.0"), "{table}");
    // What is listed now is what is remembered, not what is there.
    let kept = cache.path().join("plugins.json");
    let memory = fs::read_to_string(&kept).unwrap();
    assert!(memory.contains("\"version\": \"0.1.0\""), "{memory}");
    fs::write(&kept, memory.replace("\"version\": \"0.1.0\"", "\"version\": \"9.9.9\"")).unwrap();
    let second = list(cache.path(), folder.path());
    let table = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(versions(&table).iter().all(|version| version == "9.9.9"), "{table}");
    // A memory that is lost is made again.
    fs::write(&kept, "{").unwrap();
    assert_eq!(list(cache.path(), folder.path()).stdout, first.stdout);
}

#[test]
fn a_listing_does_not_run_the_code_of_strangers() {
    let (folder, library) = stranger();
    let cache = tempfile::tempdir().unwrap();
    let output = list(cache.path(), folder.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("stranger"));
    assert!(stderr.contains("warning: ") && stderr.contains("it is not trusted"), "{stderr}");
    let trust = driver_command()
        .env("EXPANSE_CONFIG_HOME", cache.path())
        .args(["plugin", "trust"])
        .arg(&library)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&trust.stdout).into_owned();
    assert!(told.contains(&sha256(&fs::read(&library).unwrap())), "{told}");
    assert!(cache.path().join("trusted-plugins.toml").exists());
}
