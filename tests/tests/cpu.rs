//! The compiled CPU backend: against the engine on burn's `flex`, against PyTorch, and against itself.

use std::collections::BTreeMap;

use burn_flex::{Flex, FlexDevice};
use expanse_cpu::{Convolutions, Isa, Team};
use expanse_domain::Seed;
use expanse_engine::{Kind, Running};
use expanse_program::{BackboneRequest, HeadRequest, LossRequest, NamedTensor, Program};
use expanse_program::{TensorData, TensorView};
use expanse_tests::{
    built, file_name,
    kit::check,
    model::{Batch, EVALUATION, LEARNING_RATE, Model, OPTIMIZER, Programs, TRAINING, tensors, to_bytes},
    plugins,
};
use serde::Deserialize;
use serde_json::Map;

const SEED: Seed = Seed(7);
const SMALL: Model = Model { depth: 8, widen: None, image: [1, 28, 28], batch: 16, classes: 10 };
const MODELS: [Model; 5] = [
    SMALL,
    Model { image: [3, 32, 32], batch: 20, ..SMALL },
    Model { depth: 20, image: [3, 32, 32], ..SMALL },
    Model { image: [2, 19, 13], batch: 3, ..SMALL },
    Model { depth: 10, widen: Some(2), image: [3, 20, 20], batch: 4, ..SMALL },
];

type Reference = expanse_engine::Session<Flex>;

fn load(session: &mut dyn Running, model: &Model) {
    let Programs { backbone, head, loss } = model.record().unwrap();
    let evaluation = [backbone.clone(), head.clone()];
    assert_eq!(session.load(&[backbone, head, loss]).unwrap(), TRAINING);
    assert_eq!(session.load(&evaluation).unwrap(), EVALUATION);
}

fn empty_session(model: &Model, threads: usize, isa: Isa) -> expanse_cpu::Session {
    let mut session = expanse_cpu::Session::new(Team::with_isa(threads, isa).unwrap(), OPTIMIZER);
    load(&mut session, model);
    session
}

fn session(model: &Model, threads: usize, isa: Isa) -> expanse_cpu::Session {
    let mut session = empty_session(model, threads, isa);
    session.import(Kind::Parameters, &model.initialize(SEED).unwrap()).unwrap();
    session
}

/// As [`session`], with Winograd's convolutions.
fn winograd(model: &Model, threads: usize, isa: Isa) -> expanse_cpu::Session {
    session(model, threads, isa).with_convolutions(Convolutions::Winograd)
}

fn reference(model: &Model) -> Reference {
    let mut session = Reference::new(FlexDevice, OPTIMIZER);
    load(&mut session, model);
    session.import(Kind::Parameters, &model.initialize(SEED).unwrap()).unwrap();
    session
}

fn logits(session: &mut dyn Running, model: &Model, batch: &Batch) -> Vec<f32> {
    let mut logits = vec![f32::NAN; model.batch * model.classes];
    session.forward(EVALUATION, &batch.inputs()[..1], &mut [("logits", &mut logits)]).unwrap();
    logits
}

fn train(session: &mut dyn Running, model: &Model, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        session.step(TRAINING, &model.batch(Seed(seed)).inputs(), LEARNING_RATE).unwrap();
    }
}

#[test]
fn loss_and_every_gradient_are_those_of_flex() {
    for model in MODELS {
        let batch = model.batch(SEED);
        let expected = tensors(&reference(&model).gradients(TRAINING, &batch.inputs()).unwrap());
        for isa in Isa::available() {
            // Mostly all are 2e-6 away. A value of a ReLU that is as good as 0 and falls on its other side moves
            // gradients by thousandths, and Winograd's errors of rounding are two to three times as large.
            for (mut session, tolerance) in
                [(session(&model, 2, isa), 1e-3), (winograd(&model, 2, isa), 1e-2)]
            {
                let found = tensors(&session.gradients(TRAINING, &batch.inputs()).unwrap());
                assert_tensors_close(&found, &expected, tolerance, isa);
            }
        }
    }
}

