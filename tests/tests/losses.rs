//! Losses against numbers worked out by hand, and against PyTorch's.

use expanse_host::Kind;
use expanse_program::{LossRequest, TensorData, TensorView, tensors_from_bytes};
use expanse_tests::{
    model::OPTIMIZER,
    plugins,
    table::{self, set_logits, table},
};
use serde::Deserialize;
use serde_json::{Map, Value};

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

/// Value and gradient by the logits of a shipped loss.
fn value_and_gradient(golden: &Golden, case: &Case) -> (f64, Vec<f32>) {
    let (batch, classes) = (golden.targets.len(), golden.class_counts.len());
    let loss = plugins().loss(&case.loss, &case.options).unwrap();
    let loss =
        loss.record(&LossRequest { batch, classes, class_counts: golden.class_counts.clone() }).unwrap();
    let mut session = plugins().backend("flex", &Map::new()).unwrap().open_session(OPTIMIZER).unwrap();
    let number = session.load(&[&table(batch, classes, &loss), &loss]).unwrap();
    set_logits(&mut *session, batch, classes, &case.logits);
    let inputs = [
        TensorView { name: "targets", shape: &[batch], data: TensorData::I64(&golden.targets) },
        TensorView { name: "class_weights", shape: &[classes], data: TensorData::F32(&case.class_weights) },
    ];
    table::value_and_gradient(&session.gradients(number, &inputs).unwrap())
}

#[derive(Deserialize)]
struct Golden {
    class_counts: Vec<u64>,
    targets: Vec<i64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    loss: String,
    options: Map<String, Value>,
    class_weights: Vec<f32>,
    logits: Vec<f32>,
    value: f64,
    gradient: Vec<f64>,
}

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/losses.json")).unwrap();
    for case in &golden.cases {
        let (value, gradient) = value_and_gradient(&golden, case);
        let what = format!("{} with {:?}, logits from {}", case.loss, case.options, case.logits[0]);
        let close = |found: f64, expected: f64, scale: f64| (found - expected).abs() <= 1e-4 * scale;
        // A loss of nearly nothing is compared with the size of one wrong sample's.
        assert!(close(value, case.value, case.value.abs().max(1e-2)), "{what}: {value}, not {}", case.value);
        let scale = case.gradient.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
        assert_eq!(gradient.len(), case.gradient.len());
        for (&found, &expected) in gradient.iter().zip(&case.gradient) {
            assert!(close(found.into(), expected, scale), "{what}: gradient {found}, not {expected}");
        }
    }
    // Every shipped loss is among them.
    for found in plugins().list().into_iter().filter(|found| found.kind == Kind::Loss) {
        let name = found.name.replace('_', "-");
        assert!(golden.cases.iter().any(|case| case.loss == name), "there are no golden values of `{name}`");
    }
}

#[test]
fn a_class_without_samples_is_told_by_the_losses_that_count() {
    for name in ["ldam", "balanced-softmax", "logit-adjustment"] {
        let request = LossRequest { batch: 2, classes: 2, class_counts: vec![3, 0] };
        let error = plugins().loss(name, &Map::new()).unwrap().record(&request).unwrap_err().to_string();
        assert!(error.contains("class 1 has no samples"), "{error}");
    }
}
