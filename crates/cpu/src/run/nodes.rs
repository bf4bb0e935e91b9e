//! Nodes that run by themselves.

use crate::{
    graph::{Blocked, Graph, Kind, Layout, Node, NodeId, Op, ValueId},
    kernels::{
        blocks::{Subsample, from_blocks, subsample, to_blocks},
        elementwise::{binary, unary},
        grouped::Grouped,
        matmul::{Matrix, Workspace, multiply},
        pool::{Plane, pool},
        reduce::{reduce, softmax},
        simd::LANES,
        strided::{Walk, around, row_major},
    },
    run::frame::Frame,
};

/// Runs a node.
pub(crate) fn forward(frame: &mut Frame<'_>, id: NodeId, workspace: &mut Workspace) {
    let graph = frame.graph;
    let Node { op, inputs, output } = &graph.nodes[id];
    if *op == Op::Reshape {
        // The plan has given it the memory of its input.
        return;
    }
    if let (Op::View(_) | Op::Slice { .. } | Op::Cat { .. }, Kind::Int) = (op, graph.values[*output].kind) {
        return move_ints(frame, id);
    }
    let shape = graph.values[*output].shape.as_slice();
    frame.write(*output, |frame, y| match op {
        Op::Conv(_) => grouped(graph, id).forward(frame.value(inputs[0]), frame.value(inputs[1]), y),
        Op::Subsample { .. } => {
            let (sizes, [from, to]) = subsample_sizes(graph, id);
            by_image(frame, inputs[0], from, to, y, |x, y| subsample(&sizes, x, y));
        }
        Op::MeanPixels => {
            let size = graph.values[inputs[0]].blocked();
            by_image(frame, inputs[0], size.image(), size.channels, y, |x, y| {
                for (channel, y) in y.iter_mut().enumerate() {
                    let plane = &x[channel / LANES * size.pixels * LANES..][..size.pixels * LANES];
                    let values = plane.iter().skip(channel % LANES).step_by(LANES);
                    *y = (values.map(|&value| f64::from(value)).sum::<f64>() / size.pixels as f64) as f32;
                }
            });
        }
        Op::Bias => {
            let (size, bias) = (graph.values[inputs[0]].blocked(), frame.value(inputs[1]));
            by_image(frame, inputs[0], size.image(), size.image(), y, |x, y| {
                for (at, (x, y)) in x.iter().zip(y).enumerate() {
                    let channel = at / (size.pixels * LANES) * LANES + at % LANES;
                    *y = x + bias.get(channel).copied().unwrap_or(0.0);
                }
            });
        }
        Op::Pool(options) => {
            let (plane, [from, to]) = plane(graph, id);
            by_image(frame, inputs[0], from, to, y, |x, y| pool(options, plane, x, y));
        }
        Op::Reorder => reorder(frame, inputs[0], *output, false, frame.value(inputs[0]), y),
        Op::View(_) | Op::Slice { .. } => {
            let x = frame.value(inputs[0]);
            view(graph, id).each(|[to, from]| y[to] = x[from]);
        }
        Op::Cat { .. } | Op::Pad { .. } => {
            if let Op::Pad { value, .. } = op {
                y.fill(*value);
            }
            for (part, &input) in inputs.iter().enumerate() {
                let x = frame.value(input);
                placed(graph, id, part).each(|[from, to]| y[to] = x[from]);
            }
        }
        Op::Unary(op) => {
            let x = frame.value(inputs[0]);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = unary(*op, x));
        }
        Op::Binary(op) => {
            let (a, b) = (frame.value(inputs[0]), frame.value(inputs[1]));
            if a.len() == y.len() && b.len() == y.len() {
                y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = binary(*op, a, b));
            } else {
                broadcast(graph, id).each(|[at, i, j]| y[at] = binary(*op, a[i], b[j]));
            }
        }
        Op::Matmul => {
            let (a, b) = (frame.value(inputs[0]), frame.value(inputs[1]));
            let [batch, m, k, n] = matmul_sizes(graph, id);
            for at in 0..batch {
                let a = Matrix::row_major(&a[at * m * k..][..m * k], k);
                let b = Matrix::row_major(&b[at * k * n..][..k * n], n);
                let y = &mut y[at * m * n..][..m * n];
                multiply(frame.crew.isa, workspace, [m, k, n], a, b, false, y);
            }
        }
        Op::Softmax { axis, log } => {
            softmax(frame.crew.isa, *log, around(shape, *axis), frame.value(inputs[0]), y)
        }
        Op::Reduce { axis, kind } => {
            reduce(*kind, around(&graph.values[inputs[0]].shape, *axis), frame.value(inputs[0]), y);
        }
        Op::Gather { .. } | Op::Select { .. } => {
            let x = frame.value(inputs[0]);
            picked(frame, id, |to, from| y[to] = x[from]);
        }
        Op::Fill(value) => y.fill(*value),
        Op::Where => {
            let [x, mask, value] = [0, 1, 2].map(|at| frame.value(inputs[at]));
            for (at, y) in y.iter_mut().enumerate() {
                *y = if mask[at] != 0.0 { value[at] } else { x[at] };
            }
        }
        Op::IntToFloat => {
            y.iter_mut().zip(frame.ints(inputs[0])).for_each(|(y, &value)| *y = value as f32);
        }
        Op::Norm(_) | Op::Reshape => unreachable!("{op:?} has a step of its own"),
    });
}

