//! Batch norm over the images of a batch.

use crate::{
    graph::{Blocked, NodeId, Norm, Op},
    kernels::{norm, simd::LANES},
    run::frame::Frame,
};

/// What a norm keeps from forward to backward, each for every channel with absent ones at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct NormState {
    /// Mean and variance of the batch, or the running ones in evaluation.
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
    /// y = scale · x + shift.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub dgamma: Vec<f32>,
    pub dbeta: Vec<f32>,
    /// dx = a · dy + b · (x − mean) + c, where a is the scale.
    pub b: Vec<f32>,
    pub c: Vec<f32>,
    /// By image, for all channels: mean and squares forward, sums and products backward.
    pub by_image: Vec<f32>,
}

impl NormState {
    /// Room for values of that size.
    pub fn new(size: Blocked) -> Self {
        let channels = || vec![0.0; size.blocks * LANES];
        Self {
            mean: channels(),
            variance: channels(),
            scale: channels(),
            shift: channels(),
            dgamma: channels(),
            dbeta: channels(),
            b: channels(),
            c: channels(),
            by_image: vec![0.0; size.images * 2 * size.blocks * LANES],
        }
    }

    /// Mean and biased variance of the batch from those of its images, by the formula of Chan, Golub and LeVeque
    /// (*Updating formulae*, 1979), in `f64`.
    pub fn combine_moments(&mut self, size: Blocked) {
        let (width, pixels) = (size.blocks * LANES, size.pixels as f64);
        for channel in 0..width {
            let mean = self.of_images(width, channel).sum::<f64>() / size.images as f64;
            let apart = self.of_images(width, channel).map(|of_image| (of_image - mean).powi(2));
            let total = self.of_images(width, width + channel).sum::<f64>() + pixels * apart.sum::<f64>();
            self.mean[channel] = mean as f32;
            self.variance[channel] = (total / (pixels * size.images as f64)) as f32;
        }
    }

    /// What the images have left at one place.
    fn of_images(&self, width: usize, place: usize) -> impl Iterator<Item = f64> + '_ {
        self.by_image.chunks_exact(2 * width).map(move |image| f64::from(image[place]))
    }

    /// Scale and shift from mean, variance, γ and β.
    pub fn set_scale(&mut self, epsilon: f32, gamma: &[f32], beta: &[f32]) {
        for (channel, (gamma, beta)) in gamma.iter().zip(beta).enumerate() {
            let scale = f64::from(*gamma) / (f64::from(self.variance[channel]) + f64::from(epsilon)).sqrt();
            self.scale[channel] = scale as f32;
            self.shift[channel] = (f64::from(*beta) - f64::from(self.mean[channel]) * scale) as f32;
        }
    }

    /// From Σ dy and Σ dy (x − mean) of the images: dβ, dγ and the coefficients of dx.
    ///
    /// With s = 1/√(variance + ε) and m values: dβ = Σ dy, dγ = s Σ dy (x − mean),
    /// dx = γ s (dy − dβ/m − (x − mean) s dγ/m).
    pub fn combine_sums(&mut self, size: Blocked, epsilon: f32) {
        let (width, count) = (size.blocks * LANES, (size.images * size.pixels) as f64);
        for channel in 0..size.channels {
            let inverse = 1.0 / (f64::from(self.variance[channel]) + f64::from(epsilon)).sqrt();
            let beta = self.of_images(width, channel).sum::<f64>();
            let gamma = self.of_images(width, width + channel).sum::<f64>() * inverse;
            self.dbeta[channel] = beta as f32;
            self.dgamma[channel] = gamma as f32;
            let scale = f64::from(self.scale[channel]);
            self.b[channel] = (-scale * inverse * gamma / count) as f32;
            self.c[channel] = (-scale * beta / count) as f32;
        }
    }
}

/// The operands of a norm and its options.
pub(crate) struct NormNode<'a> {
    pub norm: &'a Norm,
    pub inputs: &'a [usize],
    pub output: usize,
    pub size: Blocked,
}

impl<'a> NormNode<'a> {
    /// # Panics
    ///
    /// If the node is no norm.
    pub fn of(frame: &Frame<'a>, node: NodeId) -> Self {
        let graph = frame.graph;
        let Op::Norm(norm) = &graph.nodes[node].op else { panic!("node {node} is no norm") };
        let inputs = &graph.nodes[node].inputs;
        let size = graph.values[inputs[0]].blocked();
        Self { norm, inputs, output: graph.nodes[node].output, size }
    }
}

/// The moments of a norm's input.
pub(crate) fn moments(frame: &mut Frame<'_>, id: NodeId, state: &mut NormState) {
    let node = NormNode::of(frame, id);
    let (x, crew, image) = (frame.value(node.inputs[0]), frame.crew, node.size.image());
    let width = node.size.blocks * LANES;
    crew.chunks(&mut state.by_image, 2 * width, |at, moments| {
        let (mean, squares) = moments.split_at_mut(width);
        norm::moments(crew.isa, &x[at * image..][..image], mean, squares);
    });
    finish_moments(frame, id, state);
}