#[test]
fn logits_are_those_of_flex_before_and_after_training() {
    for model in MODELS {
        let batch = model.batch(SEED);
        for isa in Isa::available() {
            let mut reference = reference(&model);
            let mut sessions = [session(&model, 2, isa), winograd(&model, 2, isa)];
            // Steps amplify the differences of rounding.
            for (steps, tolerance) in [(0, 1e-4), (2, 5e-2)] {
                train(&mut reference, &model, 0..steps);
                let expected = logits(&mut reference, &model, &batch);
                for session in &mut sessions {
                    train(session, &model, 0..steps);
                    let distance = distance(&logits(session, &model, &batch), &expected);
                    assert!(distance < tolerance, "{isa:?}, {distance} after {steps} steps of {model:?}");
                }
            }
        }
    }
}

#[test]
fn parameters_velocities_and_statistics_after_a_step_are_those_of_flex() {
    let model = Model { depth: 20, image: [3, 32, 32], ..SMALL };
    let (mut session, mut reference) = (session(&model, 2, Isa::detect()), reference(&model));
    train(&mut session, &model, 0..1);
    train(&mut reference, &model, 0..1);
    for kind in [Kind::Parameters, Kind::Optimizer] {
        let (found, expected) = (session.export(kind).unwrap(), reference.export(kind).unwrap());
        assert_tensors_close(&tensors(&found), &tensors(&expected), 5e-3, Isa::detect());
    }
    assert!(distance(&session.losses().unwrap(), &reference.losses().unwrap()) < 1e-5);
    assert!(session.losses().unwrap().is_empty());
}

/// The two sum in other orders, and a network that learns by heart amplifies that; so the curves are compared and
/// not the weights.
#[test]
fn two_hundred_steps_follow_the_loss_of_flex() {
    let model = Model { batch: 32, ..SMALL };
    let (mut session, mut reference) = (session(&model, 2, Isa::detect()), reference(&model));
    for step in 0..200 {
        let batch = model.batch(Seed(step % 4));
        session.step(TRAINING, &batch.inputs(), 0.01).unwrap();
        reference.step(TRAINING, &batch.inputs(), 0.01).unwrap();
    }
    let (found, expected) = (session.losses().unwrap(), reference.losses().unwrap());
    assert!(distance(&found[..20], &expected[..20]) < 1e-3, "{found:?}\n{expected:?}");
    assert!(distance(&found, &expected) < 0.02, "{found:?}\n{expected:?}");
    assert!(expected[199] < expected[0] / 4.0, "nothing is learned: {expected:?}");
}

/// What is left of a batch at the end of an epoch is smaller; so are groups of images then.
#[test]
fn the_bytes_are_the_same_at_any_number_of_threads() {
    let models = [Model { batch: 37, ..SMALL }, Model { image: [3, 32, 32], batch: 7, ..SMALL }];
    for (model, convolutions) in models.into_iter().zip([Convolutions::Direct, Convolutions::Winograd]) {
        let trained = |threads| {
            let mut session = session(&model, threads, Isa::detect()).with_convolutions(convolutions);
            train(&mut session, &model, 0..3);
            let batch = model.batch(SEED);
            let gradients = session.gradients(TRAINING, &batch.inputs()).unwrap();
            let logits = logits(&mut session, &model, &batch).into_iter().map(f32::to_bits);
            (session.export(Kind::Parameters).unwrap(), gradients, logits.collect::<Vec<_>>())
        };
        let one = trained(1);
        assert!(trained(2) == one);
        assert!(trained(4) == one);
    }
}

#[test]
fn a_session_continues_from_what_another_exported_bit_for_bit() {
    let mut whole = session(&SMALL, 2, Isa::detect());
    train(&mut whole, &SMALL, 0..4);
    let mut first = session(&SMALL, 2, Isa::detect());
    train(&mut first, &SMALL, 0..2);
    let mut second = empty_session(&SMALL, 2, Isa::detect());
    for kind in [Kind::Parameters, Kind::Optimizer] {
        second.import(kind, &first.export(kind).unwrap()).unwrap();
    }
    drop(first);
    train(&mut second, &SMALL, 2..4);
    for kind in [Kind::Parameters, Kind::Optimizer] {
        assert!(whole.export(kind).unwrap() == second.export(kind).unwrap(), "{kind:?} differ");
    }
    assert_eq!(whole.losses().unwrap()[2..], second.losses().unwrap());
}