/// Runs `each` on every image of a value and of an output, of as many floats.
fn by_image(
    frame: &Frame<'_>,
    input: ValueId,
    from: usize,
    to: usize,
    y: &mut [f32],
    each: impl Fn(&[f32], &mut [f32]) + Sync + Send,
) {
    let x = frame.value(input);
    frame.crew.chunks(y, to, |at, y| each(&x[at * from..(at + 1) * from], y));
}

/// y (+)= x in the other layout; `from` and `to` are the values whose layouts they have.
pub(crate) fn reorder(
    frame: &Frame<'_>,
    from: ValueId,
    to: ValueId,
    accumulate: bool,
    x: &[f32],
    y: &mut [f32],
) {
    let values = &frame.graph.values;
    let size = values[from].blocked();
    let plain = size.channels * size.pixels;
    let blocked = values[to].layout == Layout::Blocked;
    let [x_image, y_image] = if blocked { [plain, size.image()] } else { [size.image(), plain] };
    frame.crew.chunks(y, y_image, |at, y| {
        let x = &x[at * x_image..(at + 1) * x_image];
        match (blocked, accumulate) {
            (false, _) => from_blocks(x, size.channels, accumulate, y),
            (true, false) => to_blocks(x, size.channels, y),
            (true, true) => {
                for (at, x) in x.iter().enumerate() {
                    let (channel, pixel) = (at / size.pixels, at % size.pixels);
                    y[(channel / LANES * size.pixels + pixel) * LANES + channel % LANES] += x;
                }
            }
        }
    });
}

fn move_ints(frame: &mut Frame<'_>, id: NodeId) {
    let graph = frame.graph;
    let Node { op, inputs, output } = &graph.nodes[id];
    let at = frame.ints_place(*output);
    let mut y = std::mem::take(&mut frame.ints[at]);
    for (part, &input) in inputs.iter().enumerate() {
        let x = frame.ints(input);
        match op {
            Op::Cat { .. } => placed(graph, id, part).each(|[from, to]| y[to] = x[from]),
            _ => view(graph, id).each(|[to, from]| y[to] = x[from]),
        }
    }
    frame.ints[at] = y;
}

/// Output and input of a view or slice.
pub(crate) fn view(graph: &Graph, id: NodeId) -> Walk<2> {
    let Node { op, inputs, output } = &graph.nodes[id];
    let shape = &graph.values[*output].shape;
    let walk = Walk::new(shape).row_major(0, shape);
    match op {
        Op::View(view) => walk.strided(1, view.offset, view.strides.iter().copied()),
        Op::Slice { start, step } => {
            let from = row_major(&graph.values[inputs[0]].shape);
            let offset: isize = start.iter().zip(&from).map(|(&start, stride)| start as isize * stride).sum();
            walk.strided(1, offset as usize, from.iter().zip(step).map(|(stride, step)| stride * step))
        }
        op => unreachable!("{op:?} is no view"),
    }
}

/// One part of a concatenation, or the input of a padding, and where it is in the output.
pub(crate) fn placed(graph: &Graph, id: NodeId, part: usize) -> Walk<2> {
    let Node { op, inputs, output } = &graph.nodes[id];
    let (shape, to) = (&graph.values[inputs[part]].shape, row_major(&graph.values[*output].shape));
    let offset = match op {
        Op::Cat { axis } => {
            let before = inputs[..part].iter().map(|&value| graph.values[value].shape[*axis]);
            before.sum::<usize>() as isize * to[*axis]
        }
        Op::Pad { before, .. } => {
            before.iter().zip(&to).map(|(&before, stride)| before as isize * stride).sum()
        }
        op => unreachable!("{op:?} places nothing"),
    };
    Walk::new(shape).row_major(0, shape).strided(1, offset as usize, to)
}

