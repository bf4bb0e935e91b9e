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
        winograd::{self, Winograd},
    },
    team::Crew,
};

/// How convolutions with 3×3 kernels, stride 1 and a border of one pixel are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convolutions {
    /// Product by product.
    #[default]
    Direct,
    /// By Winograd's method where that is faster: with a quarter of the products and other errors of rounding.
    Winograd,
}

impl Convolutions {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Winograd];

    /// What users know it as.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Winograd => "winograd",
        }
    }
}

/// What kernels are chosen for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub isa: Isa,
    pub convolutions: Convolutions,
}

/// A convolution of blocked images, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub x: Blocked,
    pub y: Blocked,
    pub weights: Weights,
    forward: Kernel,
    /// The gradient of the input: one kernel, or one for each remainder of rows and columns by the stride.
    backward: Vec<Kernel>,
    of_weights: WeightKernel,
    /// The image with its margin of zeros, for kernels that want one; the same for the gradient.
    margin: Option<Margin>,
    gradient_margin: Option<Margin>,
}

#[derive(Clone, Debug)]
enum Kernel {
    Slide(Slide),
    Winograd(Winograd),
    Stencil(Stencil),
}

#[derive(Clone, Debug)]
enum WeightKernel {
    Direct(Correlation),
    Winograd(Winograd),
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

    /// The image with its margin.
    fn around<'a>(&self, x: &[f32], scratch: &'a mut [f32]) -> &'a [f32] {
        let scratch = &mut scratch[..self.floats()];
        embed(x, self.size, self.at, self.whole, scratch);
        scratch
    }
}

impl Convolution {
    /// Chooses the kernels for images `x`, results `y` and kernels of the given rows and columns.
    pub fn new(conv: &Conv, kernel: [usize; 2], x: Blocked, y: Blocked, target: Target) -> Self {
        let weights = Weights { outputs: y.channels, inputs: x.channels, taps: kernel[0] * kernel[1] };
        let plain = Conv { stride: [1, 1], padding: [(1, 1), (1, 1)], dilation: [1, 1], groups: 1 };
        if *conv == plain && kernel == [3, 3] {
            Self::sliding(weights, x, y, target)
        } else {
            Self::general(conv, kernel, weights, x, y, target.isa)
        }
    }

    fn sliding(weights: Weights, x: Blocked, y: Blocked, target: Target) -> Self {
        let Target { isa, convolutions } = target;
        let (height, width) = (x.height(), x.width);
        let slide = |from: Blocked, to: Blocked| {
            let (channels, blocks) = (from.channels, to.blocks);
            let winograd = Winograd { channels, blocks, height, width };
            if convolutions == Convolutions::Winograd && winograd.pays() {
                return Kernel::Winograd(winograd);
            }
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
        let of_weights = match &forward {
            Kernel::Winograd(winograd) if winograd.gradient_pays() => {
                WeightKernel::Winograd(winograd.clone())
            }
            _ => WeightKernel::Direct(correlation),
        };
        Self { x, y, weights, forward, backward, of_weights, margin: None, gradient_margin: None }
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
            of_weights: WeightKernel::Direct(correlation),
            margin: Some(margin),
            gradient_margin: Some(gradient_margin),
        }
    }

    /// Whether the taps of weights for the gradient of the input run backwards.
    pub fn flips(&self) -> bool {
        !matches!(self.forward, Kernel::Stencil(_))
    }

