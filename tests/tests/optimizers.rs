//! Optimisers on every backend against PyTorch's, on gradients that are given.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor},
};
use expanse_domain::Seed;
use expanse_host::{Kind, Session, TensorKind};
use expanse_program::{Method, NamedTensor, Optimizer, Program, TensorData, TensorView};
use expanse_sdk::record;
use expanse_tests::{
    model::{Model, TRAINING, tensors, to_bytes},
    plugins,
};
use serde::Deserialize;
use serde_json::Map;

/// Parameters whose gradients are the inputs: the loss is ⟨first, x⟩ + ⟨second, y⟩.
#[derive(Module, Debug)]
struct Pair {
    first: Param<Tensor<1>>,
    second: Param<Tensor<2>>,
}

const NAMES: [&str; 2] = ["first", "second"];
const INPUTS: [&str; 2] = ["x", "y"];

fn pair(golden: &Golden) -> Program {
    let Shapes([length], [rows, columns]) = golden.shapes;
    let zeros = Initializer::Zeros;
    let device = Device::flex();
    let pair = Pair { first: zeros.init([length], &device), second: zeros.init([rows, columns], &device) };
    let program = record("loss `pair`".into(), pair, |pair, recording| {
        let x: Tensor<1> = recording.input(INPUTS[0], [length]);
        let y: Tensor<2> = recording.input(INPUTS[1], [rows, columns]);
        recording.output("loss", &((pair.first.val() * x).sum() + (pair.second.val() * y).sum()));
    });
    program.unwrap()
}

#[derive(Deserialize)]
struct Golden {
    shapes: Shapes,
    rates: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Shapes([usize; 1], [usize; 2]);

#[derive(Deserialize)]
struct Case {
    optimizer: Optimizer,
    start: [Vec<f32>; 2],
    gradients: Vec<[Vec<f32>; 2]>,
    after: Vec<[Vec<f64>; 2]>,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_str(include_str!("../golden/optimizers.json")).unwrap()
    }

    fn shapes(&self) -> [&[usize]; 2] {
        [&self.shapes.0, &self.shapes.1]
    }

    fn tensors(&self, values: &[Vec<f32>; 2]) -> Vec<u8> {
        let tensor = |((name, shape), values): ((&str, &[usize]), &Vec<f32>)| NamedTensor {
            name: name.into(),
            shape: shape.to_vec(),
            values: values.clone(),
        };
        to_bytes(&NAMES.into_iter().zip(self.shapes()).zip(values).map(tensor).collect::<Vec<_>>())
    }

    fn step(&self, session: &mut dyn Session, gradients: &[Vec<f32>; 2], rate: f64) {
        let shapes = self.shapes();
        let view = |at: usize| TensorView {
            name: INPUTS[at],
            shape: shapes[at],
            data: TensorData::F32(&gradients[at]),
        };
        session.step(0, &[view(0), view(1)], rate).unwrap();
    }
}

fn backends() -> Vec<String> {
    let found = plugins().list().into_iter().filter(|found| found.kind == Kind::Backend);
    found.map(|found| found.name.replace('_', "-")).collect()
}

#[test]
fn every_backend_moves_parameters_as_pytorch_does() {
    let golden = Golden::read();
    let program = pair(&golden);
    for backend_name in backends() {
        let backend = plugins().backend(&backend_name, &Map::new()).unwrap();
        for case in &golden.cases {
            let mut session = backend.open_session(case.optimizer).unwrap();
            session.load(&[&program]).unwrap();
            session.import(TensorKind::Parameters, &golden.tensors(&case.start)).unwrap();
            for (step, (gradients, &rate)) in case.gradients.iter().zip(&golden.rates).enumerate() {
                golden.step(&mut *session, gradients, rate);
                let found = tensors(&session.export(TensorKind::Parameters).unwrap());
                for (name, expected) in NAMES.iter().zip(&case.after[step]) {
                    let found = &found.iter().find(|tensor| tensor.name == *name).unwrap().values;
                    assert_eq!(found.len(), expected.len());
                    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
                        // Rounding in f32, and that of a value that came back from far away.
                        let size = case.after[..=step]
                            .iter()
                            .map(|after| after.iter().flatten().copied().map(f64::abs).fold(0.0, f64::max));
                        let far = if at == 2 || at == 3 { size.fold(0.0, f64::max) } else { 0.0 };
                        let allowed = 3e-6 * expected.abs().max(1.0) + 1e-6 * far;
                        assert!(
                            (f64::from(found) - expected).abs() <= allowed,
                            "{backend_name}, {:?}, {name}[{at}] after step {step}: {found}, not {expected}",
                            case.optimizer
                        );
                    }
                }
            }
        }
        for method in Method::ALL {
            let has = |clip: bool| {
                golden
                    .cases
                    .iter()
                    .any(|case| case.optimizer.method == method && case.optimizer.clip_norm.is_some() == clip)
            };
            assert!(has(true) && has(false), "there are no golden values of {method}");
        }
    }
}