/// Sessions of one team, interleaved and from two threads: each does what it does alone.
#[test]
fn two_sessions_know_nothing_of_each_other() {
    let team = Team::new(2).unwrap();
    let open = || {
        let mut session = expanse_cpu::Session::new(team.clone(), OPTIMIZER);
        load(&mut session, &SMALL);
        session.import(Kind::Parameters, &SMALL.initialize(SEED).unwrap()).unwrap();
        session
    };
    let (mut one, mut two) = (open(), open());
    let before = two.export(Kind::Parameters).unwrap();
    train(&mut one, &SMALL, 0..2);
    assert!(two.export(Kind::Parameters).unwrap() == before);
    std::thread::scope(|scope| {
        scope.spawn(|| train(&mut one, &SMALL, 2..4));
        scope.spawn(|| train(&mut two, &SMALL, 0..4));
    });
    assert!(one.export(Kind::Parameters).unwrap() == two.export(Kind::Parameters).unwrap());
}

/// Memory is shared by the programs of a session, and used again from step to step.
#[test]
fn programs_of_several_sizes_leave_nothing_behind_for_one_another() {
    let (half, batch) = (Model { batch: 8, ..SMALL }, SMALL.batch(SEED));
    let mut session = session(&SMALL, 2, Isa::detect());
    let expected = session.gradients(TRAINING, &batch.inputs()).unwrap();
    let Programs { backbone, head, loss } = half.record().unwrap();
    let smaller = session.load(&[backbone, head, loss]).unwrap();
    let first = session.gradients(smaller, &half.batch(SEED).inputs()).unwrap();
    logits(&mut session, &SMALL, &batch);
    assert!(session.gradients(TRAINING, &batch.inputs()).unwrap() == expected);
    assert!(session.gradients(smaller, &half.batch(SEED).inputs()).unwrap() == first);
}

#[test]
fn the_plugin_runs_the_shipped_model() {
    let backend = plugins().backend("cpu", &Map::new()).unwrap();
    assert!(backend.device().unwrap().name.starts_with("CPU ("));
    let Programs { backbone, head, loss } = SMALL.record().unwrap();
    for program in [&backbone, &head, &loss] {
        assert_eq!(backend.missing_operations(program).unwrap(), [""; 0]);
    }
    let mut opened = backend.open_session(OPTIMIZER).unwrap();
    opened.load(&[&backbone, &head, &loss]).unwrap();
    opened.import(expanse_host::TensorKind::Parameters, &SMALL.initialize(SEED).unwrap()).unwrap();
    let inputs = SMALL.batch(SEED);
    let found = opened.gradients(TRAINING, &inputs.inputs()).unwrap();
    assert!(found == session(&SMALL, 2, Isa::detect()).gradients(TRAINING, &inputs.inputs()).unwrap());
}

#[test]
fn the_plugin_computes_convolutions_as_it_is_told() {
    let options = |name: &str| Map::from_iter([("convolutions".to_owned(), name.into())]);
    let Programs { backbone, head, loss } = SMALL.record().unwrap();
    let backend = plugins().backend("cpu", &options("winograd")).unwrap();
    let mut opened = backend.open_session(OPTIMIZER).unwrap();
    opened.load(&[&backbone, &head, &loss]).unwrap();
    opened.import(expanse_host::TensorKind::Parameters, &SMALL.initialize(SEED).unwrap()).unwrap();
    let inputs = SMALL.batch(SEED);
    let found = opened.gradients(TRAINING, &inputs.inputs()).unwrap();
    let of = |mut session: expanse_cpu::Session| session.gradients(TRAINING, &inputs.inputs()).unwrap();
    assert!(
        found == of(winograd(&SMALL, 2, Isa::detect())) && found != of(session(&SMALL, 2, Isa::detect()))
    );

    let error = plugins().backend("cpu", &options("fast")).and_then(|backend| backend.device()).unwrap_err();
    assert!(error.to_string().contains("`fast` is no way to convolve; use direct or winograd"), "{error}");
    let (report, succeeded) =
        check(&built().join(file_name("backend_cpu")), &["--set", "convolutions=winograd"]);
    assert!(succeeded && report.conforms(), "{report}");
}

