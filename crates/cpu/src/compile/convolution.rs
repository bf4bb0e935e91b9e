//! The kernels of one convolution, and the scratch memory that they need.

use crate::{
    graph::{Blocked, Conv},
    kernels::{
        blocks::embed,
        pack::Weights,
        simd::{Isa, LANES},
        slide::{self, Slide},
        stencil::{self, Stencil, Strides, runs},
        weights::{Correlation, correlate},
    },
    team::Crew,
};

/// A convolution of blocked images, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub x: Blocked,
    pub y: Blocked,
    pub weights: Weights,
    forward: Kernel,
    /// The gradient of the input: one kernel, or one for each remainder of rows and columns by the stride.
    backward: Vec<Kernel>,
    correlation: Correlation,
    /// The image with its margin of zeros, for kernels that want one; the same for the gradient.
    margin: Option<Margin>,
    gradient_margin: Option<Margin>,
}

#[derive(Clone, Debug)]
enum Kernel {
    Slide(Slide),
    Stencil(Stencil),
}

/// An image within a larger one; each pair is rows and columns.
#[derive(Clone, Debug)]
struct Margin {
    size: [usize; 2],
    at: [usize; 2],
    whole: [usize; 2],
    blocks: usize,
}

impl Margin {
    fn floats(&self) -> usize {
        self.blocks * self.whole[0] * self.whole[1] * LANES
    }

    fn strides(&self) -> Strides {
        let row = self.whole[1] * LANES;
        Strides { start: 0, block: self.whole[0] * row, channel: 1, row, pixel: LANES }
    }
}

impl Convolution {
    /// Chooses the kernels for images `x`, results `y` and kernels of the given rows and columns.
    pub fn new(conv: &Conv, kernel: [usize; 2], x: Blocked, y: Blocked, isa: Isa) -> Self {
        let weights = Weights { outputs: y.channels, inputs: x.channels, taps: kernel[0] * kernel[1] };
        let plain = Conv { stride: [1, 1], padding: [(1, 1), (1, 1)], dilation: [1, 1], groups: 1 };
        if *conv == plain && kernel == [3, 3] {
            Self::sliding(weights, x, y, isa)
        } else {
            Self::general(conv, kernel, weights, x, y, isa)
        }
    }

    fn sliding(weights: Weights, x: Blocked, y: Blocked, isa: Isa) -> Self {
        let (height, width) = (x.height(), x.width);
        let slide = |from: Blocked, to: Blocked| {
            let (channels, blocks) = (from.channels, to.blocks);
            Kernel::Slide(Slide { channels, blocks, height, width, runs: runs(width, isa.pixels()) })
        };
        let correlation = Correlation {
            channels: x.channels,
            blocks: y.blocks,
            rows: height,
            columns: width,
            block: x.pixels * LANES,
            row: width * LANES,
            pixel: LANES,
            taps: vec![0; 9],
            slides: true,
        };
        let (forward, backward) = (slide(x, y), vec![slide(y, x)]);
        Self { x, y, weights, forward, backward, correlation, margin: None, gradient_margin: None }
    }

    fn general(conv: &Conv, kernel: [usize; 2], weights: Weights, x: Blocked, y: Blocked, isa: Isa) -> Self {
        let (size, to) = ([x.height(), x.width], [y.height(), y.width]);
        let at = conv.padding.map(|(before, _)| before);
        // As far as the last output sees, which may be less than the padding allows.
        let seen =
            |axis: usize| (to[axis] - 1) * conv.stride[axis] + (kernel[axis] - 1) * conv.dilation[axis] + 1;
        let whole = [0, 1].map(|axis| seen(axis).max(at[axis] + 1));
        let margin = Margin { size, at, whole, blocks: x.blocks };
        let input = margin.strides();
        let place = |tap: usize| {
            let (row, column) = (tap / kernel[1] * conv.dilation[0], tap % kernel[1] * conv.dilation[1]);
            row * input.row + column * input.pixel
        };
        let strided =
            Strides { row: input.row * conv.stride[0], pixel: input.pixel * conv.stride[1], ..input };
        let forward = Kernel::Stencil(Stencil {
            taps: (0..weights.taps).map(|tap| (place(tap), tap)).collect(),
            packed_taps: weights.taps,
            channels: x.channels,
            blocks: y.blocks,
            rows: to[0],
            runs: runs(to[1], isa.pixels()),
            input: strided,
            output: image_strides(y),
        });
        let correlation = Correlation {
            channels: x.channels,
            blocks: y.blocks,
            rows: to[0],
            columns: to[1],
            block: input.block,
            row: strided.row,
            pixel: strided.pixel,
            taps: (0..weights.taps).map(place).collect(),
            slides: false,
        };
        let (backward, gradient_margin) = gradient_kernels(conv, kernel, x, y, isa);
        Self {
            x,
            y,
            weights,
            forward,
            backward,
            correlation,
            margin: Some(margin),
            gradient_margin: Some(gradient_margin),
        }
    }

    /// Whether the taps of weights for the gradient of the input run backwards.
    pub fn flips(&self) -> bool {
        matches!(self.forward, Kernel::Slide(_))
    }

