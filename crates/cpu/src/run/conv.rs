//! A convolution with its neighbours as one parallel region over the images of a batch.

#![allow(unsafe_code, reason = "tasks share slices of which each takes its own part")]

use std::ops::Range;

use crate::{
    compile::{
        convolution::Convolution,
        schedule::{ConvGradient, ConvStep},
    },
    graph::{Blocked, Layout, NodeId},
    kernels::{
        blocks::to_blocks,
        norm,
        simd::{Isa, LANES},
    },
    memory::{Buffer, Groups, Pieces},
    run::{
        frame::Frame,
        norm::{NormNode, NormState, evaluate, finish_moments, finish_sums},
    },
};

/// A convolution with its weights in the order of the kernels.
#[derive(Clone, Debug)]
pub(crate) struct ConvState {
    pub convolution: Convolution,
    forward: Buffer,
    backward: Buffer,
    /// Of the parameters that are packed.
    version: Option<u64>,
}

/// Memory that regions share: for each group of images scratch memory, and partial gradients of weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub images: Buffer,
    pub partial: Buffer,
}

impl ConvState {
    /// Room for the packed weights; `backward` if the gradient of the input is wanted.
    pub fn new(convolution: Convolution, backward: bool) -> Self {
        let [forward, for_gradient] = convolution.packed().map(Buffer::zeros);
        let backward = if backward { for_gradient } else { Buffer::default() };
        Self { convolution, forward, backward, version: None }
    }

    /// Packs the weights if they have changed.
    fn pack(&mut self, frame: &Frame<'_>, weight: usize, version: u64) {
        if self.version != Some(version) {
            let backward = (!self.backward.is_empty()).then_some(&mut *self.backward);
            self.convolution.pack(frame.crew, frame.value(weight), &mut self.forward, backward);
            self.version = Some(version);
        }
    }

    /// Floats of scratch memory for a group of images: as many images of the input and gradients of the output as
    /// there are at once, and what the kernels need.
    pub fn scratch(&self) -> usize {
        let Self { convolution, .. } = self;
        let kernels = convolution.scratch().max(convolution.gradient_scratch());
        convolution.at_once() * (convolution.x.image() + convolution.y.image()) + kernels
    }

    /// Groups of the images.
    pub fn groups(&self) -> Groups {
        Groups::of(self.convolution.x.images)
    }
}

/// Where a convolution gets its images from.
enum Images<'a> {
    Blocked(&'a [f32]),
    Plain(&'a [f32]),
    /// A norm applied on the way.
    Norm {
        x: &'a [f32],
        residual: Option<&'a [f32]>,
        scale: &'a [f32],
        shift: &'a [f32],
        relu: bool,
    },
}

impl<'a> Images<'a> {
    fn of(
        frame: &'a Frame<'_>,
        conv: NodeId,
        before: Option<NodeId>,
        scale: &'a [f32],
        shift: &'a [f32],
    ) -> Self {
        if let Some(norm) = before {
            let node = NormNode::of(frame, norm);
            let residual = node.inputs.get(5).map(|&value| frame.value(value));
            let (x, relu) = (frame.value(node.inputs[0]), node.norm.relu);
            return Self::Norm { x, residual, scale, shift, relu };
        }
        let value = frame.graph.nodes[conv].inputs[0];
        match frame.graph.values[value].layout {
            Layout::Plain => Self::Plain(frame.value(value)),
            Layout::Blocked => Self::Blocked(frame.value(value)),
        }
    }

    /// Images in blocks, in `room` where they have to be made.
    fn images<'b>(&'b self, isa: Isa, part: Range<usize>, size: Blocked, room: &'b mut [f32]) -> &'b [f32] {
        if let Self::Blocked(x) = self {
            return &x[part.start * size.image()..part.end * size.image()];
        }
        let room = &mut room[..part.len() * size.image()];
        for (at, room) in part.zip(room.chunks_exact_mut(size.image())) {
            match self {
                Self::Blocked(_) => {}
                Self::Plain(x) => {
                    let plain = size.channels * size.pixels;
                    to_blocks(&x[at * plain..(at + 1) * plain], size.channels, room);
                }
                Self::Norm { x, residual, scale, shift, relu } => {
                    let range = at * size.image()..(at + 1) * size.image();
                    let residual = residual.map(|values| &values[range.clone()]);
                    norm::apply(isa, &x[range], residual, scale, shift, *relu, room);
                }
            }
        }
        room
    }
}

/// The norms around a convolution.
pub(crate) struct Neighbours<'a> {
    /// Applied on the way; backward, it gets the sums for its derivative.
    pub before: Option<&'a mut NormState>,
    /// It gets moments forward, or is folded in, and gives its derivative backward.
    pub after: Option<&'a mut NormState>,
}