#[test]
fn the_plan_tells_what_runs() {
    let session = session(&SMALL, 2, Isa::detect());
    let plan = session.explain(TRAINING, true).unwrap();
    // conv1 and bn1 of a block with what is around them are one step forward and one backward.
    assert!(plan.contains("norm + residual + relu → conv (stencil) → moments"), "{plan}");
    assert!(plan.contains("∂ norm → conv (3×3 sliding): weights input → mask, sums"), "{plan}");
    assert!(!session.explain(EVALUATION, false).unwrap().contains('∂') && !plan.contains("Winograd"));
    let plan = winograd(&SMALL, 2, Isa::detect()).explain(TRAINING, true).unwrap();
    assert!(plan.contains("norm + relu → conv (3×3 Winograd) → moments"), "{plan}");
    assert!(plan.contains("∂ norm → conv (3×3 Winograd): weights input → mask, sums"), "{plan}");
    let error = session.explain(EVALUATION, true).unwrap_err().to_string();
    assert!(error.contains("cannot be trained"), "{error}");
}

/// What PyTorch computes in `f64`, and how far its own `f32` is from that.
#[derive(Deserialize)]
struct Golden {
    loss: f64,
    loss_f32: f64,
    tensors: BTreeMap<String, GoldenTensor>,
}

#[derive(Deserialize)]
struct GoldenTensor {
    /// Distance of the gradient, relative to its size, in the Euclidean norm.
    pytorch_f32: f64,
    gradient: Vec<f64>,
}

/// As in `golden/generate.py`: values in [−scale, scale) + shift from whole numbers.
fn golden_values(count: usize, key: u64, scale: f64, shift: f64) -> Vec<f32> {
    let number = |i: u64| ((i * 48271 + key * 16807 + 11) * 69621 % 65537) as f64 / 32768.5 - 1.0;
    (0..count as u64).map(|i| (number(i) * scale + shift) as f32).collect()
}

/// Another order of summation is nearer in some tensors and further in others, so no tensor may be more than four
/// times as far as PyTorch's `f32`, and all together not more than one and a quarter times; without a fused
/// multiply–add, which rounds once, not more than twice.
#[test]
fn gradients_are_as_near_to_f64_as_those_of_pytorch() {
    const BATCH: usize = 6;
    const CLASSES: usize = 5;
    let golden: Golden = serde_json::from_str(include_str!("../golden/resnet8.json")).unwrap();
    let options = serde_json::json!({ "depth": 8, "width": 4 });
    let backbone = plugins().backbone("resnet", options.as_object().unwrap()).unwrap();
    let backbone =
        backbone.record(&BackboneRequest { batch: BATCH, channels: 1, height: 12, width: 12 }).unwrap();
    let head = plugins().head("linear", &Map::new()).unwrap();
    let head = head.record(&HeadRequest { batch: BATCH, features: 16, classes: CLASSES }).unwrap();
    let loss = plugins().loss("cross-entropy", &Map::new()).unwrap();
    let loss =
        loss.record(&LossRequest { batch: BATCH, classes: CLASSES, class_counts: vec![1; CLASSES] }).unwrap();

    let mut key = 0;
    let known = backbone.header.parameters.iter().chain(&head.header.parameters);
    let parameters: Vec<_> = known
        .map(|parameter| {
            let (name, count) = (parameter.name.clone(), parameter.shape.iter().product());
            key += u64::from(!name.contains("running"));
            let (scale, shift) = match name.as_str() {
                name if name.contains("running") => (0.0, 1.0),
                "conv1.weight" => (0.5, 0.0),
                "linear.weight" => (0.4, 0.0),
                "linear.bias" => (0.1, 0.0),
                name if name.contains("bn") && name.ends_with("weight") => (0.3, 1.0),
                name if name.contains("bn") => (0.2, 0.0),
                _ => (0.3, 0.0),
            };
            let values = golden_values(count, key, scale, shift);
            NamedTensor { name, shape: parameter.shape.clone(), values }
        })
        .collect();
    let (images, weights) =
        (golden_values(BATCH * 144, 101, 1.0, 0.0), golden_values(CLASSES, 102, 0.5, 1.5));
    let targets: Vec<i64> = (0..BATCH as i64).map(|i| (3 * i + 1) % CLASSES as i64).collect();
    let view = |name, shape, data| TensorView { name, shape, data };
    let inputs = [
        view("images", &[BATCH, 1, 12, 12][..], TensorData::F32(&images)),
        view("targets", &[BATCH], TensorData::I64(&targets)),
        view("class_weights", &[CLASSES], TensorData::F32(&weights)),
    ];
    for isa in Isa::available() {
        let mut session = expanse_cpu::Session::new(Team::with_isa(2, isa).unwrap(), OPTIMIZER);
        session.load(&[backbone.clone(), head.clone(), loss.clone()]).unwrap();
        session.import(Kind::Parameters, &to_bytes(&parameters)).unwrap();
        let mut found = tensors(&session.gradients(0, &inputs).unwrap());
        let loss = found.remove(found.iter().position(|tensor| tensor.name == "loss").unwrap());
        let theirs = (golden.loss_f32 - golden.loss).abs();
        assert!((f64::from(loss.values[0]) - golden.loss).abs() <= theirs.max(2e-7), "{isa:?}: {loss:?}");
        assert_eq!(found.len(), golden.tensors.len());
        let (mut ours, mut others) = (0.0, 0.0);
        for tensor in &found {
            let GoldenTensor { pytorch_f32, gradient } = &golden.tensors[&tensor.name];
            let apart = tensor.values.iter().zip(gradient).map(|(a, b)| (f64::from(*a) - b).powi(2));
            let size = gradient.iter().map(|value| value * value).sum::<f64>();
            let distance = (apart.sum::<f64>() / size).sqrt();
            let name = &tensor.name;
            assert!(
                distance <= 4.0 * pytorch_f32,
                "{isa:?}: `{name}` is {distance:e} away, PyTorch's {pytorch_f32:e}"
            );
            ours += distance;
            others += pytorch_f32;
        }
        let allowed = if isa == Isa::Portable { 2.0 } else { 1.25 };
        assert!(ours <= allowed * others, "{isa:?}: all together {ours:e}, PyTorch's {others:e}");
    }
}

