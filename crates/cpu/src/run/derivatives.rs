//! What a node that runs by itself adds to the gradient of one of its operands.

use crate::{
    graph::{Binary, Node, NodeId, Op, PoolKind, Reduce},
    kernels::{
        blocks::subsample_gradient,
        elementwise::{binary_derivative, unary_derivative},
        matmul::{Matrix, Workspace, multiply},
        pool::pool_gradient,
        reduce::{reduce_gradient, softmax_gradient},
        simd::LANES,
        strided::around,
    },
    run::{
        frame::Frame,
        nodes::{broadcast, grouped, matmul_sizes, picked, placed, plane, reorder, subsample_sizes, view},
    },
};

/// Adds to the gradient of an operand, or writes it without `accumulate`.
pub(crate) fn gradient(
    frame: &mut Frame<'_>,
    id: NodeId,
    operand: usize,
    accumulate: bool,
    workspace: &mut Workspace,
) {
    let graph = frame.graph;
    let Node { op, inputs, output } = &graph.nodes[id];
    let x = inputs[operand];
    frame.write_gradient(x, |frame, dx| {
        let dy = frame.gradient(*output);
        if !accumulate && adds(op) {
            dx.fill(0.0);
        }
        let put = |dx: &mut f32, gradient: f32| *dx = if accumulate { *dx + gradient } else { gradient };
        match op {
            Op::Conv(_) if operand == 0 => grouped(graph, id).input_gradient(frame.value(inputs[1]), dy, dx),
            Op::Conv(_) => grouped(graph, id).weight_gradient(frame.value(inputs[0]), dy, dx),
            Op::Subsample { .. } => {
                let (sizes, [from, to]) = subsample_sizes(graph, id);
                by_image(frame, [from, to], dy, dx, |dy, dx| subsample_gradient(&sizes, dy, dx));
            }
            Op::MeanPixels => {
                let size = graph.values[x].blocked();
                by_image(frame, [size.image(), size.channels], dy, dx, |dy, dx| {
                    for (at, dx) in dx.iter_mut().enumerate() {
                        let channel = at / (size.pixels * LANES) * LANES + at % LANES;
                        let gradient = dy.get(channel).copied().unwrap_or(0.0) / size.pixels as f32;
                        put(dx, gradient);
                    }
                });
            }
            Op::Bias if operand == 0 => dx.iter_mut().zip(dy).for_each(|(dx, &dy)| put(dx, dy)),
            Op::Bias => {
                let size = graph.values[inputs[0]].blocked();
                for (channel, dx) in dx.iter_mut().enumerate() {
                    let place = (channel / LANES * size.pixels) * LANES + channel % LANES;
                    let images = dy.chunks_exact(size.image());
                    let values = images.flat_map(|dy| dy[place..].iter().step_by(LANES).take(size.pixels));
                    put(dx, values.map(|&dy| f64::from(dy)).sum::<f64>() as f32);
                }
            }
            Op::Pool(options) => {
                let (plane, sizes) = plane(graph, id);
                if options.kind == PoolKind::Max {
                    let input = frame.value(inputs[0]);
                    let planes = input.chunks_exact(sizes[0]).zip(dy.chunks_exact(sizes[1]));
                    for ((x, dy), dx) in planes.zip(dx.chunks_exact_mut(sizes[0])) {
                        pool_gradient(options, plane, x, dy, dx);
                    }
                } else {
                    by_image(frame, sizes, dy, dx, |dy, dx| pool_gradient(options, plane, &[], dy, dx));
                }
            }
            Op::Reorder => reorder(frame, *output, x, accumulate, dy, dx),
            Op::Reshape => dx.iter_mut().zip(dy).for_each(|(dx, &dy)| put(dx, dy)),
            Op::View(_) | Op::Slice { .. } => view(graph, id).each(|[from, to]| dx[to] += dy[from]),
            Op::Cat { .. } | Op::Pad { .. } => {
                placed(graph, id, operand).each(|[to, from]| put(&mut dx[to], dy[from]));
            }
            Op::Unary(op) => {
                let at = if op.derivative_of_output() { *output } else { inputs[0] };
                if op.is_linear() {
                    let factor = unary_derivative(*op, 0.0);
                    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| put(dx, dy * factor));
                } else {
                    let at = frame.value(at);
                    for (dx, (&dy, &at)) in dx.iter_mut().zip(dy.iter().zip(at)) {
                        put(dx, dy * unary_derivative(*op, at));
                    }
                }
            }
            Op::Binary(op @ (Binary::Add | Binary::Sub)) => {
                let factor = binary_derivative(*op, operand, 0.0, 0.0);
                if dx.len() == dy.len() {
                    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy * factor);
                } else {
                    broadcast(graph, id).each(|[at, i, j]| dx[[i, j][operand]] += dy[at] * factor);
                }
            }
            Op::Binary(op) => {
                let (a, b) = (frame.value(inputs[0]), frame.value(inputs[1]));
                // In blocks, too, operands of the same shape lie alike.
                if a.len() == dy.len() && b.len() == dy.len() {
                    for (dx, (&dy, (&a, &b))) in dx.iter_mut().zip(dy.iter().zip(a.iter().zip(b))) {
                        *dx += dy * binary_derivative(*op, operand, a, b);
                    }
                    return;
                }
                broadcast(graph, id).each(|[at, i, j]| {
                    let to = if operand == 0 { i } else { j };
                    dx[to] += dy[at] * binary_derivative(*op, operand, a[i], b[j]);
                });
            }
            Op::Matmul => {
                let [batch, m, k, n] = matmul_sizes(graph, id);
                let other = frame.value(inputs[1 - operand]);
                for at in 0..batch {
                    let dy = Matrix::row_major(&dy[at * m * n..][..m * n], n);
                    // dA = dY · Bᵀ, dB = Aᵀ · dY.
                    if operand == 0 {
                        let b = Matrix::row_major(&other[at * k * n..][..k * n], n).transposed();
                        let da = &mut dx[at * m * k..][..m * k];
                        multiply(frame.crew.isa, workspace, [m, n, k], dy, b, accumulate, da);
                    } else {
                        let a = Matrix::row_major(&other[at * m * k..][..m * k], k).transposed();
                        let db = &mut dx[at * k * n..][..k * n];
                        multiply(frame.crew.isa, workspace, [k, m, n], a, dy, accumulate, db);
                    }
                }
            }
            Op::Softmax { axis, log } => {
                let sizes = around(&graph.values[x].shape, *axis);
                softmax_gradient(frame.crew.isa, *log, sizes, frame.value(*output), dy, accumulate, dx);
            }
            Op::Reduce { axis, kind } => {
                let sizes = around(&graph.values[x].shape, *axis);
                let extreme = matches!(kind, Reduce::Max | Reduce::Min);
                let values = if extreme { frame.value(x) } else { &[] };
                reduce_gradient(*kind, sizes, values, dy, accumulate, dx);
            }
            Op::Gather { .. } | Op::Select { .. } => picked(frame, id, |from, to| dx[to] += dy[from]),
            Op::Where => {
                let mask = frame.value(inputs[1]);
                for (dx, (&dy, &mask)) in dx.iter_mut().zip(dy.iter().zip(mask)) {
                    let passes = match operand {
                        0 => mask == 0.0,
                        2 => mask != 0.0,
                        _ => false,
                    };
                    put(dx, if passes { dy } else { 0.0 });
                }
            }
            Op::Norm(_) | Op::Fill(_) | Op::IntToFloat => unreachable!("{op:?} has no derivative here"),
        }
    });
}

/// Whether the derivative adds to places rather than that it writes every one.
fn adds(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv(_)
            | Op::Subsample { .. }
            | Op::Pool(_)
            | Op::View(_)
            | Op::Slice { .. }
            | Op::Binary(_)
            | Op::Gather { .. }
            | Op::Select { .. }
    )
}

/// Runs `each` on the gradients of every image, of `[from, to]` floats in input and output.
fn by_image(
    frame: &Frame<'_>,
    [from, to]: [usize; 2],
    dy: &[f32],
    dx: &mut [f32],
    each: impl Fn(&[f32], &mut [f32]) + Sync + Send,
) {
    frame.crew.chunks(dx, from, |at, dx| each(&dy[at * to..(at + 1) * to], dx));
}
