//! The shipped plugins, loaded from their files, against the same model as an ordinary burn module.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData, module::conv2d, ops::ConvOptions};
use expanse_domain::Seed;
use expanse_host::{Session, TensorKind};
use expanse_program::{HeadRequest, Header, NamedTensor, ParameterKind, Program};
use expanse_tests::{
    eager::Eager,
    model::{Batch, EVALUATION, LEARNING_RATE, Model, OPTIMIZER, Programs, TRAINING, tensors, to_bytes},
    plugins,
};
use serde_json::Map;

const SEED: Seed = Seed(7);
const SMALL: Model = Model { depth: 8, widen: None, image: [1, 28, 28], batch: 16, classes: 10 };
const MODELS: [Model; 4] = [
    SMALL,
    Model { image: [3, 32, 32], ..SMALL },
    Model { depth: 20, ..SMALL },
    Model { depth: 20, image: [3, 32, 32], ..SMALL },
];

#[test]
fn loss_and_every_gradient_equal_those_of_burn_bit_for_bit() {
    for model in MODELS {
        let (mut session, batch) = (model.session(SEED).unwrap(), model.batch(SEED));
        let mut found = tensors(&session.gradients(TRAINING, &batch.inputs()).unwrap());
        let loss = found.remove(found.iter().position(|tensor| tensor.name == "loss").unwrap());

        let eager = Eager::new(&model, &parameters(&*session));
        let expected = eager.loss(&batch);
        assert_bits(&loss.values, &expected.to_data().try_to_vec().unwrap(), "loss");
        let expected = eager.gradients(&expected);
        let trainable = headers(&model).filter(|(_, kind, _)| *kind == ParameterKind::Trainable);
        assert_eq!(names(&found), trainable.map(|(name, ..)| name).collect::<BTreeSet<_>>());
        assert_same(&found, &expected);
        assert!(expected.iter().all(|gradient| gradient.values.iter().any(|value| *value != 0.0)));
    }
}

#[test]
fn logits_equal_those_of_burn_bit_for_bit_before_and_after_training() {
    for model in MODELS {
        let (mut session, batch) = (model.session(SEED).unwrap(), model.batch(SEED));
        let mut logits = Vec::new();
        for steps in [0, 3] {
            train(&mut *session, &model, 0..steps);
            let found = model.logits(&mut *session, &batch).unwrap();
            let eager = Eager::new(&model, &parameters(&*session));
            assert_bits(&found, &eager.logits(&batch), "logits");
            logits.push(found);
        }
        assert_ne!(logits[0], logits[1]);
    }
}

#[test]
fn a_step_descends_by_the_formula_of_pytorch() {
    let mut session = SMALL.session(SEED).unwrap();
    let mut expected: BTreeMap<String, Vec<f32>> =
        parameters(&*session).into_iter().map(|tensor| (tensor.name, tensor.values)).collect();
    let mut velocities: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let (momentum, decay) = (OPTIMIZER.momentum as f32, OPTIMIZER.weight_decay as f32);
    for step in 0..3 {
        let batch = SMALL.batch(Seed(step));
        let gradients = tensors(&session.gradients(TRAINING, &batch.inputs()).unwrap());
        session.step(TRAINING, &batch.inputs(), LEARNING_RATE).unwrap();
        let found = parameters(&*session);
        let momenta = tensors(&session.export(TensorKind::Optimizer).unwrap());
        for NamedTensor { name, values: gradient, .. } in gradients.iter().filter(|g| g.name != "loss") {
            let parameter = expected.get_mut(name).unwrap();
            let decayed = gradient.iter().zip(&*parameter).map(|(g, p)| g + decay * p);
            let velocity: Vec<f32> = match velocities.get(name) {
                Some(velocity) => velocity.iter().zip(decayed).map(|(v, g)| momentum * v + g).collect(),
                None => decayed.collect(),
            };
            for (p, v) in parameter.iter_mut().zip(&velocity) {
                *p -= LEARNING_RATE as f32 * v;
            }
            assert_close(values(&found, name), parameter, 1e-6, name);
            assert_close(values(&momenta, name), &velocity, 1e-6, name);
            velocities.insert(name.clone(), velocity);
        }
        assert_eq!(names(&momenta), velocities.keys().cloned().collect());
    }
}

