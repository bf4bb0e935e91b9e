//! Products of rounded factors, against those of `f32`. What docs/gpu.md tells is printed.

#![allow(clippy::print_stdout, reason = "the documentation has these numbers")]

use burn_flex::{Flex, FlexDevice};
use expanse_domain::Seed;
use expanse_engine::{Kind, Session};
use expanse_program::NamedTensor;
use expanse_sdk::Precision;
use expanse_tests::model::{LEARNING_RATE, Model, OPTIMIZER, Programs, TRAINING, tensors};

const SEED: Seed = Seed(3);
const MODEL: Model = Model { depth: 8, image: [3, 8, 8], batch: 16, classes: 10, widen: None };

fn session(precision: Precision) -> Session<Flex> {
    let mut session = Session::new(FlexDevice, OPTIMIZER).with_products_in(precision.into());
    let Programs { backbone, head, loss } = MODEL.record().unwrap();
    assert_eq!(session.load(&[backbone, head, loss]).unwrap(), TRAINING);
    session.import(Kind::Parameters, &MODEL.initialize(SEED).unwrap()).unwrap();
    session
}

/// The distance of all gradients together, relative to their norm.
fn distance(found: &[NamedTensor], expected: &[NamedTensor]) -> f64 {
    let all = |tensors: &[NamedTensor]| -> Vec<f64> {
        let gradients = tensors.iter().filter(|tensor| tensor.name != "loss");
        gradients.flat_map(|tensor| tensor.values.iter().copied().map(f64::from)).collect()
    };
    let (found, expected) = (all(found), all(expected));
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(&expected).map(|(found, expected)| found - expected));
    difference / norm(&mut expected.iter().copied())
}

#[test]
fn gradients_are_as_far_from_those_of_f32_as_docs_say() {
    let batch = MODEL.batch(SEED);
    let gradients = |precision| tensors(&session(precision).gradients(TRAINING, &batch.inputs()).unwrap());
    let expected = gradients(Precision::F32);
    for (precision, least, most) in [(Precision::BF16, 1e-3, 0.2), (Precision::F16, 1e-4, 0.1)] {
        let found = gradients(precision);
        let distance = distance(&found, &expected);
        println!("{precision:?}: {distance:.2e}");
        assert!((least..most).contains(&distance), "{precision:?}: {distance}");
        assert!(found.iter().flat_map(|tensor| &tensor.values).all(|value| value.is_finite()));
    }
}

#[test]
fn what_is_rounded_learns_as_well() {
    let losses = |precision| {
        let mut session = session(precision);
        for step in 0..30 {
            session.step(TRAINING, &MODEL.batch(Seed(step % 2)).inputs(), LEARNING_RATE / 10.0).unwrap();
        }
        session.losses().unwrap()
    };
    let expected = losses(Precision::F32);
    let last = |losses: &[f32]| losses[28..].iter().sum::<f32>() / 2.0;
    assert!(last(&expected) < 0.5 * expected[0], "nothing is learned: {expected:?}");
    for precision in [Precision::BF16, Precision::F16] {
        let found = losses(precision);
        println!("{precision:?}: {} and {}", last(&found), last(&expected));
        assert!((last(&found) / last(&expected) - 1.0).abs() < 0.1, "{precision:?}: {found:?}\n{expected:?}");
    }
}
