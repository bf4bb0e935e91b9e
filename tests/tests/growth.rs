//! The boundary grows: plugins of earlier versions load today, and today's plugins load into earlier hosts.
//!
//! The binaries of `tests/frozen` are for Linux on x86-64; elsewhere these tests are not there.
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use expanse_domain::{Matrix, Seed};
use expanse_host::{BOUNDARY, Found, Growth, Host, HostError, Kind, TensorKind};
use expanse_program::{
    BackboneRequest, HeadRequest, LossRequest, Optimizer, Program, tensors_from_bytes, tensors_to_bytes,
};
use expanse_tests::{
    built, driver_command, plugins,
    variant::{Change, variant},
};
use serde_json::Map;

const NAME: &str = "frozen";

/// The folder of every version that is frozen.
fn versions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let versions: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty(), "there is no frozen version");
    versions
}

fn each_version(check: impl Fn(&Host)) {
    for folder in versions() {
        let host = Host::new(vec![folder]);
        let kinds: Vec<_> = host.list().into_iter().map(|found| found.kind).collect();
        assert_eq!(kinds, Kind::ALL, "a version is frozen with a library of each kind");
        check(&host);
    }
}

#[test]
fn a_frozen_sampler_makes_what_is_wanted() {
    each_version(|host| {
        let sampler = host.sampler(NAME, &Map::new()).unwrap();
        let features = Matrix::new((0..12).map(|value| value as f32).collect(), 6, 2).unwrap();
        let made = sampler.resample(features.view(), &[0, 0, 0, 0, 1, 1], &[0, 2], Seed(1)).unwrap();
        assert_eq!(made.labels, [1, 1]);
        assert!(made.provenance.iter().all(|source| [4, 5].contains(&source.base)));
    });
}

#[test]
fn frozen_recorders_record_and_say_that_they_cannot_run() {
    each_version(|host| {
        let none = Map::new();
        let check = |program: Program, values: Vec<u8>, direct: Result<(), HostError>| {
            assert_eq!(program.header.multiply_adds, 7);
            assert!(
                program.header.source.starts_with("frozen for {\"batch\":2"),
                "{}",
                program.header.source
            );
            assert_eq!(tensors_from_bytes(&values).unwrap()[0].values, [3.0]);
            let error = direct.unwrap_err().to_string();
            assert!(error.contains("built before modules could be run directly; rebuild it"), "{error}");
        };
        let output = &mut [0.0];
        let request = BackboneRequest { batch: 2, channels: 1, height: 8, width: 8 };
        let part = host.backbone(NAME, &none).unwrap();
        let direct = part.evaluate(&request, Seed(3), &[], output);
        check(part.record(&request).unwrap(), part.initialize(&request, Seed(3)).unwrap(), direct);
        let request = HeadRequest { batch: 2, features: 4, classes: 3 };
        let part = host.head(NAME, &none).unwrap();
        let direct = part.evaluate(&request, Seed(3), &[], output);
        check(part.record(&request).unwrap(), part.initialize(&request, Seed(3)).unwrap(), direct);
        let request = LossRequest { batch: 2, classes: 3, class_counts: vec![1; 3] };
        let part = host.loss(NAME, &none).unwrap();
        let direct = part.evaluate(&request, Seed(3), &[], output);
        check(part.record(&request).unwrap(), part.initialize(&request, Seed(3)).unwrap(), direct);
    });
}

#[test]
fn a_frozen_backend_answers_every_call() {
    let head = HeadRequest { batch: 2, features: 4, classes: 3 };
    let program = plugins().head("linear", &Map::new()).unwrap().record(&head).unwrap();
    each_version(|host| {
        let backend = host.backend(NAME, &Map::new()).unwrap();
        assert_eq!(backend.device().unwrap().name, NAME);
        assert_eq!(backend.missing_operations(&program).unwrap(), ["Frozen"]);
        let mut session = backend.open_session(Optimizer::sgd(0.9, 0.0)).unwrap();
        assert_eq!(session.load(&[&program, &program]).unwrap(), 2);
        let none = tensors_to_bytes(&[]).unwrap();
        session.import(TensorKind::Parameters, &none).unwrap();
        let error = session.import(TensorKind::Optimizer, &none).unwrap_err().to_string();
        assert_eq!(error, "backend `frozen`: frozen takes no optimiser state");
        session.step(3, &[], 0.5).unwrap();
        assert_eq!(session.losses().unwrap(), [3.5]);
        let mut output = [0.0; 2];
        session.forward(0, &[], &mut [("logits", &mut output)]).unwrap();
        assert_eq!(output, [0.0; 2]);
        for tensors in [session.export(TensorKind::Parameters), session.gradients(0, &[])] {
            assert_eq!(tensors_from_bytes(&tensors.unwrap()).unwrap()[0].values, [1.0, 2.0]);
        }
    });
}

#[test]
fn a_change_of_the_boundary_is_told_by_what_it_does_to_plugins() {
    let growth = |name: &str, changes: &[Change<'_>]| {
        let path = variant(name, changes);
        let found = Found { kind: Kind::Sampler, name: name.into(), path };
        Host::new(Vec::new()).growth(&found).unwrap().1
    };
    assert_eq!(growth("same", &[]), Growth::Same);
    // As seen from a host that has what the plugin lacks, and the other way round.
    let field = (
        "abi/src/services.rs",
        "    /// As `log_enabled`, for one library: hosts since 0.1.1 filter by library.\n    pub log_enabled_in: extern \"C\" fn(library: RStr<'_>, level: u8, target: RStr<'_>) -> bool,\n",
        "",
    );
    assert_eq!(growth("without", &[field]), Growth::Program);
    let method = (
        "abi/src/objects.rs",
        "output: SampleOutput<'_>) -> Fallible<RString>;",
        "output: SampleOutput<'_>) -> Fallible<RString>;\n fn later(&self) -> u64 { 7 }",
    );
    assert_eq!(growth("with", &[method]), Growth::Library);
    let seed = ("abi/src/data.rs", "pub seed: u64", "pub seed: u32");
    assert!(matches!(growth("broken", &[seed]), Growth::Broken(difference) if difference.contains("seed")));

    let output = driver_command().arg("abi").output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains(&format!("version {BOUNDARY} suits")), "{told}{error}");
    assert!(told.contains("since 0.1.0   sampler   grown: its plugins still load"), "{told}");
}

#[test]
fn todays_plugins_load_into_every_frozen_host() {
    for folder in versions() {
        let check = |kind: &str, name: &str, expected: &str| {
            let output = Command::new(folder.join("host")).args([kind, name]).arg(built()).output().unwrap();
            let (line, error) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && line.starts_with(expected), "{kind}: {line}{error}");
        };
        check("sampler", "eos", "2 rows of [1, 1]");
        check("backbone", "resnet", "backbone `resnet` 463216 ");
        check("head", "linear", "head `linear` 15 15");
        check("loss", "cross-entropy", "loss `cross-entropy` 0 0");
        check("backend", "flex", "CPU (burn-flex) ");
    }
}
