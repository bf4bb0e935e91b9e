//! Several devices that share every batch, against one device that has all of it.

use burn_flex::{Flex, FlexDevice};
use expanse_domain::Seed;
use expanse_engine::{Kind, Parallel, Running, Session};
use expanse_program::{
    BackboneRequest, HeadRequest, LossRequest, NamedTensor, Program, TensorData, TensorView,
};
use expanse_tests::{
    model::{Batch, EVALUATION, Model, OPTIMIZER, Programs, TRAINING, tensors},
    plugins,
};
use serde_json::{Map, json};

const SEED: Seed = Seed(11);
const STEPS: u64 = 50;
const LEARNING_RATE: f64 = 0.02;

fn parallel(devices: usize) -> Parallel<Flex> {
    Parallel::new(one(), (1..devices).map(|_| one())).unwrap()
}

fn one() -> Session<Flex> {
    Session::new(FlexDevice, OPTIMIZER)
}

/// The largest distance, relative to the value or to 1.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs.map(|(found, expected)| (found - expected).abs() / expected.abs().max(1.0)).fold(0.0, f32::max)
}

/// A head of two layers without batch norm.
struct Perceptron;

impl Perceptron {
    const FEATURES: usize = 24;
    const CLASSES: usize = 5;

    fn programs(batch: usize) -> [Program; 2] {
        let head = HeadRequest { batch, features: Self::FEATURES, classes: Self::CLASSES };
        let loss = LossRequest { batch, classes: Self::CLASSES, class_counts: vec![9; Self::CLASSES] };
        [
            plugins().head("mlp", &Map::new()).unwrap().record(&head).unwrap(),
            plugins().loss("cross-entropy", &Map::new()).unwrap().record(&loss).unwrap(),
        ]
    }

    fn load(session: &mut dyn Running, batch: usize) {
        let request = HeadRequest { batch, features: Self::FEATURES, classes: Self::CLASSES };
        let head = plugins().head("mlp", &Map::new()).unwrap();
        session.load(&Self::programs(batch)).unwrap();
        session.import(Kind::Parameters, &head.initialize(&request, SEED).unwrap()).unwrap();
    }

