//! The compiled CPU backend against the engine on burn's `flex`, in one process.

use burn_flex::{Flex, FlexDevice};
use expanse_cpu::{Isa, Team};
use expanse_domain::Seed;
use expanse_engine::Kind;
use expanse_program::{NamedTensor, Program};
use expanse_tests::model::{Batch, EVALUATION, LEARNING_RATE, Model, OPTIMIZER, Programs, TRAINING, tensors};

const SEED: Seed = Seed(7);
const SMALL: Model = Model { depth: 8, image: [1, 28, 28], batch: 16, classes: 10 };
const MODELS: [Model; 4] = [
    SMALL,
    Model { image: [3, 32, 32], batch: 20, ..SMALL },
    Model { depth: 20, image: [3, 32, 32], ..SMALL },
    Model { image: [2, 19, 13], batch: 3, ..SMALL },
];

type Reference = expanse_engine::Session<Flex>;

fn programs(model: &Model) -> [Vec<Program>; 2] {
    let Programs { backbone, head, loss } = model.record().unwrap();
    [vec![backbone.clone(), head.clone(), loss], vec![backbone, head]]
}

fn session(model: &Model, threads: usize, isa: Isa) -> expanse_cpu::Session {
    let mut session = expanse_cpu::Session::new(Team::with_isa(threads, isa).unwrap(), OPTIMIZER);
    let [training, evaluation] = programs(model);
    assert_eq!(session.load(&training).unwrap(), TRAINING);
    assert_eq!(session.load(&evaluation).unwrap(), EVALUATION);
    session.import(Kind::Parameters, &model.initialize(SEED).unwrap()).unwrap();
    session
}

fn reference(model: &Model) -> Reference {
    let mut session = Reference::new(FlexDevice, OPTIMIZER);
    let [training, evaluation] = programs(model);
    session.load(&training).unwrap();
    session.load(&evaluation).unwrap();
    session.import(Kind::Parameters, &model.initialize(SEED).unwrap()).unwrap();
    session
}

#[test]
fn loss_and_every_gradient_are_those_of_flex() {
    for model in MODELS {
        let batch = model.batch(SEED);
        let expected = tensors(&reference(&model).gradients(TRAINING, &batch.inputs()).unwrap());
        for isa in Isa::available() {
            let found = tensors(&session(&model, 2, isa).gradients(TRAINING, &batch.inputs()).unwrap());
            assert_close(&found, &expected, 1e-3, isa);
        }
    }
}

/// Every tensor's distance in the Euclidean norm, relative to its own.
fn assert_close(found: &[NamedTensor], expected: &[NamedTensor], tolerance: f64, isa: Isa) {
    let names = |tensors: &[NamedTensor]| tensors.iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (found, expected) in found.iter().zip(expected) {
        let distance = found.values.iter().zip(&expected.values).map(|(a, b)| f64::from(a - b).powi(2));
        let distance = distance.sum::<f64>().sqrt();
        let size = expected.values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let name = &found.name;

        assert!(distance <= tolerance * size, "{isa:?}: `{name}` is {distance} away of {size}");
    }
}