/// Scale and shift from the moments that images have left.
pub(crate) fn finish_moments(frame: &Frame<'_>, id: NodeId, state: &mut NormState) {
    let node = NormNode::of(frame, id);
    state.combine_moments(node.size);
    state.set_scale(node.norm.epsilon, frame.value(node.inputs[1]), frame.value(node.inputs[2]));
}

/// Scale and shift of the evaluation form, from the running statistics.
pub(crate) fn evaluate(frame: &Frame<'_>, id: NodeId, state: &mut NormState) {
    let node = NormNode::of(frame, id);
    let channels = node.size.channels;
    state.mean[..channels].copy_from_slice(frame.value(node.inputs[3]));
    state.variance[..channels].copy_from_slice(frame.value(node.inputs[4]));
    state.set_scale(node.norm.epsilon, frame.value(node.inputs[1]), frame.value(node.inputs[2]));
}

/// The output of a norm whose scale and shift are known.
pub(crate) fn apply(frame: &mut Frame<'_>, id: NodeId, state: &NormState) {
    let node = NormNode::of(frame, id);
    let image = node.size.image();
    frame.write(node.output, |frame, y| {
        let (x, crew) = (frame.value(node.inputs[0]), frame.crew);
        let residual = node.inputs.get(5).map(|&value| frame.value(value));
        crew.chunks(y, image, |at, y| {
            let range = at * image..(at + 1) * image;
            let residual = residual.map(|values| &values[range.clone()]);
            norm::apply(crew.isa, &x[range], residual, &state.scale, &state.shift, node.norm.relu, y);
        });
    });
}

/// The mask of the ReLU on the gradient of the output, and the sums for the derivative.
pub(crate) fn sums(frame: &mut Frame<'_>, id: NodeId, state: &mut NormState) {
    let node = NormNode::of(frame, id);
    let (image, width) = (node.size.image(), node.size.blocks * LANES);
    let NormState { mean, by_image, .. } = state;
    frame.write_gradient(node.output, |frame, dy| {
        let (x, crew) = (frame.value(node.inputs[0]), frame.crew);
        let mask = node.norm.relu.then(|| frame.value(node.output));
        crew.chunk_pairs((dy, by_image), [image, 2 * width], |at, dy, sums| {
            let range = at * image..(at + 1) * image;
            let (sums, products) = sums.split_at_mut(width);
            let mask = mask.map(|mask| &mask[range.clone()]);
            norm::mask_and_sum(crew.isa, dy, mask, &x[range.clone()], mean, sums, products);
        });
    });
    finish_sums(frame, id, state);
}

/// The coefficients of the derivative, dγ and dβ, from the sums that images have left.
pub(crate) fn finish_sums(frame: &mut Frame<'_>, id: NodeId, state: &mut NormState) {
    let node = NormNode::of(frame, id);
    let (gamma, beta) = (node.inputs[1], node.inputs[2]);
    // A γ or β that is not trained has no gradient, and what is added to it is of no interest.
    let channels = node.size.channels;
    let add = |frame: &mut Frame<'_>, value: usize, sums: &[f32]| {
        if frame.plan.gradients[value].is_some() {
            frame.write_gradient(value, |_, gradient| {
                gradient.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum)
            });
        }
    };
    state.combine_sums(node.size, node.norm.epsilon);
    add(frame, gamma, &state.dgamma[..channels]);
    add(frame, beta, &state.dbeta[..channels]);
}

/// The gradient of the residual: that of the output.
pub(crate) fn residual_gradient(frame: &mut Frame<'_>, id: NodeId, accumulate: bool) {
    let node = NormNode::of(frame, id);
    frame.write_gradient(node.inputs[5], |frame, dx| {
        let dy = frame.gradient(node.output);
        if accumulate {
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy);
        } else {
            dx.copy_from_slice(dy);
        }
    });
}

/// The gradient of the input.
pub(crate) fn input_gradient(frame: &mut Frame<'_>, id: NodeId, accumulate: bool, state: &NormState) {
    let node = NormNode::of(frame, id);
    let image = node.size.image();
    frame.write_gradient(node.inputs[0], |frame, dx| {
        let (x, dy, crew) = (frame.value(node.inputs[0]), frame.gradient(node.output), frame.crew);
        crew.chunks(dx, image, |at, dx| {
            let range = at * image..(at + 1) * image;
            let NormState { mean, scale, b, c, .. } = state;
            norm::derive(crew.isa, &dy[range.clone()], &x[range], mean, [scale, b, c], accumulate, dx);
        });
    });
}
