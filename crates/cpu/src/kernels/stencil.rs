//! Convolution of one image with any kernel, stride and dilation, from an image with a margin of zeros.

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]
#![allow(clippy::needless_range_loop, reason = "a tile of registers is indexed by block and pixel")]

use super::simd::{LANES, Simd, dispatch};

/// Which input pixels make an output pixel, and which output pixels are made.
///
/// Offsets and strides count floats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stencil {
    /// From the input pixel of an output pixel, the pixel to multiply, and the number of its weights.
    pub taps: Vec<(usize, usize)>,
    /// Taps that the weights are packed for.
    pub packed_taps: usize,
    /// Input channels.
    pub channels: usize,
    /// Blocks of output channels.
    pub blocks: usize,
    /// Rows of output pixels.
    pub rows: usize,
    /// Runs of output pixels in a row: the first, and how many.
    pub runs: Vec<(usize, usize)>,
    pub input: Strides,
    pub output: Strides,
}

/// Floats from one to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strides {
    /// Where the first pixel is.
    pub start: usize,
    pub block: usize,
    /// Within a block of the input; the output's channels lie side by side.
    pub channel: usize,
    pub row: usize,
    pub pixel: usize,
}

/// Weights of a block of output channels that stay in the first cache, in floats.
pub(crate) const RESIDENT: usize = 10 * 1024;

/// Splits a row into runs of lengths that kernels are made for, in the way that takes the least time.
pub(crate) fn runs(width: usize, longest: usize) -> Vec<(usize, usize)> {
    // A run costs its pixels and about two more for what is done once.
    let mut best: Vec<(usize, usize)> = vec![(0, 0)];
    for width in 1..=width {
        let fitting = LENGTHS.into_iter().filter(|&length| length <= longest.min(width));
        let costs = fitting.map(|length| (best[width - length].0 + length + 2, length));
        best.push(costs.min().unwrap_or((usize::MAX, 1)));
    }
    let (mut runs, mut end) = (Vec::new(), width);
    while end > 0 {
        let length = best[end].1;
        end -= length;
        runs.push((end, length));
    }
    runs.reverse();
    runs
}

/// The lengths of runs that kernels are made for.
pub(crate) const LENGTHS: [usize; 7] = [16, 14, 8, 7, 4, 2, 1];

dispatch!(
    /// y ← convolution of x, or y + convolution of x with `accumulate`.
    ///
    /// Weights are packed `[output block, input block, tap, input channel, output channel]`.
    convolve, convolve_with,
    (stencil: &Stencil, x: &[f32], weights: &[f32], y: &mut [f32], accumulate: bool)
);