/// PyTorch: running ← 0.9 · running + 0.1 · batch, with Bessel's correction of the variance.
#[test]
fn running_statistics_follow_pytorch() {
    let model = Model { image: [3, 32, 32], ..SMALL };
    let (mut session, batch) = (model.session(SEED).unwrap(), model.batch(SEED));
    let before = parameters(&*session);
    let eager = Eager::new(&model, &before);
    session.step(TRAINING, &batch.inputs(), LEARNING_RATE).unwrap();
    let after = parameters(&*session);

    // The first layer, from the definition.
    let (mean, variance) = moments(&first_convolution(&batch, &before));
    let expected = |old: f64, new: Vec<f64>| -> Vec<f32> {
        new.into_iter().map(|new| (0.9 * old + 0.1 * new) as f32).collect()
    };
    assert_close(values(&after, "bn1.running_mean"), &expected(0.0, mean), 1e-6, "bn1.running_mean");
    assert_close(values(&after, "bn1.running_var"), &expected(1.0, variance), 1e-6, "bn1.running_var");

    // Every layer, from burn's statistics, which lack the correction.
    let _ = eager.loss(&batch);
    let statistics = eager.running_statistics();
    assert_eq!(statistics.len(), 2 * 7);
    for NamedTensor { name, values: biased, .. } in &statistics {
        let side = if name.starts_with("layer3") {
            8
        } else if name.starts_with("layer2") {
            16
        } else {
            32
        };
        let count = (model.batch * side * side) as f32;
        let unbiased = |value: &f32| 0.9 + (value - 0.9) * count / (count - 1.0);
        let expected = match name.ends_with("running_var") {
            true => biased.iter().map(unbiased).collect(),
            false => biased.clone(),
        };
        assert_close(values(&after, name), &expected, 1e-6, name);
    }
}

#[test]
fn first_values_follow_the_seed() {
    let bytes = SMALL.initialize(SEED).unwrap();
    assert_eq!(bytes, SMALL.initialize(SEED).unwrap());
    let (first, other) = (tensors(&bytes), tensors(&SMALL.initialize(Seed(8)).unwrap()));
    let differ: BTreeSet<String> =
        first.iter().zip(&other).filter(|(a, b)| a.values != b.values).map(|(a, _)| a.name.clone()).collect();
    let drawn = names(&first).into_iter().filter(|name| name.contains("conv") || name.starts_with("linear"));
    assert_eq!(differ, drawn.collect());

    // Kaiming's deviation √(2 / fan-in), here over 64 · 32 · 9 values.
    let weight = values(&first, "layer3.0.conv1.weight");
    let deviation = (weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32).sqrt();
    assert!((deviation / (2.0f32 / (32.0 * 9.0)).sqrt() - 1.0).abs() < 0.03, "{deviation}");
    assert!(values(&first, "linear.bias").iter().all(|bias| bias.abs() <= 0.125));
}

/// Recording draws values, too, from the same generator.
#[test]
fn first_values_are_the_same_while_others_record() {
    let expected = SMALL.initialize(SEED).unwrap();
    std::thread::scope(|scope| {
        let recording = scope.spawn(|| (0..20).for_each(|_| drop(SMALL.record().unwrap())));
        while !recording.is_finished() {
            assert!(SMALL.initialize(SEED).unwrap() == expected, "the first values differ");
        }
    });
}

#[test]
fn parameters_have_the_names_and_shapes_of_pytorch() {
    let mut expected: Vec<String> = ["conv1.weight".into()].into_iter().chain(batch_norm("bn1")).collect();
    for block in ["layer1.0", "layer2.0", "layer3.0"] {
        for layer in ["1", "2"] {
            expected.push(format!("{block}.conv{layer}.weight"));
            expected.extend(batch_norm(&format!("{block}.bn{layer}")));
        }
    }
    expected.extend(["linear.weight".into(), "linear.bias".into()]);
    let found: Vec<_> = headers(&SMALL).collect();
    assert_eq!(found.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>(), expected);

    for (name, kind, _) in &found {
        let state = name.contains("running");
        assert_eq!(*kind == ParameterKind::State, state, "{name}");
    }
    let shape = |name: &str| found.iter().find(|(found, ..)| found == name).unwrap().2.clone();
    assert_eq!(shape("conv1.weight"), [16, 1, 3, 3]);
    assert_eq!(shape("layer2.0.conv1.weight"), [32, 16, 3, 3]);
    assert_eq!(shape("layer3.0.bn2.running_var"), [64]);
    assert_eq!(shape("linear.weight"), [10, 64]);
}