/// Output and both operands.
pub(crate) fn broadcast(graph: &Graph, id: NodeId) -> Walk<3> {
    let Node { inputs, output, .. } = &graph.nodes[id];
    let shape = |value: usize| graph.values[value].shape.as_slice();
    let walk = Walk::new(shape(*output)).row_major(0, shape(*output));
    walk.row_major(1, shape(inputs[0])).row_major(2, shape(inputs[1]))
}

/// The places of every picked value in output and tensor.
///
/// # Panics
///
/// If an index is outside of the tensor.
pub(crate) fn picked(frame: &Frame<'_>, id: NodeId, mut visit: impl FnMut(usize, usize)) {
    let graph = frame.graph;
    let Node { op, inputs, output } = &graph.nodes[id];
    let (tensor, shape) = (&graph.values[inputs[0]].shape, &graph.values[*output].shape);
    let indices = frame.ints(inputs[1]);
    let (Op::Gather { axis } | Op::Select { axis }) = *op else { unreachable!("{op:?} picks nothing") };
    let index = |at: usize| {
        let index = usize::try_from(indices[at]).ok().filter(|&index| index < tensor[axis]);
        index.unwrap_or_else(|| {
            panic!("index {} is not among the {} of its dimension", indices[at], tensor[axis])
        })
    };
    let from = row_major(tensor);
    let along = from[axis] as usize;
    let others = from.iter().enumerate().map(|(at, &stride)| if at == axis { 0 } else { stride });
    let walk = Walk::<2>::new(shape).row_major(0, shape).strided(1, 0, others);
    match op {
        Op::Gather { .. } => walk.each(|[to, rest]| visit(to, rest + index(to) * along)),
        _ => {
            let [_, length, inner] = around(shape, axis);
            walk.each(|[to, rest]| visit(to, rest + index(to / inner % length) * along));
        }
    }
}

/// Batch, rows, inner length and columns of a matrix product.
pub(crate) fn matmul_sizes(graph: &Graph, id: NodeId) -> [usize; 4] {
    let Node { inputs, output, .. } = &graph.nodes[id];
    let (a, y) = (&graph.values[inputs[0]].shape, &graph.values[*output].shape);
    let (rank, n) = (a.len(), y[y.len() - 1]);
    let b = &graph.values[inputs[1]].shape;
    // One matrix for all: the rows of every batch are rows of one product.
    if b.len() == 2 {
        return [1, a[..rank - 1].iter().product(), a[rank - 1], n];
    }
    [a[..rank - 2].iter().product(), a[rank - 2], a[rank - 1], n]
}

/// A plane of the blocks or channels of an image, and the floats of all planes of input and output.
pub(crate) fn plane(graph: &Graph, id: NodeId) -> (Plane, [usize; 2]) {
    let Node { inputs, output, .. } = &graph.nodes[id];
    let (x, y) = (&graph.values[inputs[0]], &graph.values[*output]);
    let lanes = if x.layout == Layout::Blocked { LANES } else { 1 };
    let size = |shape: &[usize]| [shape[2], shape[3]];
    let plane = Plane { from: size(&x.shape), to: size(&y.shape), lanes };
    let floats = |[rows, columns]: [usize; 2]| rows * columns * lanes;
    (plane, [floats(plane.from), floats(plane.to)])
}

/// The sizes of a shortcut, and the floats of an image of input and output.
pub(crate) fn subsample_sizes(graph: &Graph, id: NodeId) -> (Subsample, [usize; 2]) {
    let Node { op, inputs, output } = &graph.nodes[id];
    let Op::Subsample { step, before } = *op else { unreachable!("{op:?} is no shortcut") };
    let (x, y) = (graph.values[inputs[0]].blocked(), graph.values[*output].blocked());
    let size = |size: Blocked| [size.height(), size.width];
    let sizes = Subsample { channels: x.channels, from: size(x), to: size(y), step, before };
    (sizes, [x.image(), y.image()])
}

/// The sizes of a convolution in groups.
pub(crate) fn grouped(graph: &Graph, id: NodeId) -> Grouped {
    let Node { op, inputs, output } = &graph.nodes[id];
    let Op::Conv(conv) = op else { unreachable!("{op:?} is no convolution") };
    let shape = |value: usize| graph.values[value].shape.as_slice();
    let (x, weight, y) = (shape(inputs[0]), shape(inputs[1]), shape(*output));
    Grouped {
        conv: conv.clone(),
        images: x[0],
        channels: [x[1], y[1]],
        from: [x[2], x[3]],
        to: [y[2], y[3]],
        kernel: [weight[2], weight[3]],
    }
}