#[inline(always)]
unsafe fn convolve_with<S: Simd>(
    stencil: &Stencil,
    x: &[f32],
    weights: &[f32],
    y: &mut [f32],
    accumulate: bool,
) {
    let Stencil { packed_taps, channels, blocks, input, output, .. } = stencil;
    let input_blocks = channels.div_ceil(LANES);
    let block_weights = input_blocks * packed_taps * LANES * LANES;
    check(stencil, x.len(), weights.len(), y.len());
    let mut block = 0;
    while block < *blocks {
        let pair = if S::SUMS >= 16 && blocks - block >= 2 { 2 } else { 1 };
        let at_once = (RESIDENT / (pair * packed_taps * LANES * LANES)).max(1);
        let mut first = 0;
        while first < input_blocks {
            let last = (first + at_once).min(input_blocks);
            for row in 0..stencil.rows {
                for &(start, length) in &stencil.runs {
                    let add = accumulate || first > 0;
                    // SAFETY: `check` has made sure that all pixels of all runs and all weights are there.
                    unsafe {
                        let from = x.as_ptr().add(input.start + row * input.row + start * input.pixel);
                        let by = weights.as_ptr().add(block * block_weights);
                        let at = output.start + block * output.block + row * output.row;
                        let to = y.as_mut_ptr().add(at + start * output.pixel);
                        let tile = Tile { stencil, blocks: first..last, block_weights, add };
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

/// Panics unless the whole stencil lies within the slices.
fn check(stencil: &Stencil, x: usize, weights: usize, y: usize) {
    let Stencil { taps, packed_taps, channels, blocks, rows, runs, input, output } = stencil;
    let (input_blocks, pixels) = (channels.div_ceil(LANES), runs.last().map_or(0, |run| run.0 + run.1));
    if *rows == 0 || pixels == 0 || *channels == 0 {
        return;
    }
    let end = |strides: &Strides, channel: usize| {
        let Strides { start, block, channel: next, row, pixel } = strides;
        let last = channel / LANES * block + channel % LANES * next;
        start + last + (rows - 1) * row + (pixels - 1) * pixel + 1
    };
    let reach = taps.iter().map(|tap| tap.0).max().unwrap_or(0);
    assert!(end(input, channels - 1) + reach <= x, "the input is too short");
    assert!(output.channel == 1 && end(output, blocks * LANES - 1) <= y, "the output is too short");
    assert!(blocks * input_blocks * packed_taps * LANES * LANES <= weights, "weights are missing");
    assert!(taps.iter().all(|tap| tap.1 < *packed_taps), "a tap has no weights");
}

/// A run of output pixels, for one or two blocks of output channels.
struct Tile<'a> {
    stencil: &'a Stencil,
    /// Input blocks.
    blocks: std::ops::Range<usize>,
    block_weights: usize,
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
        let (step, to) = (self.stencil.input.pixel, self.stencil.output.pixel);
        // SAFETY: as for `run`; two halves of a run are its pixels.
        unsafe {
            match length {
                16 => {
                    self.run::<S, 8, 2>(x, w, y);
                    self.run::<S, 8, 2>(x.add(8 * step), w, y.add(8 * to));
                }
                14 => {
                    self.run::<S, 7, 2>(x, w, y);
                    self.run::<S, 7, 2>(x.add(7 * step), w, y.add(7 * to));
                }
                8 => self.run::<S, 8, 2>(x, w, y),
                7 => self.run::<S, 7, 2>(x, w, y),
                4 => self.run::<S, 4, 2>(x, w, y),
                2 => self.run::<S, 2, 2>(x, w, y),
                1 => self.run::<S, 1, 2>(x, w, y),
                other => unreachable!("no kernel is made for runs of {other}"),
            }
        }
    }

    /// P pixels of B output blocks in registers.
    ///
    /// # Safety
    ///
    /// x points to the input pixel of the first output pixel in the first block, w to the weights of the output
    /// block, y to the first output pixel; all that the stencil says of them is there.
    #[inline(always)]
    unsafe fn run<S: Simd, const P: usize, const B: usize>(&self, x: *const f32, w: *const f32, y: *mut f32) {
        let Stencil { taps, packed_taps, channels, input, output, .. } = self.stencil;
        // SAFETY: by contract.
        unsafe {
            let mut sums = [[S::splat(0.0); P]; B];
            if self.add {
                for b in 0..B {
                    for p in 0..P {
                        sums[b][p] = S::load(y.add(b * output.block + p * output.pixel));
                    }
                }
            }
            for block in self.blocks.clone() {
                let lanes = (channels - block * LANES).min(LANES);
                for &(offset, tap) in taps {
                    let mut x = x.add(block * input.block + offset);
                    let mut w = w.add((block * packed_taps + tap) * LANES * LANES);
                    for _ in 0..lanes {
                        let mut weights = [S::splat(0.0); B];
                        for b in 0..B {
                            weights[b] = S::load(w.add(b * self.block_weights));
                        }
                        for p in 0..P {
                            let pixel = S::splat(*x.add(p * input.pixel));
                            for b in 0..B {
                                sums[b][p] = S::fma(pixel, weights[b], sums[b][p]);
                            }
                        }
                        x = x.add(input.channel);
                        w = w.add(LANES);
                    }
                }
            }
            for b in 0..B {
                for p in 0..P {
                    S::store(y.add(b * output.block + p * output.pixel), sums[b][p]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_a_row() {
        for width in 1..70 {
            for longest in [16, 4] {
                let runs = runs(width, longest);
                let ends: Vec<usize> = runs.iter().map(|(start, length)| start + length).collect();
                assert_eq!(runs[0].0, 0);
                assert!(runs[1..].iter().zip(&ends).all(|(run, end)| run.0 == *end), "{runs:?}");
                assert_eq!(ends.last(), Some(&width));
                assert!(runs.iter().all(|(_, length)| LENGTHS.contains(length) && *length <= longest));
            }
        }
        assert_eq!(runs(28, 16), [(0, 14), (14, 14)]);
    }
}
