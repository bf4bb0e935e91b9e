//! The convolution itself.

#![allow(clippy::needless_range_loop, reason = "a tile of registers is indexed by block and tile")]

use super::{A, AT_ONCE, B, PLACES, SIDE, TILE, Tile, Winograd, scaled};
use crate::kernels::simd::{LANES, Simd, dispatch};

/// Tiles are multiplied in groups of a multiple of this.
const LEAST: usize = 4;

dispatch!(
    /// y ← convolution of all images of x, or y + convolution with `accumulate`.
    convolve, convolve_with,
    (winograd: &Winograd, x: &[f32], weights: &[f32], scratch: &mut [f32], y: &mut [f32], accumulate: bool)
);

#[inline(always)]
unsafe fn convolve_with<S: Simd>(
    winograd: &Winograd,
    x: &[f32],
    weights: &[f32],
    scratch: &mut [f32],
    y: &mut [f32],
    accumulate: bool,
) {
    let Winograd { channels, blocks, height, width } = *winograd;
    let (input_blocks, plane) = (winograd.input_blocks(), height * width * LANES);
    let [from, to] = winograd.strides();
    let images = y.len() / (blocks * plane);
    assert!(x.len() == images * input_blocks * plane && y.len() == images * blocks * plane);
    assert!(weights.len() >= winograd.weights() && scratch.len() >= winograd.scratch());
    let (evaluated, products) = scratch.split_at_mut(PLACES * from);
    let tiles = images * winograd.tiles();
    for first in (0..tiles).step_by(AT_ONCE) {
        let count = AT_ONCE.min(tiles - first);
        let ahead = Ahead::of(winograd, x, y, first, count);
        // SAFETY: the sizes are checked above: there are as many tiles as the scratch memory has room for, each lies
        // within its image or beyond its end, which is looked at, and `LEAST` divides the room.
        unsafe {
            for at in 0..count {
                let (image, tile) = winograd.tile(first + at);
                for block in 0..input_blocks {
                    let to = evaluated.as_mut_ptr().add((at * input_blocks + block) * LANES);
                    let x = x.as_ptr().add((image * input_blocks + block) * plane);
                    for part in (0..LANES).step_by(S::Part::WIDTH) {
                        tile.evaluate::<S::Part>(x.add(part), to.add(part), from);
                    }
                }
            }
            for place in 0..PLACES {
                ahead.fetch::<S>(place);
                let product = Product { channels, input_blocks, blocks };
                let weights = weights.as_ptr().add(place * blocks * input_blocks * LANES * LANES);
                let x = evaluated.as_ptr().add(place * from);
                product.all::<S>(count, x, weights, products.as_mut_ptr().add(place * to));
            }
            for at in 0..count {
                let (image, tile) = winograd.tile(first + at);
                for block in 0..blocks {
                    let from = products.as_ptr().add((at * blocks + block) * LANES);
                    let y = y.as_mut_ptr().add((image * blocks + block) * plane);
                    for part in (0..LANES).step_by(S::Part::WIDTH) {
                        tile.interpolate::<S::Part>(from.add(part), to, y.add(part), accumulate);
                    }
                }
            }
        }
    }
}

/// The memory of the next tiles' input and of these tiles' output, asked for while tiles are multiplied: otherwise all
/// would wait for it.
struct Ahead([Lines; 2]);

/// Cache lines of some blocks.
struct Lines {
    start: *const f32,
    blocks: usize,
    block: usize,
    /// Of each block, and each place.
    share: usize,
}

impl Ahead {
    fn of(winograd: &Winograd, x: &[f32], y: &[f32], first: usize, count: usize) -> Self {
        let Winograd { blocks, height, width, .. } = *winograd;
        let (tiles, pixels) = (winograd.tiles(), height * width);
        let lines = |values: &[f32], blocks: usize, tile: usize| {
            let (image, at) = (tile / tiles * blocks * pixels, tile % tiles * TILE * TILE);
            let start = values.as_ptr().wrapping_add((image + at) * LANES);
            // Tiles of several images are all of their blocks.
            let (blocks, lines) = if tiles < AT_ONCE {
                (1, count * blocks * pixels / tiles)
            } else {
                (blocks, count * TILE * TILE)
            };
            Lines { start, blocks, block: pixels * LANES, share: lines.div_ceil(PLACES) }
        };
        Self([lines(x, winograd.input_blocks(), first + count), lines(y, blocks, first)])
    }

    /// The share of a place.
    ///
    /// # Safety
    ///
    /// As for [`Simd`].
    #[inline(always)]
    unsafe fn fetch<S: Simd>(&self, place: usize) {
        for Lines { start, blocks, block, share } in &self.0 {
            let mut start = start.wrapping_add(place * share * LANES);
            for _ in 0..*blocks {
                let mut line = start;
                for _ in 0..*share {
                    // SAFETY: nothing is read.
                    unsafe { S::prefetch(line) };
                    line = line.wrapping_add(LANES);
                }
                start = start.wrapping_add(*block);
            }
        }
    }
}

