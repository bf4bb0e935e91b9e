//! The gradient of a convolution's weights from one image.

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]
#![allow(clippy::needless_range_loop, reason = "a tile of registers is indexed by channel")]

use super::simd::{LANES, Simd, dispatch};

/// The sizes of one image; strides count floats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Correlation {
    /// Input channels.
    pub channels: usize,
    /// Blocks of output channels.
    pub blocks: usize,
    /// Rows and columns of the output.
    pub rows: usize,
    pub columns: usize,
    /// Of the input: from block to block, from output row to output row, from output pixel to output pixel.
    pub block: usize,
    pub row: usize,
    pub pixel: usize,
    /// Where the input pixel of each tap is.
    pub taps: Vec<usize>,
    /// Whether it is a 3×3 kernel of stride 1 on an image without margin, with a border of zeros.
    pub slides: bool,
}

/// Floats of input and gradient that stay in the first cache.
const STRIP: usize = 6 * 1024;

dispatch!(
    /// gradient ← gradient + Σ over pixels of x · dy, packed
    /// `[output block, input block, tap, input channel, output channel]`.
    correlate, correlate_with,
    (sizes: &Correlation, x: &[f32], dy: &[f32], gradient: &mut [f32])
);

#[inline(always)]
unsafe fn correlate_with<S: Simd>(sizes: &Correlation, x: &[f32], dy: &[f32], gradient: &mut [f32]) {
    let Correlation { channels, blocks, rows, columns, block, row, pixel, taps, .. } = sizes;
    let (input_blocks, plane) = (channels.div_ceil(LANES), rows * columns * LANES);
    if *rows == 0 || *columns == 0 {
        return;
    }
    // With a sliding window the rows outside of the image are left out, so no tap reaches further than the image.
    let reach = if sizes.slides { 0 } else { taps.iter().copied().max().unwrap_or(0) };
    let end = (input_blocks - 1) * block + (rows - 1) * row + (columns - 1) * pixel + LANES;
    assert!(x.len() >= end + reach, "the input is too short");
    assert!(dy.len() >= blocks * plane, "the gradient of the output is too short");
    assert!(gradient.len() >= blocks * input_blocks * taps.len() * LANES * LANES);

    let strip = (STRIP / (columns * LANES)).clamp(1, *rows);
    let mut first = 0;
    while first < *rows {
        let last = (first + strip).min(*rows);
        for output_block in 0..*blocks {
            for input_block in 0..input_blocks {
                let lanes = (channels - input_block * LANES).min(LANES);
                let at = (output_block * input_blocks + input_block) * taps.len() * LANES * LANES;
                let part = Part { sizes, rows: first..last };
                // SAFETY: the sizes are checked above.
                unsafe {
                    let x = x.as_ptr().add(input_block * block);
                    let dy = dy.as_ptr().add(output_block * plane);
                    let gradient = gradient.as_mut_ptr().add(at);
                    for outputs in (0..LANES).step_by(S::Part::WIDTH) {
                        part.run::<S::Part>(lanes, x, dy.add(outputs), gradient.add(outputs));
                    }
                }
            }
        }
        first = last;
    }
}

/// Some rows of one output block and one input block.
struct Part<'a> {
    sizes: &'a Correlation,
    rows: std::ops::Range<usize>,
}

