//! Convolution in groups of channels, on row-major images: correct for every shape, and not fast.

use crate::graph::Conv;

/// Sizes of a convolution in groups; each pair is rows and columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grouped {
    pub conv: Conv,
    pub images: usize,
    /// Channels of input and output.
    pub channels: [usize; 2],
    pub from: [usize; 2],
    pub to: [usize; 2],
    pub kernel: [usize; 2],
}

/// A product of a weight and an input that is part of an output, by their places.
struct Term {
    x: usize,
    weight: usize,
    y: usize,
}

impl Grouped {
    fn image(&self) -> [usize; 2] {
        [self.channels[0] * self.from[0] * self.from[1], self.channels[1] * self.to[0] * self.to[1]]
    }

    /// All terms of an output channel in one image.
    fn terms(&self, image: usize, output: usize, mut visit: impl FnMut(Term)) {
        let Self { conv, channels, from, to, kernel, .. } = self;
        let [inputs, outputs] = channels.map(|channels| channels / conv.groups);
        let first = output / outputs * inputs;
        let [x_image, y_image] = self.image();
        let input = |axis: usize, at: usize, tap: usize| {
            let at = at * conv.stride[axis] + tap * conv.dilation[axis];
            at.checked_sub(conv.padding[axis].0).filter(|&at| at < from[axis])
        };
        for row in 0..to[0] {
            for column in 0..to[1] {
                for channel in 0..inputs {
                    for tap_row in 0..kernel[0] {
                        let Some(x_row) = input(0, row, tap_row) else { continue };
                        for tap_column in 0..kernel[1] {
                            let Some(x_column) = input(1, column, tap_column) else { continue };
                            let x = ((first + channel) * from[0] + x_row) * from[1] + x_column;
                            let tap = (channel * kernel[0] + tap_row) * kernel[1] + tap_column;
                            visit(Term {
                                x: image * x_image + x,
                                weight: output * inputs * kernel[0] * kernel[1] + tap,
                                y: image * y_image + (output * to[0] + row) * to[1] + column,
                            });
                        }
                    }
                }
            }
        }
    }

    /// y of all images.
    pub fn forward(&self, x: &[f32], weights: &[f32], y: &mut [f32]) {
        y.fill(0.0);
        self.each(|term| y[term.y] += x[term.x] * weights[term.weight]);
    }

    /// dx ← dx + the gradient of the input.
    pub fn input_gradient(&self, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        self.each(|term| dx[term.x] += dy[term.y] * weights[term.weight]);
    }

    /// dw ← dw + the gradient of the weights.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        self.each(|term| dw[term.weight] += dy[term.y] * x[term.x]);
    }

    fn each(&self, mut visit: impl FnMut(Term)) {
        for image in 0..self.images {
            (0..self.channels[1]).for_each(|output| self.terms(image, output, &mut visit));
        }
    }
}