    /// What the kernel is called in the plan.
    pub fn kernel_name(&self) -> &'static str {
        self.forward.name()
    }

    /// What the kernels of the gradients are called in the plan, as far as those of weights and input are wanted.
    pub fn gradient_names(&self, [weights, input]: [bool; 2]) -> String {
        let of_weights = match self.of_weights {
            WeightKernel::Winograd(_) => "3×3 Winograd",
            WeightKernel::Direct(_) if self.flips() => "3×3 sliding",
            WeightKernel::Direct(_) => "stencil",
        };
        let mut names: Vec<&str> = weights.then_some(of_weights).into_iter().collect();
        names.extend(self.backward.first().filter(|_| input).map(Kernel::name));
        names.dedup();
        names.join(", ")
    }

    /// Floats of scratch memory for [`forward`](Self::forward) and [`weight_gradient`](Self::weight_gradient).
    pub fn scratch(&self) -> usize {
        self.margin.as_ref().map_or(0, Margin::floats).max(self.forward.scratch())
    }

    /// Floats of scratch memory for [`input_gradient`](Self::input_gradient).
    pub fn gradient_scratch(&self) -> usize {
        let kernels = self.backward.iter().map(Kernel::scratch).max().unwrap_or(0);
        self.gradient_margin.as_ref().map_or(0, Margin::floats).max(kernels)
    }

    /// Floats of the weights that [`pack`](Self::pack) makes, forward and for the gradient of the input.
    pub fn packed(&self) -> [usize; 2] {
        let evaluated =
            [Some(&self.forward), self.backward.first()].map(|kernel| kernel.map_or(0, Kernel::evaluated));
        evaluated.map(|evaluated| evaluated + self.weights.packed())
    }

    /// How many images are best given at once.
    pub fn at_once(&self) -> usize {
        let kernels = self.backward.iter().chain([&self.forward]);
        kernels
            .map(|kernel| if let Kernel::Winograd(kernel) = kernel { kernel.images() } else { 1 })
            .max()
            .unwrap_or(1)
    }

    /// Some images.
    pub fn forward(&self, isa: Isa, x: &[f32], weights: &[f32], scratch: &mut [f32], y: &mut [f32]) {
        if let Kernel::Winograd(kernel) = &self.forward {
            return winograd::convolve::convolve(isa, kernel, x, weights, scratch, y, false);
        }
        for (x, y) in x.chunks_exact(self.x.image()).zip(y.chunks_exact_mut(self.y.image())) {
            let x = self.margin.as_ref().map_or(x, |margin| margin.around(x, scratch));
            self.forward.run(isa, x, weights, y, false);
        }
    }

    /// dx (+)= the gradient of some images.
    pub fn input_gradient(
        &self,
        isa: Isa,
        dy: &[f32],
        weights: &[f32],
        scratch: &mut [f32],
        accumulate: bool,
        dx: &mut [f32],
    ) {
        if let [Kernel::Winograd(kernel)] = &self.backward[..] {
            return winograd::convolve::convolve(isa, kernel, dy, weights, scratch, dx, accumulate);
        }
        for (dy, dx) in dy.chunks_exact(self.y.image()).zip(dx.chunks_exact_mut(self.x.image())) {
            let dy = self.gradient_margin.as_ref().map_or(dy, |margin| margin.around(dy, scratch));
            self.backward.iter().for_each(|kernel| kernel.run(isa, dy, weights, dx, accumulate));
        }
    }

    /// dw ← dw + the gradient of the weights from some images, as [`unpack`](Self::unpack) wants it.
    pub fn weight_gradient(&self, isa: Isa, x: &[f32], dy: &[f32], scratch: &mut [f32], dw: &mut [f32]) {
        match &self.of_weights {
            WeightKernel::Direct(kernel) => {
                for (x, dy) in x.chunks_exact(self.x.image()).zip(dy.chunks_exact(self.y.image())) {
                    let x = self.margin.as_ref().map_or(x, |margin| margin.around(x, scratch));
                    correlate(isa, kernel, x, dy, dw);
                }
            }
            WeightKernel::Winograd(kernel) => winograd::gradient::correlate(isa, kernel, x, dy, scratch, dw),
        }
    }

    /// Packs weights for forward and for the gradient of the input.
    pub fn pack(&self, crew: Crew, weights: &[f32], forward: &mut [f32], backward: Option<&mut [f32]>) {
        let (evaluated, packed) = forward.split_at_mut(self.forward.evaluated());
        self.weights.pack(crew, weights, packed);
        self.forward.evaluate(crew, packed, evaluated);
        if let (Some(backward), Some(kernel)) = (backward, self.backward.first()) {
            let (evaluated, packed) = backward.split_at_mut(kernel.evaluated());
            self.weights.pack_transposed(crew, weights, self.flips(), packed);
            kernel.evaluate(crew, packed, evaluated);
        }
    }

    /// Floats of the gradient of the weights from a group of images.
    pub fn partial(&self) -> usize {
        match &self.of_weights {
            WeightKernel::Direct(_) => self.weights.packed(),
            WeightKernel::Winograd(kernel) => kernel.weights(),
        }
    }

    /// dw (+)= the sum of the gradients from groups of images.
    pub fn unpack(&self, crew: Crew, partial: &mut [f32], groups: usize, accumulate: bool, dw: &mut [f32]) {
        let gather: fn(Isa, &mut [f32]) = match &self.of_weights {
            WeightKernel::Direct(_) => |_, _| (),
            WeightKernel::Winograd(_) => winograd::weights::gather,
        };
        self.weights.unpack_sum(
            crew,
            &mut partial[..groups * self.partial()],
            groups,
            gather,
            accumulate,
            dw,
        );
    }

    /// Multiply–add operations of all images forward, padding counted.
    pub fn multiply_adds(&self) -> usize {
        let products = self.forward.products().unwrap_or(self.direct_products());
        self.weights.outputs * self.weights.inputs * products * self.y.images
    }

    /// Those of the gradients, as far as those of weights and input are wanted.
    pub fn gradient_multiply_adds(&self, [weights, input]: [bool; 2]) -> usize {
        let direct = self.direct_products();
        let of_input = self.backward.first().and_then(Kernel::products).unwrap_or(direct);
        let of_weights = match &self.of_weights {
            WeightKernel::Direct(_) => direct,
            WeightKernel::Winograd(kernel) => kernel.products(),
        };
        let products = usize::from(weights) * of_weights + usize::from(input) * of_input;
        self.weights.outputs * self.weights.inputs * products * self.y.images
    }

    fn direct_products(&self) -> usize {
        self.weights.taps * self.y.pixels
    }
}

