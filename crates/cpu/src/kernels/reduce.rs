//! Reductions and softmax along one dimension; sums run in `f64`.

#![allow(unsafe_code, reason = "the compiler may use the vector instructions that a function is called for")]

use super::simd::{LANES, Simd, dispatch};
use crate::graph::Reduce;

/// y = reduction of x `[outer, length, inner]` over its middle.
pub(crate) fn reduce(kind: Reduce, [outer, length, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    for o in 0..outer {
        for i in 0..inner {
            let values = (0..length).map(|at| x[(o * length + at) * inner + i]);
            y[o * inner + i] = match kind {
                Reduce::Sum => values.map(f64::from).sum::<f64>() as f32,
                Reduce::Mean => (values.map(f64::from).sum::<f64>() / length as f64) as f32,
                Reduce::Max => values.fold(f32::NEG_INFINITY, f32::max),
                Reduce::Min => values.fold(f32::INFINITY, f32::min),
            };
        }
    }
}

/// dx (+)= the gradient of [`reduce`]; of equal extremes the first gets it.
pub(crate) fn reduce_gradient(
    kind: Reduce,
    [outer, length, inner]: [usize; 3],
    x: &[f32],
    dy: &[f32],
    accumulate: bool,
    dx: &mut [f32],
) {
    if !accumulate {
        dx.fill(0.0);
    }
    for o in 0..outer {
        for i in 0..inner {
            let gradient = dy[o * inner + i];
            let place = |at: usize| (o * length + at) * inner + i;
            match kind {
                Reduce::Sum => (0..length).for_each(|at| dx[place(at)] += gradient),
                Reduce::Mean => (0..length).for_each(|at| dx[place(at)] += gradient / length as f32),
                Reduce::Max | Reduce::Min => {
                    let better = |a: f32, b: f32| if kind == Reduce::Max { a > b } else { a < b };
                    let best = (1..length)
                        .fold(0, |best, at| if better(x[place(at)], x[place(best)]) { at } else { best });
                    dx[place(best)] += gradient;
                }
            }
        }
    }
}

dispatch!(
    /// y = softmax of x `[outer, length, inner]` over its middle, or its logarithm: x − max − log Σ exp(x − max).
    softmax, softmax_with,
    (log: bool, sizes: [usize; 3], x: &[f32], y: &mut [f32])
);

#[inline(always)]
unsafe fn softmax_with<S: Simd>(log: bool, [outer, length, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    for o in 0..outer {
        for i in 0..inner {
            let place = |at: usize| (o * length + at) * inner + i;
            let most = (0..length).map(|at| x[place(at)]).fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for first in (0..length).step_by(LANES) {
                let places = (first..length).take(LANES).map(place);
                let mut distances = [f32::NEG_INFINITY; LANES];
                distances.iter_mut().zip(places.clone()).for_each(|(to, at)| *to = x[at] - most);
                let exponentials = exponentials(distances);
                sum += f64::from(sum_of(exponentials));
                let kept = if log { distances } else { exponentials };
                places.zip(kept).for_each(|(at, value)| y[at] = value);
            }
            let (log_sum, factor) = (sum.ln() as f32, (1.0 / sum) as f32);
            for at in (0..length).map(place) {
                y[at] = if log { y[at] - log_sum } else { y[at] * factor };
            }
        }
    }
}

dispatch!(
    /// dx (+)= the gradient of [`softmax`]: y (dy − Σ dy y), or with the logarithm dy − exp(y) Σ dy.
    softmax_gradient, softmax_gradient_with,
    (log: bool, sizes: [usize; 3], y: &[f32], dy: &[f32], accumulate: bool, dx: &mut [f32])
);

#[inline(always)]
unsafe fn softmax_gradient_with<S: Simd>(
    log: bool,
    [outer, length, inner]: [usize; 3],
    y: &[f32],
    dy: &[f32],
    accumulate: bool,
    dx: &mut [f32],
) {
    for o in 0..outer {
        for i in 0..inner {
            let place = |at: usize| (o * length + at) * inner + i;
            let weight = |at: usize| if log { 1.0 } else { f64::from(y[place(at)]) };
            let sum = (0..length).map(|at| f64::from(dy[place(at)]) * weight(at)).sum::<f64>() as f32;
            for first in (0..length).step_by(LANES) {
                let places = (first..length).take(LANES).map(place);
                let mut shares = [0.0; LANES];
                shares.iter_mut().zip(places.clone()).for_each(|(to, at)| *to = y[at]);
                if log {
                    shares = exponentials(shares);
                }
                for (at, share) in places.zip(shares) {
                    let gradient = if log { dy[at] - share * sum } else { share * (dy[at] - sum) };
                    dx[at] = if accumulate { dx[at] + gradient } else { gradient };
                }
            }
        }
    }
}

/// Not `map` of the array, which is a function without vector instructions.
#[inline(always)]
fn exponentials(mut values: [f32; LANES]) -> [f32; LANES] {
    for value in &mut values {
        *value = exponential(*value);
    }
    values
}

/// The sum, by halves: sums beside one another do not wait for one another.
#[inline(always)]
fn sum_of(mut values: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            values[lane] += values[lane + half];
        }
    }
    values[0]
}

/// eˣ for x ≤ 0, within two units in the last place, in operations that the compiler makes vectors of.
///
/// With n the whole number nearest to x / ln 2, eˣ = 2ⁿ · e^(x − n ln 2), and the latter is its Taylor polynomial.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // Added to a small number it leaves the nearest whole number in the last bits.
    const ROUNDING: f32 = 12_582_912.0;
    // Two parts of ln 2, of which the products of the first are exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    // What is smaller is not a normal number, and counts for nothing beside 1.
    const LEAST: f32 = -87.0;
    let clamped = if x > LEAST { x } else { LEAST };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUNDING;
    let whole = shifted - ROUNDING;
    let rest = clamped - whole * HIGH - whole * LOW;
    let mut polynomial = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        polynomial = polynomial * rest + factor;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_add(127);
    let value = polynomial * f32::from_bits(exponent << 23);
    // What is not a number stays so.
    if x >= LEAST {
        value
    } else if x < LEAST {
        0.0
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for step in 0..200_000 {
            let x = -86.9 * step as f32 / 200_000.0;
            let exact = f64::from(x).exp();
            let apart = (f64::from(exponential(x)) - exact).abs() / exact;
            assert!(apart < 2.0 * f64::from(f32::EPSILON), "{x}: {apart:e}");
        }
        assert_eq!(exponential(0.0), 1.0);
        assert_eq!(exponential(-100.0), 0.0);
        assert_eq!(exponential(f32::NEG_INFINITY), 0.0);
        assert!(exponential(f32::NAN).is_nan());
    }
}
