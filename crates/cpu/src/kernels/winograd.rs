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

pub(crate) mod convolve;
pub(crate) mod gradient;
pub(crate) mod weights;

use super::simd::{LANES, Simd};

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
/// Floats that stay in the second cache beside others.
const RESIDENT: usize = 160 * 1024;

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
    /// once for [`AT_ONCE`] tiles and added up over the groups of images; so they stay in the second cache, or an
    /// image has tiles enough.
    pub fn gradient_pays(&self) -> bool {
        self.pays() && (self.weights() <= RESIDENT || self.tiles() >= AT_ONCE / 2)
    }

    /// How many images are best convolved at once: as many as have the tiles that are multiplied at once.
    pub fn images(&self) -> usize {
        (AT_ONCE / self.tiles()).max(1)
    }

    /// The tiles of an image.
    fn tiles(&self) -> usize {
        self.height.div_ceil(TILE) * self.width.div_ceil(TILE)
    }

    /// The tile of that number, of one image after the other, and the image that it is of.
    fn tile(&self, number: usize) -> (usize, Tile) {
        let Self { height, width, .. } = *self;
        let (image, number) = (number / self.tiles(), number % self.tiles());
        let across = width.div_ceil(TILE);
        (image, Tile { height, width, corner: [number / across * TILE, number % across * TILE] })
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

    /// Floats of the weights as they are evaluated.
    pub fn weights(&self) -> usize {
        PLACES * self.blocks * self.input_blocks() * LANES * LANES
    }
}

/// A tile of an image of those sizes: row and column of its first output pixel.
struct Tile {
    height: usize,
    width: usize,
    corner: [usize; 2],
}

impl Tile {
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
