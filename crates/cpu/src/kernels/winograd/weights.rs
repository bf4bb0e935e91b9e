//! Kernels at the points, and back.

#![allow(clippy::needless_range_loop, reason = "a kernel is indexed by row and column")]

use super::{A, B, PLACES, SIDE, scaled};
use crate::kernels::simd::{LANES, Simd, dispatch};

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

dispatch!(
    /// The gradient of evaluated weights of a pair of blocks, `[place, input channel, output channel]`, becomes that of
    /// the weights, `[tap, input channel, output channel]`, in the same memory.
    gather, gather_with,
    (gradient: &mut [f32])
);

#[inline(always)]
unsafe fn gather_with<S: Simd>(gradient: &mut [f32]) {
    let factors: [[f32; 3]; SIDE] = std::array::from_fn(at_point);
    let tile = LANES * LANES;
    assert!(gradient.len() >= PLACES * tile);
    for at in (0..tile).step_by(LANES) {
        // SAFETY: every offset is that of sixteen floats of a place; all are read before taps are written.
        unsafe {
            let values = gradient.as_mut_ptr().add(at);
            let mut rows = [[S::splat(0.0); SIDE]; 3];
            for place in 0..PLACES {
                let value = S::load(values.add(place * tile));
                for (tap, row) in rows.iter_mut().enumerate() {
                    let sum = &mut row[place % SIDE];
                    *sum = scaled::<S>(factors[place / SIDE][tap], value, *sum);
                }
            }
            for (tap_row, row) in rows.iter().enumerate() {
                for tap in 0..3 {
                    let mut sum = S::splat(0.0);
                    for (factors, value) in factors.iter().zip(row) {
                        sum = scaled::<S>(factors[tap], *value, sum);
                    }
                    S::store(values.add((3 * tap_row + tap) * tile), sum);
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