#[test]
fn what_does_not_fit_is_told_as_the_engine_tells_it() {
    let Programs { backbone, head, .. } = SMALL.record().unwrap();
    let same = |ask: &dyn Fn(&mut dyn Running) -> String| {
        let mut found = session(&SMALL, 1, Isa::detect());
        let message = ask(&mut found);
        assert_eq!(message, ask(&mut reference(&SMALL)));
        assert!(!message.is_empty());
    };
    let batch = SMALL.batch(SEED);
    same(&|s| s.step(EVALUATION, &batch.inputs(), 0.1).unwrap_err().to_string());
    same(&|s| s.step(9, &batch.inputs(), 0.1).unwrap_err().to_string());
    same(&|s| s.step(TRAINING, &batch.inputs()[1..], 0.1).unwrap_err().to_string());
    same(&|s| s.forward(EVALUATION, &batch.inputs(), &mut [("logits", &mut [0.0])]).unwrap_err().to_string());
    same(&|s| s.import(Kind::Parameters, &[1, 2, 3]).unwrap_err().to_string());
    same(&|s| s.load(&[head.clone(), backbone.clone(), head.clone()]).unwrap_err().to_string());
    same(&|s| {
        let stray = NamedTensor { name: "stray".into(), shape: vec![1], values: vec![0.0] };
        s.import(Kind::Parameters, &to_bytes(&[stray])).unwrap_err().to_string()
    });
    let refused =
        |session: &mut dyn Running, program: Program| session.load(&[program]).unwrap_err().to_string();
    let mut garbled = head.clone();
    garbled = Program::seal(garbled.header, vec![0xff; 64], Vec::new());
    same(&|s| refused(s, garbled.clone()));
    let empty = empty_session(&SMALL, 1, Isa::detect()).forward(EVALUATION, &batch.inputs(), &mut []);
    assert!(empty.unwrap_err().to_string().contains("has no value"));
}

/// Every tensor's distance in the Euclidean norm, relative to its own.
fn assert_tensors_close(found: &[NamedTensor], expected: &[NamedTensor], tolerance: f64, isa: Isa) {
    let names =
        |tensors: &[NamedTensor]| tensors.iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (found, expected) in found.iter().zip(expected) {
        let (name, distance) = (&found.name, distance(&found.values, &expected.values));
        assert_eq!(found.shape, expected.shape, "{name}");
        assert!(distance <= tolerance, "{isa:?}: `{name}` is {distance} away");
    }
}

/// ‖found − expected‖ / ‖expected‖.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let apart = found.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let size = expected.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    (apart / size.max(1e-12)).sqrt()
}
