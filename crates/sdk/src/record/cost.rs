use burn_ir::{FloatOperationIr, GraphIr, ModuleOperationIr, OperationIr};

/// Multiply–add operations of convolutions and matrix products, the way papers count the cost of a network.
pub(super) fn multiply_adds(graph: &GraphIr) -> u64 {
    graph.operations.iter().map(operation).sum()
}

fn operation(operation: &OperationIr) -> u64 {
    let last = |shape: &[usize]| shape.last().copied().unwrap_or(1);
    let (outputs, inner) = match operation {
        OperationIr::Module(ModuleOperationIr::Conv2d(d)) => {
            (d.out.shape.num_elements(), d.weight.shape[1..].iter().product())
        }
        OperationIr::Module(ModuleOperationIr::Linear(d)) => (d.out.shape.num_elements(), last(&d.x.shape)),
        OperationIr::Float(_, FloatOperationIr::Matmul(d)) => {
            (d.out.shape.num_elements(), last(&d.lhs.shape))
        }
        _ => (0, 0),
    };
    outputs as u64 * inner as u64
}