/// Norm before, convolution, and the moments for the norm behind or, in evaluation, that norm itself.
pub(crate) fn forward(
    frame: &mut Frame<'_>,
    step: &ConvStep,
    state: &mut ConvState,
    mut neighbours: Neighbours<'_>,
    scratch: &mut Scratch,
    version: u64,
) {
    let graph = frame.graph;
    let node = &graph.nodes[step.conv];
    state.pack(frame, node.inputs[1], version);
    let kept = step.before.filter(|_| step.keep).map(|norm| graph.nodes[norm].output);
    let output = step.after.map_or(node.output, |norm| graph.nodes[norm].output);
    if let (Some(norm), Some(state)) = (step.after, neighbours.after.as_deref_mut()) {
        evaluate(frame, norm, state);
    }
    let state = &*state;
    let mut region = |frame: &mut Frame<'_>, kept: Option<&mut [f32]>, y: &mut [f32]| {
        run_forward(frame, step, state, &mut neighbours, scratch, kept, y);
    };
    match kept {
        Some(kept) => {
            frame.write(kept, |frame, kept| frame.write(output, |frame, y| region(frame, Some(kept), y)));
        }
        None => frame.write(output, |frame, y| region(frame, None, y)),
    }
    if let (Some(norm), Some(state)) = (step.moments, neighbours.after) {
        finish_moments(frame, norm, state);
    }
}

fn run_forward(
    frame: &Frame<'_>,
    step: &ConvStep,
    state: &ConvState,
    neighbours: &mut Neighbours<'_>,
    scratch: &mut Scratch,
    kept: Option<&mut [f32]>,
    y: &mut [f32],
) {
    let (ConvState { convolution, forward, .. }, crew) = (state, frame.crew);
    let (x_size, y_size) = (convolution.x, convolution.y);
    let (groups, width, at_once) = (state.groups(), y_size.blocks * LANES, convolution.at_once());
    let before = neighbours.before.as_deref();
    let [scale, shift] = before.map_or([&[][..]; 2], |state| [&state.scale, &state.shift]);
    let images = Images::of(frame, step.conv, step.before, scale, shift);

    let mut nobody = NormState::default();
    let NormState { scale, shift, by_image, .. } = neighbours.after.as_deref_mut().unwrap_or(&mut nobody);
    let folded = step.after.map(|norm| NormNode::of(frame, norm));
    let residual = folded.as_ref().and_then(|node| node.inputs.get(5)).map(|&value| frame.value(value));
    let moments = Pieces::new(by_image, 2 * width);
    let keeps = kept.is_some();
    let (kept, y) = (Pieces::new(kept.unwrap_or_default(), x_size.image()), Pieces::new(y, y_size.image()));
    let scratch = Pieces::new(&mut scratch.images, state.scratch());
    crew.each(groups.count, |group| {
        // SAFETY: each task takes the scratch memory of its group.
        let (room, kernels) = unsafe { scratch.take(group) }.split_at_mut(at_once * x_size.image());
        for part in groups.parts(group, at_once) {
            // SAFETY: each image belongs to one group.
            let (y, kept) = unsafe { (y.take_all(part.clone()), kept.take_all(part.clone())) };
            let x = images.images(crew.isa, part.clone(), x_size, if keeps { kept } else { &mut *room });
            convolution.forward(crew.isa, x, forward, kernels, y);
            for (at, y) in part.zip(y.chunks_exact_mut(y_size.image())) {
                if step.moments.is_some() {
                    // SAFETY: as above.
                    let (means, squares) = unsafe { moments.take(at) }.split_at_mut(width);
                    norm::moments(crew.isa, y, means, squares);
                }
                if let Some(node) = &folded {
                    let residual = residual.map(|values| &values[at * y.len()..(at + 1) * y.len()]);
                    norm::apply_in_place(crew.isa, y, residual, scale, shift, node.norm.relu);
                }
            }
        }
    });
}

