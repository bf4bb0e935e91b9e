//! A loss by two labels is the mixture of the losses by each, for every loss and on every backend.

use std::{fs, path::Path};

use burn::{module::Module, tensor::Tensor};
use expanse_host::{Kind, Session};
use expanse_program::{DIALECT, LossRequest, Program, TensorData, TensorView, mixture};
use expanse_sdk::{Recording, record};
use expanse_tests::{
    model::OPTIMIZER,
    plugins,
    table::{self, set_logits, table},
};
use serde_json::Map;

#[derive(Module, Debug)]
struct Nothing {}

/// The program that mixes is kept as bytes; of a changed dialect it could not be linked with the plugins of today.
#[test]
fn the_program_that_mixes_is_of_todays_dialect() {
    let program = record("mixture of losses".into(), Nothing {}, |_, recording| {
        let input = |recording: &mut Recording<'_>, name| -> Tensor<1> { recording.input(name, [1]) };
        let targets = input(recording, "loss_of_targets") * input(recording, "share");
        let partners = input(recording, "loss_of_partners") * input(recording, "rest");
        recording.output("loss", &(targets + partners));
    })
    .unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/program/programs/mixture.program");
    if std::env::var_os("EXPANSE_WRITE").is_some() {
        fs::write(&file, program.to_bytes().unwrap()).unwrap();
    }
    let kept = Program::from_bytes(&fs::read(file).unwrap()).expect("run this test with EXPANSE_WRITE=1");
    assert_eq!(kept.header.dialect, DIALECT);
    let names = |program: &Program| {
        let ports = program.header.inputs.iter().chain(&program.header.outputs);
        ports.map(|port| (port.name.clone(), port.shape.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&kept), names(&program));
}

const BATCH: usize = 4;

fn labels<'a>(name: &'a str, labels: &'a [i64; BATCH]) -> TensorView<'a> {
    TensorView { name, shape: &[BATCH], data: TensorData::I64(labels) }
}

#[test]
fn the_mixture_of_every_loss_is_that_of_its_values_and_gradients() {
    const COUNTS: [u64; 3] = [90, 12, 2];
    let (targets, partners) = ([0, 1, 2, 0], [2, 1, 0, 1]);
    let weights = [0.5, 1.0, 1.5];
    let logits: Vec<f32> = (0..BATCH * 3).map(|at| (at as f32 * 0.7).sin()).collect();
    let extreme: Vec<f32> = (0..BATCH * 3).map(|at| [1e4, -1e4, 0.0, 3.0][at % 4]).collect();
    let named = |kind: Kind| {
        let found = plugins().list().into_iter().filter(move |found| found.kind == kind);
        found.map(|found| found.name.replace('_', "-"))
    };
    let mut different = 0;
    for loss_name in named(Kind::Loss) {
        let request = LossRequest { batch: BATCH, classes: 3, class_counts: COUNTS.to_vec() };
        let loss = plugins().loss(&loss_name, &Map::new()).unwrap().record(&request).unwrap();
        let head = table(BATCH, 3, &loss);
        for backend_name in named(Kind::Backend) {
            let backend = plugins().backend(&backend_name, &Map::new()).unwrap();
            let mixed = mixture(loss.clone());
            let mut session = backend.open_session(OPTIMIZER).unwrap();
            let plain = session.load(&[&head, &loss]).unwrap();
            let mixed = session.load(&[&head, &mixed[0], &mixed[1], &mixed[2]]).unwrap();
            let weights = TensorView { name: "class_weights", shape: &[3], data: TensorData::F32(&weights) };
            for values in [&logits, &extreme] {
                set_logits(&mut *session, BATCH, 3, values);
                let of = |session: &mut dyn Session, targets: &[i64; BATCH]| {
                    let inputs = [labels("targets", targets), weights];
                    table::value_and_gradient(&session.gradients(plain, &inputs).unwrap())
                };
                let (of_targets, of_partners) = (of(&mut *session, &targets), of(&mut *session, &partners));
                different += usize::from(of_targets.1 != of_partners.1);
                for share in [0.0f32, 0.3, 1.0] {
                    let what = format!("{loss_name} on {backend_name}, λ = {share}");
                    let (first, rest) = ([share], [1.0 - share]);
                    let inputs = [
                        labels("targets", &targets),
                        labels("partners", &partners),
                        weights,
                        TensorView { name: "share", shape: &[1], data: TensorData::F32(&first) },
                        TensorView { name: "rest", shape: &[1], data: TensorData::F32(&rest) },
                    ];
                    let gradients = session.gradients(mixed, &inputs).unwrap();
                    let (value, gradient) = table::value_and_gradient(&gradients);
                    let mix = |a: f64, b: f64| f64::from(share) * a + (1.0 - f64::from(share)) * b;
                    let close = |found: f64, expected: f64, scale: f64| {
                        assert!((found - expected).abs() <= 2e-6 * scale, "{what}: {found}, not {expected}");
                    };
                    let expected = mix(of_targets.0, of_partners.0);
                    close(value, expected, expected.abs().max(1.0));
                    assert_eq!(gradient.len(), BATCH * 3);
                    let size =
                        |values: &[f32]| values.iter().fold(0.0f32, |size, value| size.max(value.abs()));
                    let scale = f64::from(size(&of_targets.1).max(size(&of_partners.1)));
                    for (at, found) in gradient.iter().enumerate() {
                        let (a, b) = (f64::from(of_targets.1[at]), f64::from(of_partners.1[at]));
                        close(f64::from(*found), mix(a, b), scale);
                    }
                }
            }
        }
    }
    assert!(different > 0, "the labels make no difference: nothing is tested");
}