fn batch_norm(name: &str) -> [String; 4] {
    ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"))
}

/// He et al. 2016, table 6, give 0.46 M parameters; with shortcuts of option A, in full: 464 154.
#[test]
fn resnet_32_costs_what_its_paper_says() {
    let model = Model { depth: 32, widen: None, image: [3, 32, 32], batch: 4, classes: 10 };
    let Programs { backbone, head, .. } = model.record().unwrap();
    assert_eq!(backbone.header.trainable_values() + head.header.trainable_values(), 464_154);
    let multiply_adds = (backbone.header.multiply_adds + head.header.multiply_adds) / 4;
    assert_eq!(multiply_adds, 68_862_592);
}

#[test]
fn programs_for_two_sizes_of_batch_share_the_parameters_of_a_session() {
    let half = Model { batch: 8, ..SMALL };
    let mut session = SMALL.session(SEED).unwrap();
    let Programs { backbone, head, .. } = half.record().unwrap();
    let evaluation = session.load(&[&backbone, &head]).unwrap();
    train(&mut *session, &SMALL, 0..1);

    let batch = SMALL.batch(SEED);
    let whole = SMALL.logits(&mut *session, &batch).unwrap();
    let [channels, height, width] = SMALL.image;
    let images = &batch.images[..8 * channels * height * width];
    let mut first = half.batch(SEED);
    first.images = images.to_vec();
    let mut logits = [0.0; 80];
    session.forward(evaluation, &first.inputs()[..1], &mut [("logits", &mut logits)]).unwrap();
    assert_close(&logits, &whole[..80], 1e-5, "logits");
}

#[test]
fn a_session_continues_from_what_another_exported_bit_for_bit() {
    let mut whole = SMALL.session(SEED).unwrap();
    train(&mut *whole, &SMALL, 0..4);

    let mut first = SMALL.session(SEED).unwrap();
    train(&mut *first, &SMALL, 0..2);
    let mut second = SMALL.empty_session().unwrap();
    for kind in [TensorKind::Parameters, TensorKind::Optimizer] {
        second.import(kind, &first.export(kind).unwrap()).unwrap();
    }
    drop(first);
    train(&mut *second, &SMALL, 2..4);
    for kind in [TensorKind::Parameters, TensorKind::Optimizer] {
        assert!(whole.export(kind).unwrap() == second.export(kind).unwrap(), "{kind:?} differ");
    }
    assert_eq!(whole.losses().unwrap()[2..], second.losses().unwrap());
}

#[test]
fn two_sessions_know_nothing_of_each_other() {
    let (mut one, mut two) = (SMALL.session(SEED).unwrap(), SMALL.session(SEED).unwrap());
    let before = two.export(TensorKind::Parameters).unwrap();
    train(&mut *one, &SMALL, 0..2);
    assert!(one.export(TensorKind::Parameters).unwrap() != before);
    assert!(two.export(TensorKind::Parameters).unwrap() == before);
    assert_eq!((one.losses().unwrap().len(), two.losses().unwrap().len()), (2, 0));

    // Interleaved and from two threads, each does what it does alone.
    train(&mut *two, &SMALL, 0..1);
    std::thread::scope(|scope| {
        scope.spawn(|| train(&mut *one, &SMALL, 2..4));
        scope.spawn(|| train(&mut *two, &SMALL, 1..4));
    });
    let export = |session: &dyn Session| session.export(TensorKind::Parameters).unwrap();
    assert!(export(&*one) == export(&*two));
}

#[test]
fn gradients_and_evaluation_change_nothing() {
    let (mut session, batch) = (SMALL.session(SEED).unwrap(), SMALL.batch(SEED));
    let before = session.export(TensorKind::Parameters).unwrap();
    session.gradients(TRAINING, &batch.inputs()).unwrap();
    SMALL.logits(&mut *session, &batch).unwrap();
    assert!(session.export(TensorKind::Parameters).unwrap() == before);
}

