//! Convolution of one image with 3×3 kernels, stride 1 and a border of one pixel of zeros: most of a ResNet.
//!
//! A pixel is loaded once for the three output pixels of its row that it is part of, and rows and columns
//! outside of the image are left out rather than multiplied by 0.

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]
#![allow(clippy::needless_range_loop, reason = "a tile of registers is indexed by block and pixel")]

use super::{
    simd::{LANES, Simd, dispatch},
    stencil::RESIDENT,
};

/// Taps of a kernel.
const TAPS: usize = 9;

/// The sizes of one image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slide {
    /// Input channels.
    pub channels: usize,
    /// Blocks of output channels.
    pub blocks: usize,
    pub height: usize,
    pub width: usize,
    /// Runs of pixels in a row: the first, and how many.
    pub runs: Vec<(usize, usize)>,
}

dispatch!(
    /// y ← convolution of x, or y + convolution of x with `accumulate`.
    ///
    /// Weights are packed `[output block, input block, tap, input channel, output channel]`.
    convolve, convolve_with,
    (slide: &Slide, x: &[f32], weights: &[f32], y: &mut [f32], accumulate: bool)
);

#[inline(always)]
unsafe fn convolve_with<S: Simd>(slide: &Slide, x: &[f32], weights: &[f32], y: &mut [f32], accumulate: bool) {
    let Slide { channels, blocks, height, width, runs } = slide;
    let (input_blocks, plane) = (channels.div_ceil(LANES), height * width * LANES);
    let block_weights = input_blocks * TAPS * LANES * LANES;
    let covered = runs.last().is_none_or(|run| run.0 + run.1 == *width);
    assert!(covered && x.len() >= input_blocks * plane && y.len() >= blocks * plane);
    assert!(weights.len() >= blocks * block_weights);
    let mut block = 0;
    while block < *blocks {
        let pair = if S::SUMS >= 16 && blocks - block >= 2 && *width <= 8 { 2 } else { 1 };
        let at_once = (RESIDENT / (pair * TAPS * LANES * LANES)).max(1);
        let mut first = 0;
        while first < input_blocks {
            let last = (first + at_once).min(input_blocks);
            for row in 0..*height {
                for &(start, length) in runs {
                    let tile = Tile { slide, blocks: first..last, row, start, add: accumulate || first > 0 };
                    // SAFETY: the sizes are checked above, and the run lies within a row of the image.
                    unsafe {
                        let from = x.as_ptr();
                        let by = weights.as_ptr().add(block * block_weights);
                        let to = y.as_mut_ptr().add(block * plane + (row * width + start) * LANES);
                        if pair == 2 {
                            tile.pair::<S>(length, from, by, to);
                        } else {
                            tile.single::<S>(length, from, by, to);
                        }
                    }
                }
            }
            first = last;
        }
        block += pair;
    }
}

/// A run of output pixels, for one or two blocks of output channels.
struct Tile<'a> {
    slide: &'a Slide,
    /// Input blocks.
    blocks: std::ops::Range<usize>,
    row: usize,
    start: usize,
    add: bool,
}

