//! Programs recorded by the sdk and refused or run by the engine, in one process.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor},
};
use burn_flex::{Flex, FlexDevice};
use expanse_engine::{EngineError, Kind, Session, missing_operations};
use expanse_program::{
    NamedTensor, Optimizer, Program, TensorData, TensorView, tensors_from_bytes, tensors_to_bytes,
};
use expanse_sdk::{Recording, record};

#[derive(Module, Debug)]
struct Scale {
    factor: Param<Tensor<1>>,
}

fn program(forward: impl FnOnce(&Scale, &mut Recording<'_>)) -> Program {
    let scale = Scale { factor: Initializer::Ones.init([2], &Device::flex()) };
    record("head `scale`".into(), scale, forward).unwrap()
}

fn session() -> Session<Flex> {
    Session::new(FlexDevice, Optimizer::sgd(0.0, 0.0))
}

/// x ↦ Σ (factor · x + constant)².
fn squares() -> Program {
    program(|scale, recording| {
        let x: Tensor<2> = recording.input("x", [3, 2]);
        let constant = Tensor::<2>::from_floats([[1.0, 2.0]], &x.device());
        let y = x * scale.factor.val().unsqueeze() + constant;
        recording.output("loss", &(y.clone() * y).sum());
    })
}

#[test]
fn an_operation_that_the_engine_lacks_is_named_at_load() {
    let program = program(|scale, recording| {
        let x: Tensor<2> = recording.input("x", [3, 2]);
        recording.output("y", &(x.clone().erf() + x.erf() * scale.factor.val().unsqueeze()));
    });
    assert_eq!(missing_operations::<Flex>(&program, &FlexDevice).unwrap(), ["Float::Erf"]);
    let error = session().load(&[program]).unwrap_err().to_string();
    assert_eq!(error, "head `scale` uses operations that this backend lacks: Float::Erf");
    assert!(missing_operations::<Flex>(&squares(), &FlexDevice).unwrap().is_empty());
}

#[test]
fn constants_and_parameters_are_bound_and_the_gradient_is_right() {
    let mut session = session();
    let number = session.load(&[squares()]).unwrap();
    let factor = NamedTensor { name: "factor".into(), shape: vec![2], values: vec![2.0, -1.0] };
    session.import(Kind::Parameters, &tensors_to_bytes(&[factor]).unwrap()).unwrap();
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let input = [TensorView { name: "x", shape: &[3, 2], data: TensorData::F32(&x) }];
    // By hand: y = 2x₁ + 1 = 3, 7, 11 and −x₂ + 2 = 0, −2, −4; Σ y² = 179 + 20; d/d factor = Σ 2·y·x.
    let mut loss = [0.0];
    session.forward(number, &input, &mut [("loss", &mut loss)]).unwrap();
    assert_eq!(loss, [199.0]);
    let gradients = tensors_from_bytes(&session.gradients(number, &input).unwrap()).unwrap();
    let gradients: Vec<_> = gradients.into_iter().map(|t| (t.name, t.values)).collect();
    let factor = vec![2.0 * (3.0 + 21.0 + 55.0), 2.0 * (-8.0 - 24.0)];
    assert_eq!(gradients, [("factor".into(), factor), ("loss".into(), vec![199.0])]);
}

#[test]
fn finite_differences_agree_with_the_gradient() {
    let mut session = session();
    let number = session.load(&[squares()]).unwrap();
    let x = [0.3, -0.7, 0.9, 0.2, -0.4, 0.8];
    let input = [TensorView { name: "x", shape: &[3, 2], data: TensorData::F32(&x) }];
    let mut loss_at = |values: [f32; 2]| {
        let factor = NamedTensor { name: "factor".into(), shape: vec![2], values: values.into() };
        session.import(Kind::Parameters, &tensors_to_bytes(&[factor]).unwrap()).unwrap();
        let tensors = tensors_from_bytes(&session.gradients(number, &input).unwrap()).unwrap();
        let named = |name: &str| tensors.iter().find(|t| t.name == name).unwrap().values.clone();
        (named("loss")[0], named("factor"))
    };
    let (_, gradient) = loss_at([0.5, 1.5]);
    for (index, expected) in gradient.into_iter().enumerate() {
        let mut step = [0.0; 2];
        step[index] = 0.01;
        let (up, _) = loss_at([0.5 + step[0], 1.5 + step[1]]);
        let (down, _) = loss_at([0.5 - step[0], 1.5 - step[1]]);
        let measured = (up - down) / 0.02;
        assert!((measured - expected).abs() < 1e-2 * expected.abs().max(1.0), "{measured} {expected}");
    }
}

#[test]
fn what_cannot_be_trained_or_decoded_says_so() {
    let plain = program(|scale, recording| {
        let x: Tensor<2> = recording.input("x", [3, 2]);
        recording.output("y", &(x * scale.factor.val().unsqueeze()));
    });
    let mut session = session();
    let number = session.load(std::slice::from_ref(&plain)).unwrap();
    let x = [0.0; 6];
    let input = [TensorView { name: "x", shape: &[3, 2], data: TensorData::F32(&x) }];
    assert!(matches!(session.step(number, &input, 0.1), Err(EngineError::NoLoss { .. })));
    assert!(matches!(session.step(9, &input, 0.1), Err(EngineError::NoProgram { number: 9, loaded: 1 })));

    // Random bytes that carry a right hash are no graph.
    let garbled = Program::seal(plain.header, vec![0xff; 64], Vec::new());
    let error = session.load(&[garbled]).unwrap_err().to_string();
    assert!(error.contains("the graph of head `scale` cannot be decoded"), "{error}");
}