/// Every plugin counts its tensors for itself, so the same number may mean two tensors of a chain.
#[test]
fn programs_whose_tensor_numbers_overlap_are_linked() {
    let numbers = |program: &Program| -> BTreeSet<u64> {
        let Header { inputs, outputs, parameters, .. } = &program.header;
        let ports = inputs.iter().chain(outputs).map(|port| port.tensor);
        ports.chain(parameters.iter().map(|parameter| parameter.tensor)).collect()
    };
    // A library counts on from one recording to the next, and the backbone has the most tensors.
    let Programs { backbone, mut head, loss } = SMALL.record().unwrap();
    for _ in 0..100_000 {
        if !numbers(&backbone).is_disjoint(&numbers(&head)) {
            break;
        }
        head = plugins().head("linear", &Map::new()).unwrap().record(&SMALL.requests().1).unwrap();
    }
    assert!(!numbers(&backbone).is_disjoint(&numbers(&head)), "nothing is tested");

    let backend = plugins().backend("flex", &Map::new()).unwrap();
    for program in [&backbone, &head, &loss] {
        assert_eq!(backend.missing_operations(program).unwrap(), [""; 0]);
    }
    let (mut other, batch) = (SMALL.session(SEED).unwrap(), SMALL.batch(SEED));
    let mut session = backend.open_session(OPTIMIZER).unwrap();
    session.load(&[&backbone, &head, &loss]).unwrap();
    session.import(TensorKind::Parameters, &other.export(TensorKind::Parameters).unwrap()).unwrap();
    let gradients = |session: &mut dyn Session| session.gradients(TRAINING, &batch.inputs()).unwrap();
    assert!(gradients(&mut *session) == gradients(&mut *other));
}

#[test]
fn programs_that_do_not_join_are_told_apart() {
    let Programs { backbone, head, .. } = SMALL.record().unwrap();
    let linear = plugins().head("linear", &Map::new()).unwrap();
    let other = |batch, features| linear.record(&HeadRequest { batch, features, classes: 10 }).unwrap();
    let check = |programs: &[&Program], message: &str| {
        let mut session = plugins().backend("flex", &Map::new()).unwrap().open_session(OPTIMIZER).unwrap();
        let error = session.load(programs).unwrap_err();
        assert_eq!(error.to_string(), format!("backend `flex`: {message}"));
    };
    check(
        &[&backbone, &other(16, 128)],
        "backbone `resnet` gives `embedding` of 64, head `linear` expects 128",
    );
    check(
        &[&backbone, &other(8, 64)],
        "backbone `resnet` gives `embedding` of 16×64, head `linear` expects 8×64",
    );
    check(&[&backbone, &head, &head], "head `linear` and head `linear` both give `logits`");
}

#[test]
fn what_a_session_lacks_is_named() {
    let mut session = SMALL.empty_session().unwrap();
    let mut values = tensors(&SMALL.initialize(SEED).unwrap());
    let batch = SMALL.batch(SEED);

    let linear = values.iter().position(|tensor| tensor.name == "linear.bias").unwrap();
    let bias = values.remove(linear);
    session.import(TensorKind::Parameters, &to_bytes(&values)).unwrap();
    let message = session.step(TRAINING, &batch.inputs(), LEARNING_RATE).unwrap_err().to_string();
    assert_contains(&message, "parameter `linear.bias` has no value");

    let check = |session: &mut dyn Session, tensor: NamedTensor, message: &str| {
        let error = session.import(TensorKind::Parameters, &to_bytes(&[tensor])).unwrap_err();
        assert_contains(&error.to_string(), message);
    };
    let wrong = NamedTensor { shape: vec![5], values: vec![0.0; 5], ..bias.clone() };
    check(&mut *session, wrong, "tensor `linear.bias` is [5], expected [10]");
    let unknown = NamedTensor { name: "fc.bias".into(), ..bias.clone() };
    check(&mut *session, unknown, "tensor `fc.bias` belongs to no loaded program; expected one of: bn1.bias");
    let error = session.import(TensorKind::Parameters, b"no tensors").unwrap_err();
    assert_contains(&error.to_string(), "no complete safetensors file");

    session.import(TensorKind::Parameters, &to_bytes(&[bias])).unwrap();
    let message = session.step(TRAINING, &batch.inputs()[..2], LEARNING_RATE).unwrap_err().to_string();
    assert_contains(&message, "needs `class_weights`");
    let message = session.step(EVALUATION, &batch.inputs(), LEARNING_RATE).unwrap_err().to_string();
    assert_contains(&message, "it gives no `loss` of one value");
    let message = session.step(2, &batch.inputs(), LEARNING_RATE).unwrap_err().to_string();
    assert_contains(&message, "has loaded 2 programs, and number 2 is asked for");
    let half = Model { batch: 8, ..SMALL }.batch(SEED);
    let message = session.step(TRAINING, &half.inputs(), LEARNING_RATE).unwrap_err().to_string();
    assert_contains(&message, "input `images` is F32 of [8, 1, 28, 28], 6272 values");
    let mut short = [0.0; 3];
    let outputs = &mut [("logits", &mut short[..])];
    let message = session.forward(EVALUATION, &batch.inputs()[..1], outputs).unwrap_err().to_string();
    assert_contains(&message, "output `logits` of 3 values is asked for");

    // None of this has harmed it.
    session.step(TRAINING, &batch.inputs(), LEARNING_RATE).unwrap();
    assert!(session.losses().unwrap()[0].is_finite());
}