/// The formula that the conformance kit compares with, in f64.
#[test]
fn the_formula_for_one_value_is_pytorchs() {
    for case in Golden::read().cases {
        let mut values: Vec<f64> = case.start.iter().flatten().copied().map(f64::from).collect();
        let mut moments = vec![[0.0; 2]; values.len()];
        let rates = Golden::read().rates;
        for (step, gradients) in case.gradients.iter().enumerate() {
            let gradients: Vec<f64> = gradients.iter().flatten().copied().map(f64::from).collect();
            let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
            let clipped = case.optimizer.clipped(norm);
            for ((value, g), moments) in values.iter_mut().zip(&gradients).zip(&mut moments) {
                *value += case.optimizer.way(step as u64 + 1, rates[step], *value, g * clipped, moments);
            }
            for (found, expected) in values.iter().zip(case.after[step].iter().flatten()) {
                let what = format!("{:?}, step {step}: {found}, not {expected}", case.optimizer);
                // The golden values have nine digits.
                assert!((found - expected).abs() <= 2e-8 * expected.abs().max(1.0), "{what}");
            }
        }
    }
}

#[test]
fn every_optimizer_goes_on_from_what_was_exported_bit_for_bit() {
    let golden = Golden::read();
    let program = pair(&golden);
    for backend_name in backends() {
        let backend = plugins().backend(&backend_name, &Map::new()).unwrap();
        let open = |case: &Case| {
            let mut session = backend.open_session(case.optimizer).unwrap();
            session.load(&[&program]).unwrap();
            session
        };
        for case in &golden.cases {
            let mut whole = open(case);
            whole.import(TensorKind::Parameters, &golden.tensors(&case.start)).unwrap();
            let mut parts = open(case);
            parts.import(TensorKind::Parameters, &golden.tensors(&case.start)).unwrap();
            for (gradients, &rate) in case.gradients.iter().zip(&golden.rates) {
                golden.step(&mut *whole, gradients, rate);
                golden.step(&mut *parts, gradients, rate);
                // Another session after every step.
                let mut next = open(case);
                for kind in [TensorKind::Parameters, TensorKind::Optimizer] {
                    next.import(kind, &parts.export(kind).unwrap()).unwrap();
                }
                parts = next;
            }
            for kind in [TensorKind::Parameters, TensorKind::Optimizer] {
                let what = format!("{backend_name}, {:?}: {kind:?}", case.optimizer);
                assert!(whole.export(kind).unwrap() == parts.export(kind).unwrap(), "{what}");
            }
        }
    }
}

/// What one optimiser remembers is nothing that every other could go on from.
#[test]
fn a_state_with_squares_is_refused_by_sgd() {
    let golden = Golden::read();
    let program = pair(&golden);
    for backend_name in backends() {
        let backend = plugins().backend(&backend_name, &Map::new()).unwrap();
        let open = |method| {
            let optimizer = Optimizer { method, ..Optimizer::sgd(0.9, 0.0) };
            let mut session = backend.open_session(optimizer).unwrap();
            session.load(&[&program]).unwrap();
            session
        };
        let case = &golden.cases[0];
        let mut adam = open(Method::Adam);
        adam.import(TensorKind::Parameters, &golden.tensors(&case.start)).unwrap();
        golden.step(&mut *adam, &case.gradients[0], 0.1);
        let state = adam.export(TensorKind::Optimizer).unwrap();
        let mut sgd = open(Method::Sgd);
        let before = sgd.export(TensorKind::Optimizer).unwrap();
        let error = sgd.import(TensorKind::Optimizer, &state).unwrap_err().to_string();
        assert!(error.contains("expanse::squares::first"), "{backend_name}: {error}");
        assert!(sgd.export(TensorKind::Optimizer).unwrap() == before, "{backend_name}");
    }
}

/// The norm of all gradients is a sum, and sums in another order have other bits.
#[test]
fn clipping_gives_the_same_bytes_at_any_number_of_threads() {
    let model = Model { depth: 8, widen: None, image: [1, 16, 16], batch: 37, classes: 3 };
    let programs = model.record().unwrap();
    let optimizer = Optimizer { method: Method::Adam, clip_norm: Some(0.1), ..Optimizer::sgd(0.9, 2e-4) };
    let trained = |threads| {
        let team = expanse_cpu::Team::new(threads).unwrap();
        let mut session = expanse_cpu::Session::new(team, optimizer);
        let programs = [&programs.backbone, &programs.head, &programs.loss].map(Clone::clone);
        expanse_engine::Running::load(&mut session, &programs).unwrap();
        let kinds = [expanse_engine::Kind::Parameters, expanse_engine::Kind::Optimizer];
        let running: &mut dyn expanse_engine::Running = &mut session;
        running.import(kinds[0], &model.initialize(Seed(2)).unwrap()).unwrap();
        for step in 0..3 {
            running.step(TRAINING, &model.batch(Seed(step)).inputs(), 0.01).unwrap();
        }
        kinds.map(|kind| running.export(kind).unwrap())
    };
    let one = trained(1);
    assert!(trained(2) == one && trained(4) == one);
}
