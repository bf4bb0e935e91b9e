//! Logits that are parameters, so that a session tells the gradient of a loss by them.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor},
};
use expanse_host::TensorKind;
use expanse_program::{NamedTensor, Program};
use expanse_sdk::record;

use crate::model::{tensors, to_bytes};

#[derive(Module, Debug)]
struct Table {
    logits: Param<Tensor<2>>,
}

/// Its only parameter is `logits`, which it hands on, as values of the kind that the loss takes.
///
/// # Panics
///
/// If the loss takes no logits.
pub fn table(batch: usize, classes: usize, loss: &Program) -> Program {
    let table = Table { logits: Initializer::Zeros.init([batch, classes], &Device::flex()) };
    let program = record("head `table`".into(), table, |table, recording| {
        recording.output("logits", &(table.logits.val() * 1.0));
        let logits = loss.header.input("logits").expect("a loss takes logits");
        recording.mean("logits", logits.meaning.clone());
    });
    program.expect("a product can be recorded")
}

/// Sets the logits of a table of that size.
///
/// # Panics
///
/// If the session has no such table.
pub fn set_logits(session: &mut dyn expanse_host::Session, batch: usize, classes: usize, values: &[f32]) {
    let logits = NamedTensor { name: "logits".into(), shape: vec![batch, classes], values: values.to_vec() };
    session.import(TensorKind::Parameters, &to_bytes(&[logits])).expect("the table has these logits");
}

/// The value of a loss and its gradient by the logits, of what a session tells of gradients.
///
/// # Panics
///
/// If it tells none.
pub fn value_and_gradient(gradients: &[u8]) -> (f64, Vec<f32>) {
    let found = tensors(gradients);
    let values = |name: &str| {
        let tensor = found.iter().find(|tensor| tensor.name == name);
        tensor.expect("a loss and the gradient by the logits").values.clone()
    };
    (f64::from(values("loss")[0]), values("logits"))
}