/// Steps with a batch of their own each.
fn train(session: &mut dyn Session, model: &Model, steps: std::ops::Range<u64>) {
    for step in steps {
        let batch = model.batch(SEED.derive("step", &[step]));
        session.step(TRAINING, &batch.inputs(), LEARNING_RATE).unwrap();
    }
}

fn parameters(session: &dyn Session) -> Vec<NamedTensor> {
    tensors(&session.export(TensorKind::Parameters).unwrap())
}

/// Name, kind and shape of every parameter, in the order of the model.
fn headers(model: &Model) -> impl Iterator<Item = (String, ParameterKind, Vec<usize>)> {
    let Programs { backbone, head, .. } = model.record().unwrap();
    let parameters = [backbone.header.parameters, head.header.parameters].concat();
    parameters.into_iter().map(|parameter| (parameter.name, parameter.kind, parameter.shape))
}

fn names(tensors: &[NamedTensor]) -> BTreeSet<String> {
    tensors.iter().map(|tensor| tensor.name.clone()).collect()
}

fn values<'a>(tensors: &'a [NamedTensor], name: &str) -> &'a [f32] {
    &tensors.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("`{name}` is missing")).values
}

/// The output of the first layer of the network, by channel.
fn first_convolution(batch: &Batch, parameters: &[NamedTensor]) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let weight = TensorData::new(values(parameters, "conv1.weight").to_vec(), [16, 3, 3, 3]);
    let images = TensorData::new(batch.images.clone(), batch.image_shape);
    let output = conv2d(
        Tensor::<4>::from_data(images, &device),
        Tensor::<4>::from_data(weight, &device),
        None,
        ConvOptions::new([1, 1], [1, 1], [1, 1], 1),
    );
    let by_channel = output.swap_dims(0, 1).into_data().try_to_vec::<f32>().unwrap();
    by_channel.chunks(by_channel.len() / 16).map(<[f32]>::to_vec).collect()
}

/// Mean and unbiased variance of each channel.
fn moments(channels: &[Vec<f32>]) -> (Vec<f64>, Vec<f64>) {
    let moments = channels.iter().map(|values| {
        let count = values.len() as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let squares = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>();
        (mean, squares / (count - 1.0))
    });
    moments.unzip()
}

fn assert_same(found: &[NamedTensor], expected: &[NamedTensor]) {
    assert_eq!(names(found), names(expected));
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.shape, expected.shape, "{}", found.name);
        assert_bits(&found.values, &expected.values, &found.name);
    }
}

fn assert_bits(found: &[f32], expected: &[f32], name: &str) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(bits(found) == bits(expected), "`{name}` differs:\n{found:?}\n{expected:?}");
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let far = (found - expected).abs() > tolerance * expected.abs().max(1.0);
        assert!(!far, "`{name}`: {found} is not {expected}");
    }
}

fn assert_contains(message: &str, part: &str) {
    assert!(message.contains(part), "{message}");
}