/// The derivative of the norm behind, the gradients of weights and input, and mask and sums of the norm before.
pub(crate) fn backward(
    frame: &mut Frame<'_>,
    step: &ConvGradient,
    state: &ConvState,
    mut neighbours: Neighbours<'_>,
    scratch: &mut Scratch,
) {
    let node = &frame.graph.nodes[step.conv];
    let (x, weight) = (node.inputs[0], node.inputs[1]);
    if step.input.is_some() {
        frame.write_gradient(x, |frame, dx| run_backward(frame, step, state, &mut neighbours, scratch, dx));
    } else {
        run_backward(frame, step, state, &mut neighbours, scratch, &mut []);
    }
    if let (Some(norm), Some(state)) = (step.sums, neighbours.before) {
        finish_sums(frame, norm, state);
    }
    if let Some(accumulate) = step.weight {
        frame.write_gradient(weight, |frame, dw| {
            let groups = state.groups().count;
            state.convolution.unpack(frame.crew, &mut scratch.partial, groups, accumulate, dw);
        });
    }
}

fn run_backward(
    frame: &Frame<'_>,
    step: &ConvGradient,
    state: &ConvState,
    neighbours: &mut Neighbours<'_>,
    scratch: &mut Scratch,
    dx: &mut [f32],
) {
    let (ConvState { convolution, backward, .. }, crew) = (state, frame.crew);
    let (x_size, y_size) = (convolution.x, convolution.y);
    let (groups, width, at_once) = (state.groups(), x_size.blocks * LANES, convolution.at_once());
    let mut nobody = NormState::default();
    let NormState { mean, scale, shift, by_image, .. } =
        neighbours.before.as_deref_mut().unwrap_or(&mut nobody);
    let images = Images::of(frame, step.conv, step.before, scale, shift);
    let before = step.sums.map(|norm| NormNode::of(frame, norm));
    let before = before.map(|node| (node.norm.relu, frame.value(node.inputs[0])));
    let sums = Pieces::new(by_image, 2 * width);

    // The gradient of the result, or what it is made from: that of the norm behind, and the norm's input.
    let node = &frame.graph.nodes[step.conv];
    let after = step.after.map(|norm| NormNode::of(frame, norm));
    let dy = frame.gradient(after.as_ref().map_or(node.output, |norm| norm.output));
    let after =
        after.zip(neighbours.after.as_deref()).map(|(norm, state)| (frame.value(norm.inputs[0]), state));

    let dx = Pieces::new(dx, x_size.image());
    let partial = Pieces::new(&mut scratch.partial, convolution.partial());
    let scratch = Pieces::new(&mut scratch.images, state.scratch());
    crew.each(groups.count, |group| {
        // SAFETY: each task takes the scratch memory and the partial gradient of its group.
        let (scratch, partial) = unsafe { (scratch.take(group), partial.take(group)) };
        let (x_room, rest) = scratch.split_at_mut(at_once * x_size.image());
        let (dy_room, kernels) = rest.split_at_mut(at_once * y_size.image());
        if step.weight.is_some() {
            partial.fill(0.0);
        }
        for part in groups.parts(group, at_once) {
            let dy = match after {
                Some((x, NormState { mean, scale, b, c, .. })) => {
                    let coefficients = [&scale[..], b, c];
                    for (at, dx) in part.clone().zip(dy_room.chunks_exact_mut(y_size.image())) {
                        let range = at * y_size.image()..(at + 1) * y_size.image();
                        norm::derive(crew.isa, &dy[range.clone()], &x[range], mean, coefficients, false, dx);
                    }
                    &dy_room[..part.len() * y_size.image()]
                }
                None => &dy[part.start * y_size.image()..part.end * y_size.image()],
            };
            let x = images.images(crew.isa, part.clone(), x_size, x_room);
            if step.weight.is_some() {
                convolution.weight_gradient(crew.isa, x, dy, kernels, partial);
            }
            let Some(accumulate) = step.input else { continue };
            // SAFETY: each image belongs to one group.
            let dx = unsafe { dx.take_all(part.clone()) };
            convolution.input_gradient(crew.isa, dy, backward, kernels, accumulate, dx);
            let Some((relu, input)) = before else { continue };
            let pairs = dx.chunks_exact_mut(x_size.image()).zip(x.chunks_exact(x_size.image()));
            for (at, (dx, x)) in part.zip(pairs) {
                // SAFETY: as above.
                let (sums, products) = unsafe { sums.take(at) }.split_at_mut(width);
                let input = &input[at * x_size.image()..(at + 1) * x_size.image()];
                norm::mask_and_sum(crew.isa, dx, relu.then_some(x), input, mean, sums, products);
            }
        }
    });
}
