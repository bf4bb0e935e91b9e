//! Winograd's convolution F(4×4, 3×3) of one image: 36 products make the sixteen pixels of a tile, not 144.
//!
//! A tile of 6×6 input pixels is read as a polynomial in each direction and evaluated at five points and at infinity;
//! so are the kernels, once for all images. There the convolution is a product for each of the 36 places, a matrix
//! product over the channels, and the result is interpolated from it.
//!
//! Source: Lavin, Gray, *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016), where the points are 0, ±1
//! and ±2. Those here, 0, ±5/8 and ±3/2, are of a scan of pairs of eighths and sixteenths, and have less than half of
//! their error; what makes points good is told by Barabasz, Anderson, Soodhalter, Gregg, *Error Analysis and
//! Improving the Accuracy of Winograd Convolution for Deep Neural Networks* (2020).

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]
#![allow(clippy::needless_range_loop, reason = "a tile of registers is indexed by block and tile")]

pub(crate) mod gradient;

use super::simd::{LANES, Simd, dispatch};

/// Rows and columns of a tile's output.
const TILE: usize = 4;
/// Rows and columns of a tile's input.
pub(crate) const SIDE: usize = TILE + 2;
/// Products of a tile, for each pair of channels.
const PLACES: usize = SIDE * SIDE;
/// The points besides 0 and infinity are ±A and ±B. They and the products below are exact in `f32`.
const A: f32 = 0.625;
const B: f32 = 1.5;
/// Tiles that are multiplied at once: their values stay in the cache.
const AT_ONCE: usize = 16;
/// Tiles are multiplied in groups of a multiple of this.
const LEAST: usize = 4;

/// The sizes of one image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Winograd {
    /// Input channels.
    pub channels: usize,
    /// Blocks of output channels.
    pub blocks: usize,
    pub height: usize,
    pub width: usize,
}

impl Winograd {
    /// Whether it is faster than convolving directly: with that many channels, and tiles that are filled well.
    pub fn pays(&self) -> bool {
        let Self { channels, height, width, .. } = *self;
        channels >= LANES && height > TILE && width > TILE && 2 * height * width >= self.tiles() * TILE * TILE
    }

    /// Whether the gradient of the weights is faster, too. It has four times as many sums, which are loaded and stored
    /// once for [`AT_ONCE`] tiles of an image.
    pub fn gradient_pays(&self) -> bool {
        self.pays() && self.tiles() >= AT_ONCE / 2
    }

    /// The tiles of an image.
    fn tiles(&self) -> usize {
        self.height.div_ceil(TILE) * self.width.div_ceil(TILE)
    }

    /// Row and column of the first output pixel of a tile.
    fn corner(&self, tile: usize) -> [usize; 2] {
        let across = self.width.div_ceil(TILE);
        [tile / across * TILE, tile % across * TILE]
    }

    /// Products of pairs of channels in an image.
    pub fn products(&self) -> usize {
        PLACES * self.tiles()
    }

    fn input_blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Floats from one place to the next of what is evaluated at the points, and of the products. Some lie between, so
    /// that it is no multiple of a page.
    fn strides(&self) -> [usize; 2] {
        [self.input_blocks(), self.blocks].map(|blocks| (AT_ONCE * blocks + 1) * LANES)
    }

    /// Floats of scratch memory.
    pub fn scratch(&self) -> usize {
        PLACES * self.strides().iter().sum::<usize>()
    }

    /// Floats of the weights as [`convolve`] wants them.
    pub fn weights(&self) -> usize {
        PLACES * self.blocks * self.input_blocks() * LANES * LANES
    }
}

dispatch!(
    /// Weights `[output block, input block, tap, input channel, output channel]` at the points of a row of places,
    /// `[place, output block, input channel, output channel]`.
    evaluate, evaluate_with,
    (row: usize, packed: &[f32], evaluated: &mut [f32])
);