    fn with_batch<T>(batch: usize, number: u64, work: impl FnOnce(&[TensorView<'_>; 3]) -> T) -> T {
        let mut rng = SEED.derive("embeddings", &[number]).rng();
        let embeddings: Vec<f32> = (0..batch * Self::FEATURES).map(|_| 2.0 * rng.unit_f32() - 1.0).collect();
        // What can be learned: the class is where the largest of the first values is.
        let largest = |row: &[f32]| (0..Self::CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let targets: Vec<i64> = embeddings.chunks(Self::FEATURES).map(|row| largest(row) as i64).collect();
        let view = |name, shape, data| TensorView { name, shape, data };
        work(&[
            view("embedding", &[batch, Self::FEATURES], TensorData::F32(&embeddings)),
            view("targets", &[batch], TensorData::I64(&targets)),
            view("class_weights", &[Self::CLASSES], TensorData::F32(&[1.0; Self::CLASSES])),
        ])
    }

    /// The losses of fifty steps, each on a batch of its own, and what is exported behind them.
    fn train(session: &mut dyn Running, batch: usize) -> (Vec<f32>, [Vec<NamedTensor>; 2]) {
        for number in 0..STEPS {
            Self::with_batch(batch, number, |inputs| session.step(0, inputs, LEARNING_RATE)).unwrap();
        }
        let exported =
            [Kind::Parameters, Kind::Optimizer].map(|kind| tensors(&session.export(kind).unwrap()));
        (session.losses().unwrap(), exported)
    }
}

#[test]
fn fifty_steps_without_batch_norm_are_those_of_one_device() {
    let batch = 24;
    let mut session = one();
    Perceptron::load(&mut session, batch);
    let (expected, expected_tensors) = Perceptron::train(&mut session, batch);
    assert!(expected[STEPS as usize - 1] < 0.8 * expected[0], "nothing is learned: {expected:?}");
    for devices in [1, 2, 3] {
        let mut session = parallel(devices);
        Perceptron::load(&mut session, batch / devices);
        let (found, found_tensors) = Perceptron::train(&mut session, batch);
        assert!(distance(&found, &expected) < 1e-5, "{devices} devices: {found:?}\n{expected:?}");
        for (found, expected) in found_tensors.iter().zip(&expected_tensors) {
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.name, expected.name);
                assert!(distance(&found.values, &expected.values) < 1e-5, "{devices}, {}", found.name);
            }
        }
        assert!(session.losses().unwrap().is_empty());
    }
}

#[test]
fn a_batch_without_equal_parts_is_left_to_the_first_device_and_all_follow() {
    let mut session = parallel(3);
    let mut expected = one();
    Perceptron::load(&mut session, 8);
    Perceptron::load(&mut expected, 24);
    let parts = session.load(&Perceptron::programs(7)).unwrap();
    assert_eq!(expected.load(&Perceptron::programs(7)).unwrap(), parts);
    for number in 0..6 {
        let (batch, program) = if number % 2 == 0 { (24, 0) } else { (7, parts) };
        Perceptron::with_batch(batch, number, |inputs| {
            session.step(program, inputs, LEARNING_RATE).unwrap();
            expected.step(program, inputs, LEARNING_RATE).unwrap();
        });
    }
    assert!(distance(&session.losses().unwrap(), &expected.losses().unwrap()) < 1e-5);
    Perceptron::with_batch(24, 9, |inputs| {
        let all = |session: &mut dyn Running| tensors(&session.gradients(0, inputs).unwrap());
        for (found, expected) in all(&mut session).iter().zip(&all(&mut expected)) {
            assert_eq!(found.name, expected.name);
            assert!(distance(&found.values, &expected.values) < 1e-5, "{}", found.name);
        }
    });
}

const WHOLE: Model = Model { depth: 8, image: [3, 16, 16], batch: 16, classes: 10, widen: None };

fn load(session: &mut dyn Running, model: &Model) {
    let Programs { backbone, head, loss } = model.record().unwrap();
    let evaluation = [backbone.clone(), head.clone()];
    assert_eq!(session.load(&[backbone, head, loss]).unwrap(), TRAINING);
    assert_eq!(session.load(&evaluation).unwrap(), EVALUATION);
    session.import(Kind::Parameters, &model.initialize(SEED).unwrap()).unwrap();
}

fn batch(seed: u64) -> Batch {
    let mut batch = WHOLE.batch(Seed(seed));
    batch.class_weights.fill(1.0);
    batch
}

/// A batch whose second half is its first: each half has the mean and the variance of the whole.
fn doubled(seed: u64) -> Batch {
    let mut batch = batch(seed);
    let (images, targets) = (batch.images.len() / 2, batch.targets.len() / 2);
    batch.images.copy_within(..images, images);
    batch.targets.copy_within(..targets, targets);
    batch
}

#[test]
fn fifty_steps_with_batch_norm_are_those_of_one_device_where_the_parts_have_the_same_statistics() {
    let (mut found, mut expected) = (parallel(2), one());
    load(&mut found, &Model { batch: WHOLE.batch / 2, ..WHOLE });
    load(&mut expected, &WHOLE);
    for step in 0..STEPS {
        let batch = doubled(step % 4);
        found.step(TRAINING, &batch.inputs(), 1e-3).unwrap();
        expected.step(TRAINING, &batch.inputs(), 1e-3).unwrap();
    }
    let (losses, expected_losses) = (found.losses().unwrap(), expected.losses().unwrap());
    assert!(distance(&losses, &expected_losses) < 1e-5, "{losses:?}\n{expected_losses:?}");
    assert!(losses[STEPS as usize - 1] < losses[0], "nothing is learned: {losses:?}");

    let batch = batch(77);
    let logits = |session: &mut dyn Running| {
        let mut logits = vec![f32::NAN; WHOLE.batch * WHOLE.classes];
        session.forward(EVALUATION, &batch.inputs()[..1], &mut [("logits", &mut logits)]).unwrap();
        logits
    };
    let distance = distance(&logits(&mut found), &logits(&mut expected));
    assert!(distance < 1e-3, "{distance}");
}

/// The first batch norm sees what does not depend on how the batch is divided.
#[test]
fn running_statistics_are_those_of_the_whole_batch() {
    let statistics = |session: &mut dyn Running| {
        session.step(TRAINING, &batch(1).inputs(), 0.0).unwrap();
        let mut tensors = tensors(&session.export(Kind::Parameters).unwrap());
        tensors.retain(|tensor| !tensor.name.contains("layer") && tensor.name.contains("running"));
        tensors
    };
    let (mut found, mut expected) = (parallel(2), one());
    load(&mut found, &Model { batch: WHOLE.batch / 2, ..WHOLE });
    load(&mut expected, &WHOLE);
    let (found, expected) = (statistics(&mut found), statistics(&mut expected));
    assert_eq!((found.len(), expected.len()), (2, 2), "mean and variance: {expected:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.name, expected.name);
        assert!(distance(&found.values, &expected.values) < 1e-6, "{found:?}\n{expected:?}");
    }
}

/// Two devices with the same half of a batch are one device with that half, to the byte, if they drop out alike.
#[test]
fn devices_drop_out_by_the_same_masks() {
    let losses = |mut session: Box<dyn Running>, batch: &Batch, dropout: f64| {
        let options = json!({ "depth": 10, "widen": 1, "width": 4, "dropout": dropout });
        let backbone = plugins().backbone("wide-resnet", options.as_object().unwrap()).unwrap();
        let [channels, height, width] = WHOLE.image;
        let request = BackboneRequest { batch: WHOLE.batch / 2, channels, height, width };
        let program = backbone.record(&request).unwrap();
        let features = program.header.output("embedding").unwrap().shape[1];
        let head_request = HeadRequest { batch: WHOLE.batch / 2, features, classes: WHOLE.classes };
        let head = plugins().head("linear", &Map::new()).unwrap();
        let loss = LossRequest {
            batch: WHOLE.batch / 2,
            classes: WHOLE.classes,
            class_counts: vec![1; WHOLE.classes],
        };
        let loss = plugins().loss("cross-entropy", &Map::new()).unwrap().record(&loss).unwrap();
        session.load(&[program, head.record(&head_request).unwrap(), loss]).unwrap();
        for parameters in
            [backbone.initialize(&request, SEED).unwrap(), head.initialize(&head_request, SEED).unwrap()]
        {
            session.import(Kind::Parameters, &parameters).unwrap();
        }
        (0..5).for_each(|_| session.step(TRAINING, &batch.inputs(), 0.05).unwrap());
        session.losses().unwrap()
    };
    let (whole, mut half) = (doubled(3), Model { batch: WHOLE.batch / 2, ..WHOLE }.batch(SEED));
    half.images = whole.images[..half.images.len()].to_vec();
    half.targets = whole.targets[..half.targets.len()].to_vec();
    half.class_weights.clone_from(&whole.class_weights);
    let expected = losses(Box::new(one()), &half, 0.5);
    assert_eq!(losses(Box::new(parallel(2)), &whole, 0.5), expected);
    assert_ne!(losses(Box::new(one()), &half, 0.0), expected, "nothing was dropped");
}

#[test]
fn the_same_devices_give_the_same_bytes() {
    let trained = || {
        let mut session = parallel(2);
        load(&mut session, &Model { batch: WHOLE.batch / 2, ..WHOLE });
        (0..3).for_each(|step| session.step(TRAINING, &batch(step).inputs(), 0.1).unwrap());
        session.export(Kind::Parameters).unwrap()
    };
    assert!(trained() == trained());
}

#[test]
fn an_error_of_a_part_is_the_error_of_the_step() {
    let mut session = parallel(2);
    load(&mut session, &Model { batch: WHOLE.batch / 2, ..WHOLE });
    let batch = batch(1);
    let mut inputs = batch.inputs().to_vec();
    inputs.pop();
    let error = session.step(TRAINING, &inputs, 0.1).unwrap_err().to_string();
    assert!(error.contains("class_weights"), "{error}");
    let images = TensorView { data: TensorData::F32(&batch.images[1..]), ..batch.inputs()[0] };
    let error = session.forward(EVALUATION, &[images], &mut []).unwrap_err().to_string();
    assert!(error.contains("images"), "{error}");
}
