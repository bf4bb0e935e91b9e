//! The optimiser's step.

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]

use expanse_program::{ADAM_EPSILON, ADAM_SECOND, Method, Optimizer};

use super::simd::{LANES, Simd, dispatch};

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descent {
    optimizer: Optimizer,
    learning_rate: f64,
    /// What clipping leaves of the gradient; 1 where nothing is clipped.
    clipped: f32,
    /// η / (1 − β₁ᵗ) of Adam.
    rate: f64,
    /// 1 / √(1 − β₂ᵗ) of Adam.
    spread: f64,
}

impl Descent {
    /// The numbers of a step, which is counted from 1.
    pub fn new(optimizer: Optimizer, learning_rate: f64, clipped: f32, step: u64) -> Self {
        let rate = learning_rate / Optimizer::share_of_mean(optimizer.momentum, step);
        let spread = 1.0 / Optimizer::share_of_mean(ADAM_SECOND, step).sqrt();
        Self { optimizer, learning_rate, clipped, rate, spread }
    }
}

/// A parameter with what the optimiser remembers of it.
pub(crate) struct Moved<'a> {
    pub parameter: &'a mut [f32],
    /// v of SGD, m of Adam; 0 at first.
    pub velocity: &'a mut [f32],
    /// s of Adam; 0 at first, and empty for methods without it.
    pub square: &'a mut [f32],
}

/// Where sixteen values of everything are.
#[derive(Clone, Copy)]
struct Places {
    gradient: *const f32,
    parameter: *mut f32,
    velocity: *mut f32,
    square: *mut f32,
}

dispatch!(
    /// One step of [`Optimizer`], whose documentation gives the formulas, in one pass.
    descend, descend_with,
    (descent: Descent, gradient: &[f32], moved: Moved<'_>)
);

#[inline(always)]
unsafe fn descend_with<S: Simd>(descent: Descent, gradient: &[f32], moved: Moved<'_>) {
    // SAFETY: the processor has the instruction set, by contract.
    unsafe {
        match descent.optimizer.method {
            Method::Sgd => walk::<S, Sgd>(&descent, gradient, moved),
            Method::Nesterov => walk::<S, Nesterov>(&descent, gradient, moved),
            Method::Adam | Method::AdamW => walk::<S, Adam>(&descent, gradient, moved),
        }
    }
}

/// A formula for sixteen values.
///
/// # Safety
///
/// There are sixteen values at each of the places, and the processor has the instruction set.
trait Formula {
    unsafe fn step<S: Simd>(descent: &Descent, places: Places);
}

/// Sixteen values after the other.
#[inline(always)]
unsafe fn walk<S: Simd, F: Formula>(descent: &Descent, gradient: &[f32], moved: Moved<'_>) {
    let Moved { parameter, velocity, square } = moved;
    let adapts = descent.optimizer.method.has_squares();
    assert!(gradient.len() == parameter.len() && velocity.len() == parameter.len());
    assert!(!adapts || square.len() == parameter.len());
    let whole = parameter.len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        // SAFETY: sixteen values are left from every multiple of sixteen below the length; those of squares are not
        // touched where the method has none.
        unsafe {
            let places = Places {
                gradient: gradient.as_ptr().add(at),
                parameter: parameter.as_mut_ptr().add(at),
                velocity: velocity.as_mut_ptr().add(at),
                square: square.as_mut_ptr().wrapping_add(at),
            };
            F::step::<S>(descent, places);
        }
    }
    // What is left is less than sixteen values, and is moved in a copy.
    let left = parameter.len() - whole;
    if left > 0 {
        let mut copies = [[0.0; LANES]; 4];
        let [gradients, parameters, velocities, squares] = &mut copies;
        gradients[..left].copy_from_slice(&gradient[whole..]);
        parameters[..left].copy_from_slice(&parameter[whole..]);
        velocities[..left].copy_from_slice(&velocity[whole..]);
        if adapts {
            squares[..left].copy_from_slice(&square[whole..]);
        }
        let places = Places {
            gradient: gradients.as_ptr(),
            parameter: parameters.as_mut_ptr(),
            velocity: velocities.as_mut_ptr(),
            square: squares.as_mut_ptr(),
        };
        // SAFETY: each copy has sixteen values.
        unsafe { F::step::<S>(descent, places) };
        parameter[whole..].copy_from_slice(&parameters[..left]);
        velocity[whole..].copy_from_slice(&velocities[..left]);
        if adapts {
            square[whole..].copy_from_slice(&squares[..left]);
        }
    }
}

