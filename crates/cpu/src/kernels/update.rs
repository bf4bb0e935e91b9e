//! The optimiser's step.

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]

use expanse_program::Optimizer;

use super::simd::{LANES, Simd, dispatch};

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descent {
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    /// Whether there is no velocity yet.
    pub first: bool,
}

dispatch!(
    /// One step of [`Optimizer`], whose documentation gives the formula, in one pass.
    descend, descend_with,
    (descent: Descent, gradient: &[f32], velocity: &mut [f32], parameter: &mut [f32])
);

#[inline(always)]
unsafe fn descend_with<S: Simd>(
    descent: Descent,
    gradient: &[f32],
    velocity: &mut [f32],
    parameter: &mut [f32],
) {
    let Descent { optimizer, learning_rate, first } = descent;
    let decay = optimizer.weight_decay as f32;
    let momentum = if first { 0.0 } else { optimizer.momentum as f32 };
    let rate = learning_rate as f32;
    assert!(gradient.len() == parameter.len() && velocity.len() == parameter.len());
    let whole = parameter.len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        // SAFETY: sixteen values are left from every multiple of sixteen below the length.
        unsafe {
            let value = S::load(parameter.as_ptr().add(at));
            let gradient = S::fma(value, S::splat(decay), S::load(gradient.as_ptr().add(at)));
            let moved = S::fma(S::load(velocity.as_ptr().add(at)), S::splat(momentum), gradient);
            S::store(velocity.as_mut_ptr().add(at), moved);
            S::store(parameter.as_mut_ptr().add(at), S::fma(moved, S::splat(-rate), value));
        }
    }
    for at in whole..parameter.len() {
        let moved = velocity[at] * momentum + (gradient[at] + parameter[at] * decay);
        velocity[at] = moved;
        parameter[at] -= moved * rate;
    }
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