impl Tile<'_> {
    /// One block of output channels, part by part.
    #[inline(always)]
    unsafe fn single<S: Simd>(&self, length: usize, x: *const f32, w: *const f32, y: *mut f32) {
        for part in (0..LANES).step_by(S::Part::WIDTH) {
            // SAFETY: as for `run`; weights and sums of a part of the channels lie as far behind those of the first.
            unsafe { self.part::<S::Part>(length, x, w.add(part), y.add(part)) }
        }
    }

    #[inline(always)]
    unsafe fn part<S: Simd>(&self, length: usize, x: *const f32, w: *const f32, y: *mut f32) {
        // SAFETY: as for `run`.
        unsafe {
            match length {
                16 if S::SUMS >= 16 => self.run::<S, 16, 1>(x, w, y),
                14 if S::SUMS >= 14 => self.run::<S, 14, 1>(x, w, y),
                8 if S::SUMS >= 8 => self.run::<S, 8, 1>(x, w, y),
                7 if S::SUMS >= 7 => self.run::<S, 7, 1>(x, w, y),
                4 => self.run::<S, 4, 1>(x, w, y),
                2 => self.run::<S, 2, 1>(x, w, y),
                1 => self.run::<S, 1, 1>(x, w, y),
                other => unreachable!("no kernel is made for runs of {other}"),
            }
        }
    }

    #[inline(always)]
    unsafe fn pair<S: Simd>(&self, length: usize, x: *const f32, w: *const f32, y: *mut f32) {
        // SAFETY: as for `run`.
        unsafe {
            match length {
                8 => self.run::<S, 8, 2>(x, w, y),
                7 => self.run::<S, 7, 2>(x, w, y),
                4 => self.run::<S, 4, 2>(x, w, y),
                2 => self.run::<S, 2, 2>(x, w, y),
                1 => self.run::<S, 1, 2>(x, w, y),
                other => unreachable!("no kernel for two blocks is made for runs of {other}"),
            }
        }
    }

    /// P pixels of B output blocks in registers, with the weights of a row of the kernel.
    ///
    /// # Safety
    ///
    /// x points to the image, w to the weights of the output block, y to the first output pixel; all that the
    /// sizes say of them is there.
    #[inline(always)]
    unsafe fn run<S: Simd, const P: usize, const B: usize>(&self, x: *const f32, w: *const f32, y: *mut f32) {
        let Slide { channels, height, width, .. } = self.slide;
        let plane = height * width * LANES;
        let block_weights = channels.div_ceil(LANES) * TAPS * LANES * LANES;
        let (left, right) = (self.start > 0, self.start + P < *width);
        let top = usize::from(self.row == 0);
        let bottom = if self.row + 1 == *height { 2 } else { 3 };
        // SAFETY: by contract; pixels beside the run are read only where the image has them.
        unsafe {
            let mut sums = [[S::splat(0.0); P]; B];
            if self.add {
                for b in 0..B {
                    for p in 0..P {
                        sums[b][p] = S::load(y.add(b * plane + p * LANES));
                    }
                }
            }
            for block in self.blocks.clone() {
                let lanes = (channels - block * LANES).min(LANES);
                for tap_row in top..bottom {
                    let mut x =
                        x.add(block * plane + ((self.row + tap_row - 1) * width + self.start) * LANES);
                    let mut w = w.add((block * TAPS + 3 * tap_row) * LANES * LANES);
                    for _ in 0..lanes {
                        let mut weights = [[S::splat(0.0); 3]; B];
                        for b in 0..B {
                            for column in 0..3 {
                                weights[b][column] =
                                    S::load(w.add(b * block_weights + column * LANES * LANES));
                            }
                        }
                        if left {
                            let pixel = S::splat(*x.sub(LANES));
                            for b in 0..B {
                                sums[b][0] = S::fma(pixel, weights[b][0], sums[b][0]);
                            }
                        }
                        for p in 0..P {
                            let pixel = S::splat(*x.add(p * LANES));
                            for b in 0..B {
                                if p + 1 < P {
                                    sums[b][p + 1] = S::fma(pixel, weights[b][0], sums[b][p + 1]);
                                }
                                sums[b][p] = S::fma(pixel, weights[b][1], sums[b][p]);
                                if p > 0 {
                                    sums[b][p - 1] = S::fma(pixel, weights[b][2], sums[b][p - 1]);
                                }
                            }
                        }
                        if right {
                            let pixel = S::splat(*x.add(P * LANES));
                            for b in 0..B {
                                sums[b][P - 1] = S::fma(pixel, weights[b][2], sums[b][P - 1]);
                            }
                        }
                        x = x.add(1);
                        w = w.add(LANES);
                    }
                }
            }
            for b in 0..B {
                for p in 0..P {
                    S::store(y.add(b * plane + p * LANES), sums[b][p]);
                }
            }
        }
    }
}
