use expanse_host::HostError;
use expanse_program::{DType, Header, Parameter, TensorView};

use super::*;

/// loss = Σ wᵢ³ / 3 for one parameter, whose gradient wᵢ² is falsified as asked.
struct Cubes {
    weights: Vec<f32>,
    falsify: fn(usize, f32) -> f32,
}

impl Session for Cubes {
    fn load(&mut self, _: &[&Program]) -> Result<usize, HostError> {
        Ok(0)
    }

    fn import(&mut self, _: TensorKind, tensors: &[u8]) -> Result<(), HostError> {
        self.weights = decoded(tensors).unwrap().remove(0).values;
        Ok(())
    }

    fn export(&self, _: TensorKind) -> Result<Vec<u8>, HostError> {
        Ok(Vec::new())
    }

    fn step(&mut self, _: usize, _: &[TensorView<'_>], _: f64) -> Result<(), HostError> {
        Ok(())
    }

    fn losses(&mut self) -> Result<Vec<f32>, HostError> {
        Ok(Vec::new())
    }

    fn forward(
        &mut self,
        _: usize,
        _: &[TensorView<'_>],
        _: &mut [(&str, &mut [f32])],
    ) -> Result<(), HostError> {
        Ok(())
    }

    fn gradients(&mut self, _: usize, _: &[TensorView<'_>]) -> Result<Vec<u8>, HostError> {
        let loss = self.weights.iter().map(|w| w.powi(3) / 3.0).sum();
        let gradient = self.weights.iter().enumerate().map(|(at, w)| (self.falsify)(at, w * w)).collect();
        let tensor = |name: &str, values: Vec<f32>| NamedTensor {
            name: name.into(),
            shape: vec![values.len()],
            values,
        };
        Ok(encoded(&[tensor("loss", vec![loss]), tensor("w", gradient)]).unwrap())
    }
}

fn check(falsify: fn(usize, f32) -> f32) -> Result<(), String> {
    let values = vec![0.5, -0.8, 1.1, 0.3];
    let header = Header {
        dialect: String::new(),
        source: "loss `cubes`".into(),
        sha256: String::new(),
        inputs: vec![],
        outputs: vec![expanse_program::Port {
            name: "loss".into(),
            shape: vec![1],
            dtype: DType::F32,
            tensor: 0,
            meaning: None,
        }],
        parameters: vec![Parameter {
            name: "w".into(),
            shape: vec![4],
            kind: ParameterKind::Trainable,
            tensor: 1,
        }],
        usual_names: Default::default(),
        constants: vec![],
        multiply_adds: 0,
    };
    let model = Model {
        programs: vec![Program::seal(header, Vec::new(), Vec::new())],
        values: vec![NamedTensor { name: "w".into(), shape: vec![4], values: values.clone() }],
    };
    let inputs = Inputs::new(&[], 1, Seed(0));
    super::check(&mut Cubes { weights: values, falsify }, &model, &inputs).map_err(|reason| match reason {
        Reason::Failed(why) | Reason::NotApplicable(why) => why,
    })
}

#[test]
fn a_right_gradient_passes_and_wrong_ones_are_found() {
    check(|_, g| g).unwrap();
    let wrong = [
        check(|_, g| 1.1 * g),
        check(|_, g| -g),
        check(|_, _| 0.0),
        check(|at, g| if at == 1 { 0.0 } else { g }),
        check(|at, g| if at == 0 { g + 0.2 } else { g }),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        let why = wrong.expect_err(&format!("wrong gradient {number} passes"));
        assert!(why.contains("the slope of the loss along"), "{why}");
    }
    assert!(check(|_, _| f32::NAN).unwrap_err().contains("is not finite"));
}
