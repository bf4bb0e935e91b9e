//! Where values lie in blocks of sixteen channels.

use crate::graph::{Binary, Graph, Layout, Node, Op, Value};

/// Gives every value a layout, and inserts what converts between them.
///
/// Convolutions, batch norm and the shortcut work on blocks of sixteen channels; what keeps absent channels at 0
/// takes either layout; everything else is row-major, and so are outputs.
pub(crate) fn assign_layouts(graph: &mut Graph) {
    graph.mark_trained();
    let mut nodes = Vec::new();
    let mut twins = vec![None; graph.values.len()];
    for mut node in std::mem::take(&mut graph.nodes) {
        let (wanted, result) = layouts(graph, &node);
        for (&wanted, input) in wanted.iter().zip(&mut node.inputs) {
            if graph.values[*input].layout != wanted {
                *input = convert(graph, &mut nodes, &mut twins, *input);
            }
        }
        graph.values[node.output].layout = result;
        nodes.push(node);
    }
    for at in 0..graph.outputs.len() {
        let value = graph.outputs[at].tensor as usize;
        if graph.values[value].layout == Layout::Blocked {
            graph.outputs[at].tensor = convert(graph, &mut nodes, &mut twins, value) as u64;
        }
    }
    graph.nodes = nodes;
    graph.mark_trained();
}

/// The layouts that a node wants of its operands, as far as they matter, and that of its output.
fn layouts(graph: &Graph, node: &Node) -> (Vec<Layout>, Layout) {
    use Layout::{Blocked, Plain};
    let value = |at: usize| &graph.values[node.inputs[at]];
    match &node.op {
        // An image that nobody differentiates is converted on the way into the kernel.
        Op::Conv(conv) if conv.groups == 1 => {
            (vec![if value(0).trained { Blocked } else { value(0).layout }], Blocked)
        }
        Op::Norm(_) => (vec![Blocked, Plain, Plain, Plain, Plain, Blocked], Blocked),
        Op::Subsample { .. } => (vec![Blocked], Blocked),
        Op::Bias => (vec![Blocked, Plain], Blocked),
        Op::MeanPixels => (vec![Blocked], Plain),
        Op::Pool(_) => (vec![value(0).layout], value(0).layout),
        Op::Unary(op) if op.keeps_zero() => (vec![value(0).layout], value(0).layout),
        Op::Binary(Binary::Add | Binary::Sub | Binary::Mul) if value(0).shape == value(1).shape => {
            let blocked = value(0).layout == Blocked || value(1).layout == Blocked;
            let layout = if blocked { Blocked } else { Plain };
            (vec![layout; 2], layout)
        }
        _ => (vec![Plain; node.inputs.len()], Plain),
    }
}

fn convert(graph: &mut Graph, nodes: &mut Vec<Node>, twins: &mut Vec<Option<usize>>, value: usize) -> usize {
    twins.resize(graph.values.len(), None);
    if let Some(twin) = twins[value] {
        return twin;
    }
    let Value { shape, layout, trained, .. } = graph.values[value].clone();
    let layout = if layout == Layout::Plain { Layout::Blocked } else { Layout::Plain };
    let twin = graph.add(Value { shape, layout, trained, ..Value::default() });
    nodes.push(Node { op: Op::Reorder, inputs: vec![value], output: twin });
    twins[value] = Some(twin);
    twin
}
