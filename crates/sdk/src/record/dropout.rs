use std::cell::RefCell;

use burn::tensor::Tensor;
use burn_ir::{CustomOpIr, GraphIr, NumericOperationIr, OperationIr, ScalarIr};
use expanse_program::DROPOUT;

use super::recording::tensor_id;

thread_local! {
    /// Tensors of the recording on this thread that are to be dropped from, with the share; `None` while none is made.
    static MARKED: RefCell<Option<Vec<(u64, f64)>>> = const { RefCell::new(None) };
}

/// Dropout: in training, each value is 0 with that probability, and otherwise divided by what is left of 1; in
/// evaluation, and with a probability of 0, nothing is changed.
///
/// burn's own dropout looks at the device and vanishes from a record, so this is what a backbone or head calls.
///
/// Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, *Dropout: A Simple Way to Prevent Neural Networks
/// from Overfitting* (JMLR 2014).
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64) -> Tensor<D> {
    if probability == 0.0 || MARKED.with_borrow(Option::is_none) {
        return x;
    }
    // An operation of its own, which the marker replaces when the graph is complete.
    let marked = x * 1.0;
    if let Ok(id) = tensor_id(&marked) {
        MARKED.with_borrow_mut(|tensors| tensors.get_or_insert_default().push((id, probability)));
    }
    marked
}

/// Runs a recording whose dropouts are remembered.
pub(super) fn remembering<T>(record: impl FnOnce() -> T) -> (T, Vec<(u64, f64)>) {
    MARKED.set(Some(Vec::new()));
    let result = record();
    (result, MARKED.take().unwrap_or_default())
}

/// Puts the markers in their places. A backend that does not know them refuses the program rather than training
/// without dropout.
pub(super) fn place(graph: &mut GraphIr, marked: &[(u64, f64)]) {
    for operation in &mut graph.operations {
        let OperationIr::NumericFloat(_, NumericOperationIr::MulScalar(d)) = operation else { continue };
        if let Some((_, share)) = marked.iter().find(|(id, _)| *id == d.out.id.value()) {
            let scalars = vec![ScalarIr::Float(*share)];
            let (inputs, outputs) = ([d.lhs.clone()], [d.out.clone()]);
            *operation = OperationIr::Custom(CustomOpIr::with_scalars(DROPOUT, &inputs, &outputs, scalars));
        }
    }
}