impl Kernel {
    fn name(&self) -> &'static str {
        match self {
            Kernel::Slide(_) => "3×3 sliding",
            Kernel::Winograd(_) => "3×3 Winograd",
            Kernel::Stencil(_) => "stencil",
        }
    }

    fn scratch(&self) -> usize {
        if let Kernel::Winograd(kernel) = self { kernel.scratch() } else { 0 }
    }

    /// Floats of weights that lie before those that are only packed.
    fn evaluated(&self) -> usize {
        if let Kernel::Winograd(kernel) = self { kernel.weights() } else { 0 }
    }

    /// Products of each pair of channels in an image, where they are others than those of the definition.
    fn products(&self) -> Option<usize> {
        if let Kernel::Winograd(kernel) = self { Some(kernel.products()) } else { None }
    }

    fn evaluate(&self, crew: Crew, packed: &[f32], evaluated: &mut [f32]) {
        if let Kernel::Winograd(kernel) = self {
            crew.chunks(evaluated, kernel.weights() / winograd::SIDE, |row, evaluated| {
                winograd::weights::evaluate(crew.isa, row, packed, evaluated);
            });
        }
    }

    /// One image, by a direct kernel.
    fn run(&self, isa: Isa, x: &[f32], weights: &[f32], y: &mut [f32], accumulate: bool) {
        match self {
            Kernel::Slide(kernel) => slide::convolve(isa, kernel, x, weights, y, accumulate),
            Kernel::Stencil(kernel) => stencil::convolve(isa, kernel, x, weights, y, accumulate),
            Kernel::Winograd(_) => unreachable!("it takes scratch memory"),
        }
    }
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