struct Sgd;
struct Nesterov;
/// And AdamW, which differs in where the weight decay goes.
struct Adam;

impl Formula for Sgd {
    #[inline(always)]
    unsafe fn step<S: Simd>(descent: &Descent, places: Places) {
        // SAFETY: by contract.
        unsafe {
            let (_, velocity) = follow::<S>(descent, places);
            advance::<S>(descent, places, velocity);
        }
    }
}

impl Formula for Nesterov {
    #[inline(always)]
    unsafe fn step<S: Simd>(descent: &Descent, places: Places) {
        // SAFETY: by contract.
        unsafe {
            let (gradient, velocity) = follow::<S>(descent, places);
            let momentum = S::splat(descent.optimizer.momentum as f32);
            advance::<S>(descent, places, S::fma(velocity, momentum, gradient));
        }
    }
}

/// g and v of SGD; v is stored.
#[inline(always)]
unsafe fn follow<S: Simd>(descent: &Descent, places: Places) -> (S::V, S::V) {
    let Optimizer { momentum, weight_decay, .. } = descent.optimizer;
    // SAFETY: there are sixteen values at each place.
    unsafe {
        let gradient = S::mul(S::load(places.gradient), S::splat(descent.clipped));
        let gradient = S::fma(S::load(places.parameter), S::splat(weight_decay as f32), gradient);
        let velocity = S::fma(S::load(places.velocity), S::splat(momentum as f32), gradient);
        S::store(places.velocity, velocity);
        (gradient, velocity)
    }
}

/// p ← p − η · way.
#[inline(always)]
unsafe fn advance<S: Simd>(descent: &Descent, places: Places, way: S::V) {
    // SAFETY: there are sixteen values at each place.
    unsafe {
        let rate = S::splat(-descent.learning_rate as f32);
        S::store(places.parameter, S::fma(way, rate, S::load(places.parameter)));
    }
}

impl Formula for Adam {
    #[inline(always)]
    unsafe fn step<S: Simd>(descent: &Descent, places: Places) {
        let Optimizer { method, momentum, weight_decay, .. } = descent.optimizer;
        let (coupled, kept) = match method {
            Method::AdamW => (0.0, 1.0 - descent.learning_rate * weight_decay),
            _ => (weight_decay, 1.0),
        };
        let (rate, spread) = (descent.rate as f32, descent.spread as f32);
        // SAFETY: there are sixteen values at each place.
        unsafe {
            let value = S::load(places.parameter);
            let gradient = S::mul(S::load(places.gradient), S::splat(descent.clipped));
            let gradient = S::fma(value, S::splat(coupled as f32), gradient);
            let now = S::mul(gradient, S::splat((1.0 - momentum) as f32));
            let mean = S::fma(S::load(places.velocity), S::splat(momentum as f32), now);
            let now = S::mul(S::mul(gradient, gradient), S::splat((1.0 - ADAM_SECOND) as f32));
            let square = S::fma(S::load(places.square), S::splat(ADAM_SECOND as f32), now);
            let deviation = S::fma(S::sqrt(square), S::splat(spread), S::splat(ADAM_EPSILON as f32));
            S::store(places.velocity, mean);
            S::store(places.square, square);
            let value = S::mul(value, S::splat(kept as f32));
            S::store(places.parameter, S::fma(S::div(mean, deviation), S::splat(-rate), value));
        }
    }
}

/// Σ x², exact enough for a norm of any size: squares of floats fit into doubles.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    const SUMS: usize = 8;
    let mut sums = [0.0f64; SUMS];
    let (whole, rest) = values.as_chunks::<SUMS>();
    for chunk in whole {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>()
}

dispatch!(
    /// y ← y + x, of a multiple of sixteen values.
    add, add_with,
    (x: &[f32], y: &mut [f32])
);

#[inline(always)]
unsafe fn add_with<S: Simd>(x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact_mut(LANES)) {
        // SAFETY: each chunk has sixteen values.
        unsafe { S::store(y.as_mut_ptr(), S::add(S::load(x.as_ptr()), S::load(y.as_ptr()))) };
    }
}