    /// What the kernel is called in the plan.
    pub fn kernel_name(&self) -> &'static str {
        if self.flips() { "3×3 sliding" } else { "stencil" }
    }

    /// Floats of scratch memory for [`forward`](Self::forward) and [`weight_gradient`](Self::weight_gradient).
    pub fn scratch(&self) -> usize {
        self.margin.as_ref().map_or(0, Margin::floats)
    }

    /// Floats of scratch memory for [`input_gradient`](Self::input_gradient).
    pub fn gradient_scratch(&self) -> usize {
        self.gradient_margin.as_ref().map_or(0, Margin::floats)
    }

    /// One image.
    pub fn forward(&self, isa: Isa, x: &[f32], weights: &[f32], scratch: &mut [f32], y: &mut [f32]) {
        let x = widened(&self.margin, x, scratch);
        self.forward.run(isa, x, weights, y, false);
    }

    /// dx (+)= the gradient of one image.
    pub fn input_gradient(
        &self,
        isa: Isa,
        dy: &[f32],
        weights: &[f32],
        scratch: &mut [f32],
        accumulate: bool,
        dx: &mut [f32],
    ) {
        let dy = widened(&self.gradient_margin, dy, scratch);
        for kernel in &self.backward {
            kernel.run(isa, dy, weights, dx, accumulate);
        }
    }

    /// dw ← dw + the gradient of the packed weights from one image.
    pub fn weight_gradient(&self, isa: Isa, x: &[f32], dy: &[f32], scratch: &mut [f32], dw: &mut [f32]) {
        let x = widened(&self.margin, x, scratch);
        correlate(isa, &self.correlation, x, dy, dw);
    }

    /// Packs weights for forward and for the gradient of the input.
    pub fn pack(&self, crew: Crew, weights: &[f32], forward: &mut [f32], backward: Option<&mut [f32]>) {
        self.weights.pack(crew, weights, forward);
        if let Some(backward) = backward {
            self.weights.pack_transposed(crew, weights, self.flips(), backward);
        }
    }

    /// Multiply–add operations of all images forward, padding counted.
    pub fn multiply_adds(&self) -> usize {
        self.weights.outputs * self.weights.inputs * self.weights.taps * self.y.pixels * self.y.images
    }
}

impl Kernel {
    fn run(&self, isa: Isa, x: &[f32], weights: &[f32], y: &mut [f32], accumulate: bool) {
        match self {
            Kernel::Slide(kernel) => slide::convolve(isa, kernel, x, weights, y, accumulate),
            Kernel::Stencil(kernel) => stencil::convolve(isa, kernel, x, weights, y, accumulate),
        }
    }
}

/// The image with its margin, where a kernel wants one.
fn widened<'a>(margin: &Option<Margin>, x: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
    let Some(margin) = margin else { return x };
    let scratch = &mut scratch[..margin.floats()];
    embed(x, margin.size, margin.at, margin.whole, scratch);
    scratch
}

fn image_strides(image: Blocked) -> Strides {
    let row = image.width * LANES;
    Strides { start: 0, block: image.pixels * LANES, channel: 1, row, pixel: LANES }
}

/// The gradient of input pixel i is Σ over taps t of dy[(i + p − t·d) / s] · w[t], where s divides i + p − t·d; so
/// for each remainder of i by s it is a convolution of stride 1 with some of the taps.
fn gradient_kernels(
    conv: &Conv,
    kernel: [usize; 2],
    x: Blocked,
    y: Blocked,
    isa: Isa,
) -> (Vec<Kernel>, Margin) {
    let (size, from) = ([x.height(), x.width], [y.height(), y.width]);
    // By axis, remainder and tap: how far the output lies from the number of the input among those of its remainder.
    let distance = |axis: usize, remainder: usize, tap: usize| {
        let (stride, reach) = (conv.stride[axis] as isize, (tap * conv.dilation[axis]) as isize);
        let ahead = remainder as isize + conv.padding[axis].0 as isize - reach;
        (ahead % stride == 0).then_some(ahead / stride)
    };
    let distances = |axis: usize| {
        (0..conv.stride[axis]).flat_map(move |remainder| {
            (0..kernel[axis]).filter_map(move |tap| distance(axis, remainder, tap))
        })
    };
    let counts = |axis: usize| size[axis].div_ceil(conv.stride[axis]) as isize;
    let at = [0, 1].map(|axis| (-distances(axis).min().unwrap_or(0)).max(0) as usize);
    let whole = [0, 1].map(|axis| {
        let last = counts(axis) - 1 + distances(axis).max().unwrap_or(0);
        at[axis] + (last.max(from[axis] as isize - 1) as usize) + 1
    });
    let margin = Margin { size: from, at, whole, blocks: y.blocks };
    let (input, output) = (margin.strides(), image_strides(x));
    let mut kernels = Vec::new();
    for row in 0..conv.stride[0].min(size[0]) {
        for column in 0..conv.stride[1].min(size[1]) {
            let mut taps = Vec::new();
            for tap in 0..kernel[0] * kernel[1] {
                let (Some(down), Some(right)) =
                    (distance(0, row, tap / kernel[1]), distance(1, column, tap % kernel[1]))
                else {
                    continue;
                };
                let place = |axis: usize, distance: isize| (at[axis] as isize + distance) as usize;
                taps.push((place(0, down) * input.row + place(1, right) * input.pixel, tap));
            }
            kernels.push(Kernel::Stencil(Stencil {
                taps,
                packed_taps: kernel[0] * kernel[1],
                channels: y.channels,
                blocks: x.blocks,
                rows: (size[0] - row).div_ceil(conv.stride[0]),
                runs: runs((size[1] - column).div_ceil(conv.stride[1]), isa.pixels()),
                input,
                output: Strides {
                    start: row * output.row + column * output.pixel,
                    row: output.row * conv.stride[0],
                    pixel: output.pixel * conv.stride[1],
                    ..output
                },
            }));
        }
    }
    (kernels, margin)
}

#[cfg(test)]
mod tests;