impl Tile {
    /// The output of a tile from its products.
    ///
    /// # Safety
    ///
    /// `from` points to the first place of the tile, which has 36 at that stride, y to a block of the image.
    #[inline(always)]
    unsafe fn interpolate<S: Simd>(&self, from: *const f32, stride: usize, y: *mut f32, accumulate: bool) {
        let Self { height, width, corner: [top, left] } = *self;
        let row_stride = width * LANES;
        // SAFETY: pixels are written only where the image has them.
        unsafe {
            let mut lines = [[S::splat(0.0); SIDE]; TILE];
            let (mut first, down) = (from, SIDE * stride);
            for column in 0..SIDE {
                let (mut products, mut from) = ([S::splat(0.0); SIDE], first);
                for product in &mut products {
                    *product = S::load(from);
                    from = from.wrapping_add(down);
                }
                let line = interpolate_line::<S>(products);
                for row in 0..TILE {
                    lines[row][column] = line[row];
                }
                first = first.add(stride);
            }
            let mut y = y.add((top * width + left) * LANES);
            for row in 0..TILE.min(height - top) {
                let line = interpolate_line::<S>(lines[row]);
                let mut to = y;
                for value in line.into_iter().take(width - left) {
                    let before = if accumulate { S::load(to) } else { S::splat(0.0) };
                    S::store(to, S::add(value, before));
                    to = to.wrapping_add(LANES);
                }
                y = y.wrapping_add(row_stride);
            }
        }
    }
}

/// Four pixels of a line from its products: pixel k is the sum of the products by the k-th powers of their points, and
/// the last has that at infinity.
///
/// # Safety
///
/// As for [`Simd`].
#[inline(always)]
unsafe fn interpolate_line<S: Simd>(x: [S::V; SIDE]) -> [S::V; TILE] {
    // SAFETY: by contract.
    unsafe {
        let (sum, sums) = (S::add(x[1], x[2]), S::add(x[3], x[4]));
        let (difference, differences) = (S::sub(x[1], x[2]), S::sub(x[3], x[4]));
        [
            S::add(x[0], S::add(sum, sums)),
            scaled::<S>(A, difference, S::mul(S::splat(B), differences)),
            scaled::<S>(A * A, sum, S::mul(S::splat(B * B), sums)),
            scaled::<S>(A * A * A, difference, scaled::<S>(B * B * B, differences, x[5])),
        ]
    }
}

/// The matrix product of one place: `[tile, input channel]` by `[output block, input channel, output channel]`.
struct Product {
    channels: usize,
    input_blocks: usize,
    blocks: usize,
}

impl Product {
    /// # Safety
    ///
    /// x, w and y point to all tiles and blocks of the place, with room for a multiple of [`LEAST`] tiles.
    #[inline(always)]
    unsafe fn all<S: Simd>(&self, count: usize, x: *const f32, w: *const f32, y: *mut f32) {
        let mut block = 0;
        while block < self.blocks {
            let pair = if S::SUMS >= 16 && self.blocks - block >= 2 { 2 } else { 1 };
            let mut tile = 0;
            while tile < count {
                // SAFETY: by contract.
                unsafe {
                    let x = x.add(tile * self.input_blocks * LANES);
                    let w = w.add(block * self.input_blocks * LANES * LANES);
                    let y = y.add((tile * self.blocks + block) * LANES);
                    tile += match (pair, count - tile) {
                        (1, 13..) if S::SUMS >= 16 => self.run::<S, 16, 1>(x, w, y),
                        (1, 5..) if S::SUMS >= 8 => self.run::<S, 8, 1>(x, w, y),
                        (1, _) => self.run::<S, LEAST, 1>(x, w, y),
                        (_, 5..) => self.run::<S, 8, 2>(x, w, y),
                        _ => self.run::<S, LEAST, 2>(x, w, y),
                    };
                }
            }
            block += pair;
        }
    }

    /// P tiles of B blocks in registers; answers P.
    ///
    /// # Safety
    ///
    /// x points to the first of the tiles, w to the weights of the first block, y to its sums.
    #[inline(always)]
    unsafe fn run<S: Simd, const P: usize, const B: usize>(
        &self,
        x: *const f32,
        w: *const f32,
        y: *mut f32,
    ) -> usize {
        let Self { channels, input_blocks, blocks } = *self;
        let (x_tile, y_tile, w_block) = (input_blocks * LANES, blocks * LANES, input_blocks * LANES * LANES);
        // SAFETY: by contract.
        unsafe {
            let mut sums = [[S::splat(0.0); P]; B];
            let (mut x, mut w) = (x, w);
            for _ in 0..channels {
                let mut weights = [S::splat(0.0); B];
                for b in 0..B {
                    weights[b] = S::load(w.add(b.wrapping_mul(w_block)));
                }
                for p in 0..P {
                    let value = S::splat(*x.add(p.wrapping_mul(x_tile)));
                    for b in 0..B {
                        sums[b][p] = S::fma(value, weights[b], sums[b][p]);
                    }
                }
                x = x.add(1);
                w = w.add(LANES);
            }
            for b in 0..B {
                for p in 0..P {
                    S::store(y.add(p.wrapping_mul(y_tile)).add(b.wrapping_mul(LANES)), sums[b][p]);
                }
            }
        }
        P
    }
}
