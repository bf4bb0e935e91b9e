//! The gradient of the weights by Winograd's method: the same products the other way round.
//!
//! The result of a convolution is interpolated from products of evaluated images and evaluated kernels. So the gradient
//! of an evaluated kernel is a sum over tiles, of the evaluated images by what interpolation makes of the gradient of
//! the output when it is transposed; and that of the kernel is the transposed evaluation of it, once for all images.

#![allow(clippy::needless_range_loop, reason = "a tile of registers is indexed by channel")]

use super::{A, AT_ONCE, B, PLACES, SIDE, TILE, Tile, Winograd, scaled};
use crate::kernels::simd::{LANES, Simd, dispatch};

dispatch!(
    /// gradient ← gradient + that of the evaluated weights from all images of x, `[output block, input block, place, input
    /// channel, output channel]`.
    correlate, correlate_with,
    (winograd: &Winograd, x: &[f32], dy: &[f32], scratch: &mut [f32], gradient: &mut [f32])
);

#[inline(always)]
unsafe fn correlate_with<S: Simd>(
    winograd: &Winograd,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    gradient: &mut [f32],
) {
    let Winograd { blocks, height, width, .. } = *winograd;
    let (input_blocks, plane) = (winograd.input_blocks(), height * width * LANES);
    let [inputs, outputs] = winograd.strides();
    let images = dy.len() / (blocks * plane);
    assert!(x.len() == images * input_blocks * plane && dy.len() == images * blocks * plane);
    assert!(gradient.len() >= winograd.weights() && scratch.len() >= winograd.scratch());
    let (evaluated, gradients) = scratch.split_at_mut(PLACES * inputs);
    let tiles = images * winograd.tiles();
    for first in (0..tiles).step_by(AT_ONCE) {
        let count = AT_ONCE.min(tiles - first);
        // SAFETY: the sizes are checked above: there are as many tiles as the scratch memory has room for, and each
        // lies within its image or beyond its end, which is looked at.
        unsafe {
            for at in 0..count {
                let (image, tile) = winograd.tile(first + at);
                for part in (0..LANES).step_by(S::Part::WIDTH) {
                    for block in 0..input_blocks {
                        let to = evaluated.as_mut_ptr().add((at * input_blocks + block) * LANES + part);
                        let x = x.as_ptr().add((image * input_blocks + block) * plane + part);
                        tile.evaluate::<S::Part>(x, to, inputs);
                    }
                    for block in 0..blocks {
                        let to = gradients.as_mut_ptr().add((at * blocks + block) * LANES + part);
                        let dy = dy.as_ptr().add((image * blocks + block) * plane + part);
                        tile.spread::<S::Part>(dy, to, outputs);
                    }
                }
            }
            for place in 0..PLACES {
                let sum = Sum { input_blocks, blocks, count };
                let to = gradient.as_mut_ptr().add(place * LANES * LANES);
                sum.all::<S>(
                    evaluated.as_ptr().add(place * inputs),
                    gradients.as_ptr().add(place * outputs),
                    to,
                );
            }
        }
    }
}

impl Tile {
    /// The gradient of a tile's products from that of its output: [`interpolate`](Self::interpolate) transposed.
    ///
    /// # Safety
    ///
    /// dy points to a block of the image, `to` to the first place of the tile, which has 36 at that stride.
    #[inline(always)]
    unsafe fn spread<S: Simd>(&self, dy: *const f32, to: *mut f32, stride: usize) {
        let Self { height, width, corner: [top, left] } = *self;
        let (rows, columns) = (TILE.min(height - top), TILE.min(width - left));
        // SAFETY: pixels are read only where the image has them.
        unsafe {
            let mut lines = [[S::splat(0.0); TILE]; SIDE];
            let mut first = dy.add((top * width + left) * LANES);
            for column in 0..TILE {
                let (mut pixels, mut from) = ([S::splat(0.0); TILE], first);
                for row in 0..TILE {
                    if row < rows && column < columns {
                        pixels[row] = S::load(from);
                    }
                    from = from.wrapping_add(width * LANES);
                }
                let line = spread_line::<S>(pixels);
                for row in 0..SIDE {
                    lines[row][column] = line[row];
                }
                first = first.wrapping_add(LANES);
            }
            let mut to = to;
            for row in 0..SIDE {
                for value in spread_line::<S>(lines[row]) {
                    S::store(to, value);
                    to = to.wrapping_add(stride);
                }
            }
        }
    }
}