#[inline(always)]
unsafe fn evaluate_with<S: Simd>(row: usize, packed: &[f32], evaluated: &mut [f32]) {
    let factors: [[f32; 3]; SIDE] = std::array::from_fn(at_point);
    let (tile, place) = (LANES * LANES, evaluated.len() / SIDE);
    assert!(packed.len() / 9 == place && place.is_multiple_of(tile));
    for (block, taps) in packed.chunks_exact(9 * tile).enumerate() {
        for at in (0..tile).step_by(LANES) {
            // SAFETY: every offset is that of sixteen floats of the block, among the weights of taps or places.
            unsafe {
                let (from, to) = (taps.as_ptr().add(at), evaluated.as_mut_ptr().add(block * tile + at));
                let mut columns = [S::splat(0.0); 3];
                for tap in 0..9 {
                    let weights = S::load(from.add(tap * tile));
                    columns[tap % 3] = scaled::<S>(factors[row][tap / 3], weights, columns[tap % 3]);
                }
                for column in 0..SIDE {
                    let mut sum = S::splat(0.0);
                    for tap in 0..3 {
                        sum = scaled::<S>(factors[column][tap], columns[tap], sum);
                    }
                    S::store(to.add(column * place), sum);
                }
            }
        }
    }
}

/// What a kernel's three weights of a line are multiplied by at a point p: 1, p, p² over the product of its distances
/// from the other points; at infinity the last one alone remains.
fn at_point(number: usize) -> [f32; 3] {
    let (a, b) = (f64::from(A), f64::from(B));
    let points = [0.0, a, -a, b, -b];
    let Some(&point) = points.get(number) else { return [0.0, 0.0, 1.0] };
    let others = points.iter().filter(|&&other| other != point);
    let distances: f64 = others.map(|other| point - other).product();
    [1.0, point, point * point].map(|power| (power / distances) as f32)
}

dispatch!(
    /// y ← convolution of x, or y + convolution of x with `accumulate`.
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
    assert!(x.len() >= input_blocks * plane && y.len() >= blocks * plane);
    assert!(weights.len() >= winograd.weights() && scratch.len() >= winograd.scratch());
    let (evaluated, products) = scratch.split_at_mut(PLACES * from);
    let tiles = winograd.tiles();
    for first in (0..tiles).step_by(AT_ONCE) {
        let count = AT_ONCE.min(tiles - first);
        let ahead = Ahead {
            x: x.as_ptr(),
            y: y.as_ptr(),
            plane,
            blocks: [input_blocks, blocks],
            at: first * TILE * TILE,
            pixels: count * TILE * TILE,
        };
        // SAFETY: the sizes are checked above: there are as many tiles as the scratch memory has room for, each lies
        // within the image or beyond its end, which is looked at, and `LEAST` divides the room.
        unsafe {
            for tile in 0..count {
                for block in 0..input_blocks {
                    let to = evaluated.as_mut_ptr().add((tile * input_blocks + block) * LANES);
                    let x = x.as_ptr().add(block * plane);
                    let image = Image { height, width, corner: winograd.corner(first + tile) };
                    for part in (0..LANES).step_by(S::Part::WIDTH) {
                        image.evaluate::<S::Part>(x.add(part), to.add(part), from);
                    }
                }
            }
            for place in 0..PLACES {
                let product = Product { channels, input_blocks, blocks };
                ahead.fetch::<S>(place);
                let weights = weights.as_ptr().add(place * blocks * input_blocks * LANES * LANES);
                let x = evaluated.as_ptr().add(place * from);
                product.all::<S>(count, x, weights, products.as_mut_ptr().add(place * to));
            }
            for tile in 0..count {
                for block in 0..blocks {
                    let from = products.as_ptr().add((tile * blocks + block) * LANES);
                    let y = y.as_mut_ptr().add(block * plane);
                    let image = Image { height, width, corner: winograd.corner(first + tile) };
                    for part in (0..LANES).step_by(S::Part::WIDTH) {
                        image.interpolate::<S::Part>(from.add(part), to, y.add(part), accumulate);
                    }
                }
            }
        }
    }
}

/// What is needed next, asked for while tiles are multiplied.
struct Ahead {
    x: *const f32,
    y: *const f32,
    plane: usize,
    blocks: [usize; 2],
    at: usize,
    pixels: usize,
}

