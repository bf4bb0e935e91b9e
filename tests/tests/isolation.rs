//! A sampler in a process of its own does what it does in this one, and nothing that it does there harms this one.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use expanse_domain::{Matrix, Seed};
use expanse_host::{Host, HostError, Kind, Sampler, Synthetic, Worker};
use expanse_tests::{built, driver, file_name, fixture, plugins};
use serde_json::{Map, Value, json};

fn worker() -> Worker {
    Worker { program: driver(), arguments: vec!["plugin-worker".into()] }
}

fn host() -> Host {
    Host::new(vec![built().into()]).with_worker(worker())
}

fn isolated(name: &str, options: Value) -> Result<Box<dyn Sampler>, HostError> {
    Ok(host().isolated_sampler(name, options.as_object().unwrap(), None)?.0)
}

fn resample(sampler: &dyn Sampler, seed: u64) -> Result<Synthetic, HostError> {
    let mut rng = Seed(3).rng();
    let labels: Vec<u32> = [vec![0; 40], vec![1; 12], vec![2; 5]].concat();
    let values = labels.iter().flat_map(|label| [*label as f32; 6]).map(|mean| mean + rng.unit_f32());
    let features = Matrix::new(values.collect(), labels.len(), 6).unwrap();
    sampler.resample(features.view(), &labels, &[0, 28, 35], Seed(seed))
}

#[test]
fn every_sampler_makes_the_same_rows_there_as_here() {
    for found in plugins().list().iter().filter(|found| found.kind == Kind::Sampler) {
        for entry in plugins().manifest(found).unwrap().plugins {
            let here = plugins().sampler(&entry.name, &Map::new()).unwrap();
            let there = isolated(&entry.name, json!({})).unwrap();
            for seed in [1, 2] {
                assert_eq!(
                    resample(&*there, seed).unwrap(),
                    resample(&*here, seed).unwrap(),
                    "{}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn errors_are_the_same_there_as_here() {
    let check = |name: &str, options: Value| {
        let of = |result: Result<Box<dyn Sampler>, HostError>| {
            result.and_then(|sampler| resample(&*sampler, 1)).unwrap_err().to_string()
        };
        let here = plugins().sampler(name, options.as_object().unwrap());
        assert_eq!(of(isolated(name, options.clone())), of(here), "{name} {options}");
    };
    let misbehaving = fixture("misbehaving");
    let misbehaving = misbehaving.to_str().unwrap();
    check("eos", json!({"k": 1}));
    check("eos", json!({"k_neighbors": 0}));
    check("eoss", json!({}));
    check(misbehaving, json!({"mode": "panic"}));
    check(misbehaving, json!({"mode": "not-a-number"}));
    check(misbehaving, json!({"mode": "one-too-few"}));
    check(fixture("not-a-plugin").to_str().unwrap(), json!({}));
    let panicked = isolated(misbehaving, json!({"mode": "panic"})).unwrap();
    let again = |_| resample(&*panicked, 1).unwrap_err().to_string();
    let [_, second] = [1, 2].map(again);
    assert!(second.contains("this instance panicked before"), "{second}");
}

#[test]
fn a_process_that_has_ended_stays_ended() {
    let sampler =
        isolated(fixture("hostile").to_str().unwrap(), json!({"harm": "segfault", "after": 1})).unwrap();
    assert!(resample(&*sampler, 1).is_ok());
    let error = resample(&*sampler, 1).unwrap_err();
    assert!(matches!(&error, HostError::Crashed { how, .. } if how.contains("SIGSEGV")), "{error}");
    let error = resample(&*sampler, 1).unwrap_err().to_string();
    assert!(error.contains("its process has ended before; open the plugin anew"), "{error}");
}

#[test]
fn its_memory_has_the_limit_that_was_set() {
    let hostile = fixture("hostile");
    let options = json!({"harm": "allocate"});
    let limited =
        host().isolated_sampler(hostile.to_str().unwrap(), options.as_object().unwrap(), Some(1 << 30));
    let error = resample(&*limited.unwrap().0, 1).unwrap_err().to_string();
    assert!(
        error.contains("SIGABRT") && error.contains("memory allocation of 107374182400 bytes"),
        "{error}"
    );
}

#[test]
fn the_bytes_that_were_admitted_are_the_ones_that_run() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join(file_name("sampler_x"));
    fs::copy(built().join(file_name("sampler_smote")), &library).unwrap();
    // Between the look of the host and that of the process, somebody replaces the file.
    let program: PathBuf = folder.path().join("worker");
    let (other, driver) = (built().join(file_name("sampler_random")), driver());
    let script = format!(
        "#!/bin/sh\ncp {} {}\nexec {} plugin-worker\n",
        other.display(),
        library.display(),
        driver.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let host = Host::new(Vec::new()).with_worker(Worker { program, arguments: Vec::new() });
    let error =
        host.isolated_sampler(library.to_str().unwrap(), &Map::new(), None).err().unwrap().to_string();
    assert!(error.contains("it is not trusted"), "{error}");
}

#[test]
fn a_worker_that_is_none_is_an_error() {
    let open = |worker: Option<&str>| {
        let host = Host::new(vec![built().into()]);
        let host = match worker {
            Some(program) => host.with_worker(Worker { program: program.into(), arguments: Vec::new() }),
            None => host,
        };
        host.isolated_sampler("eos", &Map::new(), None).err().unwrap().to_string()
    };
    assert!(open(None).contains("a process of its own cannot be had: this program has no worker"));
    assert!(open(Some("/does/not/exist")).contains("does not start"));
    let error = open(Some("/bin/echo"));
    assert!(error.contains("cannot be understood") || error.contains("ended itself"), "{error}");
}
