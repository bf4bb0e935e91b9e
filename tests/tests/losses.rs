//! Losses against numbers worked out by hand.

use expanse_program::{LossRequest, TensorData, TensorView, tensors_from_bytes};
use expanse_tests::{model::OPTIMIZER, plugins};
use serde_json::Map;

/// The shipped cross-entropy for two samples of two classes.
fn cross_entropy(logits: [f32; 4], targets: [i64; 2], class_weights: [f32; 2]) -> f32 {
    let loss = plugins().loss("cross-entropy", &Map::new()).unwrap();
    let program = loss.record(&LossRequest { batch: 2, classes: 2, class_counts: vec![3, 1] }).unwrap();
    let mut session = plugins().backend("flex", &Map::new()).unwrap().open_session(OPTIMIZER).unwrap();
    let number = session.load(&[&program]).unwrap();
    let inputs = [
        TensorView { name: "logits", shape: &[2, 2], data: TensorData::F32(&logits) },
        TensorView { name: "targets", shape: &[2], data: TensorData::I64(&targets) },
        TensorView { name: "class_weights", shape: &[2], data: TensorData::F32(&class_weights) },
    ];
    let mut value = [0.0];
    session.forward(number, &inputs, &mut [("loss", &mut value)]).unwrap();
    // A loss has no parameters: in training form it gives the same number and no other gradient.
    let trained = tensors_from_bytes(&session.gradients(number, &inputs).unwrap()).unwrap();
    assert_eq!(
        trained.into_iter().map(|t| (t.name, t.values)).collect::<Vec<_>>(),
        [("loss".into(), value.into())]
    );
    value[0]
}

#[test]
fn cross_entropy_is_the_weighted_mean_over_samples() {
    let check = |found: f32, expected: f64| {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, not {expected}");
    };
    let three = 3f32.ln();
    // p = 1/2 for the first sample's class 0, p = 3/4 for the second's class 1.
    let (first, second) = (2f64.ln(), (4f64 / 3.0).ln());
    let logits = [0.0, 0.0, 0.0, three];
    check(cross_entropy(logits, [0, 1], [1.0, 1.0]), (first + second) / 2.0);
    check(cross_entropy(logits, [0, 1], [1.0, 3.0]), (first + 3.0 * second) / 4.0);
    check(cross_entropy(logits, [1, 1], [1.0, 3.0]), (3.0 * first + 3.0 * second) / 6.0);
    // Logits far apart neither overflow nor become NaN.
    check(cross_entropy([1e4, -1e4, -1e4, 1e4], [0, 1], [1.0, 1.0]), 0.0);
    check(cross_entropy([1e4, -1e4, -1e4, 1e4], [1, 1], [1.0, 1.0]), 1e4);
}