/// Each point's sum of four pixels by its powers; infinity has the last pixel.
///
/// # Safety
///
/// As for [`Simd`].
#[inline(always)]
unsafe fn spread_line<S: Simd>(x: [S::V; TILE]) -> [S::V; SIDE] {
    // SAFETY: by contract.
    unsafe {
        let (even, evens) = (scaled::<S>(A * A, x[2], x[0]), scaled::<S>(B * B, x[2], x[0]));
        let odd = scaled::<S>(A * A * A, x[3], S::mul(S::splat(A), x[1]));
        let odds = scaled::<S>(B * B * B, x[3], S::mul(S::splat(B), x[1]));
        [x[0], S::add(even, odd), S::sub(even, odd), S::add(evens, odds), S::sub(evens, odds), x[3]]
    }
}

/// The sums of one place over `count` tiles.
struct Sum {
    input_blocks: usize,
    blocks: usize,
    count: usize,
}

impl Sum {
    /// # Safety
    ///
    /// x and dy point to the tiles of the place, `to` to the place in the first pair of blocks.
    #[inline(always)]
    unsafe fn all<S: Simd>(&self, x: *const f32, dy: *const f32, to: *mut f32) {
        let mut block = 0;
        while block < self.blocks {
            let pair = if S::SUMS >= 16 && self.blocks - block >= 2 { 2 } else { 1 };
            for input in 0..self.input_blocks {
                let at = (block * self.input_blocks + input) * PLACES * LANES * LANES;
                // SAFETY: by contract.
                unsafe {
                    let (x, dy, to) = (x.add(input * LANES), dy.add(block * LANES), to.add(at));
                    if pair == 2 {
                        self.channels::<S, 8, 2>(x, dy, to);
                    } else if S::SUMS >= 16 {
                        self.channels::<S, 16, 1>(x, dy, to);
                    } else {
                        self.channels::<S, 4, 1>(x, dy, to);
                    }
                }
            }
            block += pair;
        }
    }

    /// A block of input channels, C at a time, with P blocks of output channels.
    ///
    /// # Safety
    ///
    /// As for [`all`](Self::all), of the blocks.
    #[inline(always)]
    unsafe fn channels<S: Simd, const C: usize, const P: usize>(
        &self,
        x: *const f32,
        dy: *const f32,
        to: *mut f32,
    ) {
        let Self { input_blocks, blocks, count } = *self;
        let (x_tile, dy_tile, pair) =
            (input_blocks * LANES, blocks * LANES, input_blocks * PLACES * LANES * LANES);
        for lane in (0..LANES).step_by(C) {
            // SAFETY: by contract.
            unsafe {
                let to = to.add(lane * LANES);
                let mut sums = [[S::splat(0.0); C]; P];
                for p in 0..P {
                    for c in 0..C {
                        sums[p][c] = S::load(to.add(p.wrapping_mul(pair)).add(c * LANES));
                    }
                }
                let (mut x, mut dy) = (x.add(lane), dy);
                for _ in 0..count {
                    let mut gradients = [S::splat(0.0); P];
                    for p in 0..P {
                        gradients[p] = S::load(dy.add(p * LANES));
                    }
                    for c in 0..C {
                        let value = S::splat(*x.add(c));
                        for p in 0..P {
                            sums[p][c] = S::fma(value, gradients[p], sums[p][c]);
                        }
                    }
                    x = x.wrapping_add(x_tile);
                    dy = dy.wrapping_add(dy_tile);
                }
                for p in 0..P {
                    for c in 0..C {
                        S::store(to.add(p.wrapping_mul(pair)).add(c * LANES), sums[p][c]);
                    }
                }
            }
        }
    }
}