impl Part<'_> {
    /// As many output channels as a vector has; `lanes` input channels.
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, lanes: usize, x: *const f32, dy: *const f32, gradient: *mut f32) {
        // SAFETY: as for `slide_row`.
        unsafe {
            if self.sizes.slides && S::SUMS >= 3 * 4 {
                self.slide::<S>(lanes, x, dy, gradient);
            } else if self.sizes.slides {
                self.border::<S>(lanes, x, dy, gradient);
            } else {
                self.taps::<S>(lanes, x, dy, gradient);
            }
        }
    }

    /// 3×3: the three taps of a row at once, and each gradient loaded once for them.
    #[inline(always)]
    unsafe fn slide<S: Simd>(&self, lanes: usize, x: *const f32, dy: *const f32, gradient: *mut f32) {
        for tap_row in 0..3 {
            let mut lane = 0;
            while lane < lanes {
                // SAFETY: a block has sixteen channels, so there are four or eight from every fourth.
                unsafe {
                    let (x, gradient) = (x.add(lane), gradient.add((3 * tap_row * LANES + lane) * LANES));
                    if S::SUMS >= 3 * 8 && lanes - lane > 4 {
                        self.slide_row::<S, 8>(tap_row, x, dy, gradient);
                        lane += 8;
                    } else {
                        self.slide_row::<S, 4>(tap_row, x, dy, gradient);
                        lane += 4;
                    }
                }
            }
        }
    }

    /// C channels with the three taps of a row.
    ///
    /// # Safety
    ///
    /// The pointers point to the first of C channels of the images and of the gradients of the row's taps.
    #[inline(always)]
    unsafe fn slide_row<S: Simd, const C: usize>(
        &self,
        tap_row: usize,
        x: *const f32,
        dy: *const f32,
        gradient: *mut f32,
    ) {
        let Correlation { rows, columns, .. } = self.sizes;
        // SAFETY: by contract; rows outside of the image are left out.
        unsafe {
            let mut sums = [[S::splat(0.0); C]; 3];
            for (tap, sums) in sums.iter_mut().enumerate() {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = S::load(gradient.add((tap * LANES + c) * LANES));
                }
            }
            for row in self.rows.clone() {
                if row + tap_row == 0 || row + tap_row > *rows {
                    continue;
                }
                let (x, dy) = (x.add((row + tap_row - 1) * columns * LANES), dy.add(row * columns * LANES));
                // Input pixel i is part of output pixel i + 1 by the left tap, i by the middle, i − 1 by the right.
                for column in 0..*columns {
                    let (x, dy) = (x.add(column * LANES), dy.add(column * LANES));
                    if column == 0 || column + 1 == *columns {
                        for c in 0..C {
                            let pixel = S::splat(*x.add(c));
                            if column + 1 < *columns {
                                sums[0][c] = S::fma(pixel, S::load(dy.add(LANES)), sums[0][c]);
                            }
                            sums[1][c] = S::fma(pixel, S::load(dy), sums[1][c]);
                            if column > 0 {
                                sums[2][c] = S::fma(pixel, S::load(dy.sub(LANES)), sums[2][c]);
                            }
                        }
                    } else {
                        // Loaded for each pixel: gradients that are handed on from pixel to pixel take registers
                        // that sums then lack, and a sum that goes through memory holds up all others.
                        let d = [S::load(dy.add(LANES)), S::load(dy), S::load(dy.sub(LANES))];
                        for c in 0..C {
                            let pixel = S::splat(*x.add(c));
                            for tap in 0..3 {
                                sums[tap][c] = S::fma(pixel, d[tap], sums[tap][c]);
                            }
                        }
                    }
                }
            }
            for (tap, sums) in sums.iter().enumerate() {
                for (c, sum) in sums.iter().enumerate() {
                    S::store(gradient.add((tap * LANES + c) * LANES), *sum);
                }
            }
        }
    }

    /// 3×3 with few registers: one tap at a time.
    #[inline(always)]
    unsafe fn border<S: Simd>(&self, lanes: usize, x: *const f32, dy: *const f32, gradient: *mut f32) {
        let Correlation { rows, columns, .. } = self.sizes;
        for tap in 0..9 {
            let (tap_row, tap_column) = (tap / 3, tap % 3);
            let from = usize::from(tap_column == 0);
            let to = if tap_column == 2 { columns - 1 } else { *columns };
            for lane in (0..lanes).step_by(4) {
                // SAFETY: rows and columns outside of the image are left out, and a block has sixteen channels.
                unsafe {
                    let gradient = gradient.add((tap * LANES + lane) * LANES);
                    let mut sums: [S::V; 4] = [S::splat(0.0); 4];
                    for (c, sum) in sums.iter_mut().enumerate() {
                        *sum = S::load(gradient.add(c * LANES));
                    }
                    for row in self.rows.clone() {
                        if row + tap_row == 0 || row + tap_row > *rows {
                            continue;
                        }
                        let x = x.add((row + tap_row - 1) * columns * LANES + lane);
                        let dy = dy.add(row * columns * LANES);
                        for column in from..to {
                            let d = S::load(dy.add(column * LANES));
                            let x = x.add((column + tap_column - 1) * LANES);
                            for (c, sum) in sums.iter_mut().enumerate() {
                                *sum = S::fma(S::splat(*x.add(c)), d, *sum);
                            }
                        }
                    }
                    for (c, sum) in sums.iter().enumerate() {
                        S::store(gradient.add(c * LANES), *sum);
                    }
                }
            }
        }
    }

    /// Any kernel, from an image with a margin.
    #[inline(always)]
    unsafe fn taps<S: Simd>(&self, lanes: usize, x: *const f32, dy: *const f32, gradient: *mut f32) {
        for (tap, &offset) in self.sizes.taps.iter().enumerate() {
            let mut lane = 0;
            while lane < lanes {
                // SAFETY: a block has sixteen channels, of which a quarter, a half or all are taken.
                unsafe {
                    let (x, gradient) = (x.add(offset + lane), gradient.add((tap * LANES + lane) * LANES));
                    if S::SUMS >= 16 && lanes - lane > 4 && lane == 0 {
                        self.tap::<S, 16>(x, dy, gradient);
                        lane += 16;
                    } else if S::SUMS >= 8 && lanes - lane > 4 {
                        self.tap::<S, 8>(x, dy, gradient);
                        lane += 8;
                    } else {
                        self.tap::<S, 4>(x, dy, gradient);
                        lane += 4;
                    }
                }
            }
        }
    }

    /// C channels with one tap.
    ///
    /// # Safety
    ///
    /// As for [`slide_row`](Self::slide_row).
    #[inline(always)]
    unsafe fn tap<S: Simd, const C: usize>(&self, x: *const f32, dy: *const f32, gradient: *mut f32) {
        let Correlation { columns, row: stride, pixel, .. } = self.sizes;
        // SAFETY: by contract.
        unsafe {
            let mut sums = [S::splat(0.0); C];
            for (c, sum) in sums.iter_mut().enumerate() {
                *sum = S::load(gradient.add(c * LANES));
            }
            for row in self.rows.clone() {
                let mut x = x.add(row * stride);
                let mut dy = dy.add(row * columns * LANES);
                for _ in 0..*columns {
                    let d = S::load(dy);
                    for (c, sum) in sums.iter_mut().enumerate() {
                        *sum = S::fma(S::splat(*x.add(c)), d, *sum);
                    }
                    x = x.add(*pixel);
                    dy = dy.add(LANES);
                }
            }
            for (c, sum) in sums.iter().enumerate() {
                S::store(gradient.add(c * LANES), *sum);
            }
        }
    }
}