impl Ahead {
    /// A share of the pixels of the tiles' output, and of the input behind.
    #[inline(always)]
    unsafe fn fetch<S: Simd>(&self, place: usize) {
        let share = self.pixels.div_ceil(PLACES);
        let [from, to] = [self.at + self.pixels, self.at].map(|at| (at + place * share) * LANES);
        for (start, blocks) in
            [(self.x.wrapping_add(from), self.blocks[0]), (self.y.wrapping_add(to), self.blocks[1])]
        {
            let mut start = start;
            for _ in 0..blocks {
                let mut line = start;
                for _ in 0..share {
                    // SAFETY: nothing is read.
                    unsafe { S::prefetch(line) };
                    line = line.wrapping_add(LANES);
                }
                start = start.wrapping_add(self.plane);
            }
        }
    }
}

/// A tile of an image: row and column of its first output pixel.
struct Image {
    height: usize,
    width: usize,
    corner: [usize; 2],
}

impl Image {
    /// The input of a tile at all points.
    ///
    /// # Safety
    ///
    /// x points to a block of the image, `to` to the first place of the tile, which has 36 at that stride.
    #[inline(always)]
    unsafe fn evaluate<S: Simd>(&self, x: *const f32, to: *mut f32, stride: usize) {
        let Self { height, width, corner: [top, left] } = *self;
        // The tile begins one pixel before its output; what is before the image wraps to far behind it.
        let [rows, columns] = [(top, height), (left, width)].map(|(first, end)| {
            let inside: [bool; SIDE] = std::array::from_fn(|at| (first + at).wrapping_sub(1) < end);
            inside
        });
        let row_stride = width * LANES;
        let mut first = x.wrapping_add((top * width + left) * LANES).wrapping_sub(row_stride + LANES);
        // SAFETY: pixels are read only where the image has them.
        unsafe {
            let mut lines = [[S::splat(0.0); SIDE]; SIDE];
            for column in 0..SIDE {
                let (mut pixels, mut from) = ([S::splat(0.0); SIDE], first);
                for row in 0..SIDE {
                    if rows[row] && columns[column] {
                        pixels[row] = S::load(from);
                    }
                    from = from.wrapping_add(row_stride);
                }
                let line = evaluate_line::<S>(pixels);
                for row in 0..SIDE {
                    lines[row][column] = line[row];
                }
                first = first.wrapping_add(LANES);
            }
            let mut to = to;
            for row in 0..SIDE {
                for value in evaluate_line::<S>(lines[row]) {
                    S::store(to, value);
                    to = to.wrapping_add(stride);
                }
            }
        }
    }

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

/// Six pixels of a line as the polynomial whose products by those of kernels are interpolated: at 0, A, −A, B, −B and
/// infinity, each the sum of the pixels by the coefficients of the product of all other (x − point).
///
/// # Safety
///
/// As for [`Simd`].
#[inline(always)]
unsafe fn evaluate_line<S: Simd>(x: [S::V; SIDE]) -> [S::V; SIDE] {
    const A2: f32 = A * A;
    const B2: f32 = B * B;
    // SAFETY: by contract.
    unsafe {
        let (even, odd) = (scaled::<S>(-B2, x[2], x[4]), scaled::<S>(-B2, x[1], x[3]));
        let (evens, odds) = (scaled::<S>(-A2, x[2], x[4]), scaled::<S>(-A2, x[1], x[3]));
        [
            scaled::<S>(A2 * B2, x[0], scaled::<S>(-(A2 + B2), x[2], x[4])),
            scaled::<S>(A, odd, even),
            scaled::<S>(-A, odd, even),
            scaled::<S>(B, odds, evens),
            scaled::<S>(-B, odds, evens),
            scaled::<S>(A2 * B2, x[1], scaled::<S>(-(A2 + B2), x[3], x[5])),
        ]
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

/// factor · x + added: no closure, which would be compiled without the instructions.
///
/// # Safety
///
/// As for [`Simd`].
#[inline(always)]
unsafe fn scaled<S: Simd>(factor: f32, x: S::V, added: S::V) -> S::V {
    // SAFETY: by contract.
    unsafe { S::fma(S::splat(factor), x, added) }
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
