//! Several nodes become one: batch norm takes in what follows it, and patterns get an operation of their own.

use crate::graph::{Binary, Graph, Node, NodeId, Op, Reduce, Unary};

/// Rewrites the graph; what it computes stays the same.
pub(crate) fn fuse(graph: &mut Graph) {
    subsample(graph);
    mean_pixels(graph);
    while absorb_into_norm(graph) {}
    remove_unread(graph);
}

/// norm → add → relu becomes one node, where nobody else reads what lies between.
fn absorb_into_norm(graph: &mut Graph) -> bool {
    let uses = graph.uses();
    for id in 0..graph.nodes.len() {
        let Op::Norm(norm) = &graph.nodes[id].op else { continue };
        let output = graph.nodes[id].output;
        let Some(next) = only_reader(graph, &uses, id) else { continue };
        let mut fused = graph.nodes[id].clone();
        let mut norm = norm.clone();
        match &graph.nodes[next] {
            Node { op: Op::Unary(Unary::Relu), .. } if !norm.relu => norm.relu = true,
            Node { op: Op::Binary(Binary::Add), inputs, .. } if !norm.relu && !norm.residual => {
                let other = if inputs[0] == output { inputs[1] } else { inputs[0] };
                if graph.values[other].shape != graph.values[output].shape {
                    continue;
                }
                norm.residual = true;
                fused.inputs.push(other);
            }
            _ => continue,
        }
        // The fused node stands where the later one stood: its residual may be computed in between.
        fused.op = Op::Norm(norm);
        fused.output = graph.nodes[next].output;
        graph.nodes[next] = fused;
        graph.nodes.remove(id);
        return true;
    }
    false
}

/// The node that alone reads the output of another, once.
fn only_reader(graph: &Graph, uses: &[usize], id: NodeId) -> Option<NodeId> {
    let output = graph.nodes[id].output;
    if uses[output] != 1 {
        return None;
    }
    graph.nodes.iter().position(|node| node.inputs.contains(&output))
}

/// Slices of rows and columns between channels of zeros: the parameter-free shortcut of ResNet.
fn subsample(graph: &mut Graph) {
    let producers = graph.producers();
    for id in 0..graph.nodes.len() {
        let Node { op: Op::Cat { axis: 1 }, inputs, output } = &graph.nodes[id] else { continue };
        let zeros = |value: usize| matches!(producers[value].map(|id| &graph.nodes[id].op), Some(Op::Fill(value)) if *value == 0.0);
        let solid: Vec<usize> = (0..inputs.len()).filter(|&at| !zeros(inputs[at])).collect();
        let [at] = solid[..] else { continue };
        let before = inputs[..at].iter().map(|&value| graph.values[value].shape[1]).sum();
        let (mut source, mut step) = (inputs[at], [1, 1]);
        while let Some(Node { op: Op::Slice { start, step: steps }, inputs, .. }) =
            producers[source].map(|id| &graph.nodes[id])
        {
            let whole = start.iter().all(|&start| start == 0) && steps[..2] == [1, 1];
            let ascending = steps.iter().all(|&step| step > 0);
            // Nothing but steps: the slice reaches to the end of every dimension.
            let (from, to) = (&graph.values[inputs[0]].shape, &graph.values[source].shape);
            let reaches = from
                .iter()
                .zip(to)
                .zip(steps)
                .all(|((&from, &to), &step)| to == from.div_ceil(step.max(1) as usize));
            if from.len() != 4 || !whole || !ascending || !reaches {
                break;
            }
            step = [step[0] * steps[2] as usize, step[1] * steps[3] as usize];
            source = inputs[0];
        }
        if graph.values[source].shape.len() != 4 {
            continue;
        }
        let output = *output;
        graph.nodes[id] = Node { op: Op::Subsample { step, before }, inputs: vec![source], output };
    }
}

/// `[n, c, h, w]` → `[n, c, h·w]` → mean over the last: the mean of each channel.
fn mean_pixels(graph: &mut Graph) {
    let producers = graph.producers();
    for id in 0..graph.nodes.len() {
        let Node { op: Op::Reduce { axis: 2, kind: Reduce::Mean }, inputs, output } = &graph.nodes[id] else {
            continue;
        };
        let Some(Node { op: Op::Reshape, inputs: from, .. }) =
            producers[inputs[0]].map(|id| &graph.nodes[id])
        else {
            continue;
        };
        let (source, flat) = (&graph.values[from[0]].shape, &graph.values[inputs[0]].shape);
        if source.len() == 4 && flat.len() == 3 && source[..2] == flat[..2] {
            graph.nodes[id] = Node { op: Op::MeanPixels, inputs: from.clone(), output: *output };
        }
    }
}

/// Drops nodes whose output nobody reads.
fn remove_unread(graph: &mut Graph) {
    loop {
        let uses = graph.uses();
        let before = graph.nodes.len();
        graph.nodes.retain(|node| uses[node.output] > 0);
        if graph.nodes.len() == before {
            return;
        }
    }
}
