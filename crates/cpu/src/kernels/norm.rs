//! Batch norm of one image, block by block: moments, application, and what its derivative needs.
//!
//! Source: Ioffe and Szegedy, *Batch Normalization* (ICML 2015). All slices are blocked; those of a channel hold
//! sixteen values for each block.

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]

use super::simd::{LANES, Simd, dispatch};

/// Sums that run beside one another, so that none waits for the one before.
const CHAINS: usize = 4;

dispatch!(
    /// The mean over the pixels of an image, and the sum of squared distances from it.
    moments, moments_with,
    (x: &[f32], mean: &mut [f32], squares: &mut [f32])
);

#[inline(always)]
unsafe fn moments_with<S: Simd>(x: &[f32], mean: &mut [f32], squares: &mut [f32]) {
    let plane = x.len() / (mean.len() / LANES);
    let count = (plane / LANES) as f32;
    for ((x, mean), squares) in
        x.chunks_exact(plane).zip(mean.chunks_exact_mut(LANES)).zip(squares.chunks_exact_mut(LANES))
    {
        // SAFETY: every pointer is one to the sixteen floats of a chunk.
        unsafe {
            let zero = S::splat(0.0);
            let sum = sum::<S>(x, |x| x);
            let centre = S::fma(sum, S::splat(1.0 / count), zero);
            S::store(mean.as_mut_ptr(), centre);
            let sum = self::sum::<S>(x, |x| {
                let distance = S::sub(x, centre);
                S::fma(distance, distance, zero)
            });
            S::store(squares.as_mut_ptr(), sum);
        }
    }
}

/// Σ f(x) over the pixels of a block, in a fixed order.
#[inline(always)]
unsafe fn sum<S: Simd>(x: &[f32], f: impl Fn(S::V) -> S::V) -> S::V {
    // SAFETY: every pointer is one to the sixteen floats of a chunk.
    unsafe {
        let mut sums = [S::splat(0.0); CHAINS];
        let groups = x.chunks_exact(CHAINS * LANES);
        let rest = groups.remainder();
        for pixels in groups {
            for (chain, sum) in sums.iter_mut().enumerate() {
                *sum = S::add(*sum, f(S::load(pixels.as_ptr().add(chain * LANES))));
            }
        }
        for pixel in rest.chunks_exact(LANES) {
            sums[0] = S::add(sums[0], f(S::load(pixel.as_ptr())));
        }
        S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]))
    }
}

dispatch!(
    /// y = scale · x + shift (+ residual), of which only what is positive remains with `relu`.
    apply, apply_with,
    (x: &[f32], residual: Option<&[f32]>, scale: &[f32], shift: &[f32], relu: bool, y: &mut [f32])
);

#[inline(always)]
unsafe fn apply_with<S: Simd>(
    x: &[f32],
    residual: Option<&[f32]>,
    scale: &[f32],
    shift: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let plane = x.len() / (scale.len() / LANES);
    assert!(y.len() == x.len() && shift.len() == scale.len());
    assert!(residual.is_none_or(|residual| residual.len() == x.len()));
    for (block, (scale, shift)) in scale.chunks_exact(LANES).zip(shift.chunks_exact(LANES)).enumerate() {
        let range = block * plane..(block + 1) * plane;
        let residual = residual.map(|residual| &residual[range.clone()]);
        let (x, y) = (&x[range.clone()], &mut y[range]);
        // SAFETY: all slices are those of a block.
        unsafe { apply_to_block::<S>(x.as_ptr(), y.as_mut_ptr(), plane, residual, [scale, shift], relu) };
    }
}

/// # Safety
///
/// `x` and `y`, which may be the same, point to the `plane` floats of a block; `residual` has as many, and scale and
/// shift have sixteen.
#[inline(always)]
unsafe fn apply_to_block<S: Simd>(
    x: *const f32,
    y: *mut f32,
    plane: usize,
    residual: Option<&[f32]>,
    [scale, shift]: [&[f32]; 2],
    relu: bool,
) {
    // SAFETY: every offset is that of a pixel of the block, which is read before it is written.
    unsafe {
        let (scale, shift) = (S::load(scale.as_ptr()), S::load(shift.as_ptr()));
        for at in (0..plane).step_by(LANES) {
            let mut value = S::fma(S::load(x.add(at)), scale, shift);
            if let Some(residual) = residual {
                value = S::add(value, S::load(residual.as_ptr().add(at)));
            }
            if relu {
                value = S::relu(value);
            }
            S::store(y.add(at), value);
        }
    }
}

dispatch!(
    /// y ← scale · y + shift (+ residual) with `relu` as in [`apply`]: evaluation, while the image is in the cache.
    apply_in_place, apply_in_place_with,
    (y: &mut [f32], residual: Option<&[f32]>, scale: &[f32], shift: &[f32], relu: bool)
);

#[inline(always)]
unsafe fn apply_in_place_with<S: Simd>(
    y: &mut [f32],
    residual: Option<&[f32]>,
    scale: &[f32],
    shift: &[f32],
    relu: bool,
) {
    let plane = y.len() / (scale.len() / LANES);
    assert!(residual.is_none_or(|residual| residual.len() == y.len()) && shift.len() == scale.len());
    for (block, (scale, shift)) in scale.chunks_exact(LANES).zip(shift.chunks_exact(LANES)).enumerate() {
        let range = block * plane..(block + 1) * plane;
        let residual = residual.map(|residual| &residual[range.clone()]);
        let y = y[range].as_mut_ptr();
        // SAFETY: all slices are those of a block.
        unsafe { apply_to_block::<S>(y, y, plane, residual, [scale, shift], relu) };
    }
}

dispatch!(
    /// Masks the gradient where `mask`, the output of a ReLU, is not positive; answers Σ dy and Σ dy · (x − mean).
    mask_and_sum, mask_and_sum_with,
    (dy: &mut [f32], mask: Option<&[f32]>, x: &[f32], mean: &[f32], sums: &mut [f32], products: &mut [f32])
);

#[inline(always)]
unsafe fn mask_and_sum_with<S: Simd>(
    dy: &mut [f32],
    mask: Option<&[f32]>,
    x: &[f32],
    mean: &[f32],
    sums: &mut [f32],
    products: &mut [f32],
) {
    let plane = x.len() / (mean.len() / LANES);
    assert!(dy.len() == x.len() && mask.is_none_or(|mask| mask.len() == x.len()));
    for (block, mean) in mean.chunks_exact(LANES).enumerate() {
        let range = block * plane..(block + 1) * plane;
        let mask = mask.map(|mask| &mask[range.clone()]);
        let (dy, x) = (&mut dy[range.clone()], &x[range]);
        // SAFETY: every offset is that of a pixel of the block.
        unsafe {
            let mean = S::load(mean.as_ptr());
            let (mut sum, mut product) = ([S::splat(0.0); CHAINS], [S::splat(0.0); CHAINS]);
            let whole = plane / (CHAINS * LANES) * (CHAINS * LANES);
            for at in (0..whole).step_by(CHAINS * LANES) {
                for chain in 0..CHAINS {
                    let (gradient, distance) = masked::<S>(dy, mask, x, mean, at + chain * LANES);
                    sum[chain] = S::add(sum[chain], gradient);
                    product[chain] = S::fma(gradient, distance, product[chain]);
                }
            }
            for at in (whole..plane).step_by(LANES) {
                let (gradient, distance) = masked::<S>(dy, mask, x, mean, at);
                sum[0] = S::add(sum[0], gradient);
                product[0] = S::fma(gradient, distance, product[0]);
            }
            let sum = S::add(S::add(sum[0], sum[1]), S::add(sum[2], sum[3]));
            let product = S::add(S::add(product[0], product[1]), S::add(product[2], product[3]));
            S::store(sums[block * LANES..][..LANES].as_mut_ptr(), sum);
            S::store(products[block * LANES..][..LANES].as_mut_ptr(), product);
        }
    }
}

/// The gradient of one pixel with its mask, and the distance of x from its mean.
#[inline(always)]
unsafe fn masked<S: Simd>(
    dy: &mut [f32],
    mask: Option<&[f32]>,
    x: &[f32],
    mean: S::V,
    at: usize,
) -> (S::V, S::V) {
    // SAFETY: the caller passes the place of a pixel.
    unsafe {
        let mut gradient = S::load(dy.as_ptr().add(at));
        if let Some(mask) = mask {
            gradient = S::where_positive(gradient, S::load(mask.as_ptr().add(at)));
            S::store(dy.as_mut_ptr().add(at), gradient);
        }
        (gradient, S::sub(S::load(x.as_ptr().add(at)), mean))
    }
}

dispatch!(
    /// dx = a · dy + b · (x − mean) + c, or dx + … with `accumulate`: the derivative of batch norm, whose sums over
    /// the batch are in b and c.
    derive, derive_with,
    (dy: &[f32], x: &[f32], mean: &[f32], coefficients: [&[f32]; 3], accumulate: bool, dx: &mut [f32])
);

#[inline(always)]
unsafe fn derive_with<S: Simd>(
    dy: &[f32],
    x: &[f32],
    mean: &[f32],
    coefficients: [&[f32]; 3],
    accumulate: bool,
    dx: &mut [f32],
) {
    let plane = x.len() / (mean.len() / LANES);
    assert!(dy.len() == x.len() && dx.len() == x.len());
    assert!(coefficients.iter().all(|values| values.len() == mean.len()));
    for (block, mean) in mean.chunks_exact(LANES).enumerate() {
        let range = block * plane..(block + 1) * plane;
        let (dy, x, dx) = (&dy[range.clone()], &x[range.clone()], &mut dx[range]);
        // SAFETY: every offset is that of a pixel of the block, or of the block among the coefficients.
        unsafe {
            let at = block * LANES;
            let mean = S::load(mean.as_ptr());
            let [a, b, c] = coefficients.map(|values| S::load(values.as_ptr().add(at)));
            for at in (0..plane).step_by(LANES) {
                let value = S::fma(S::sub(S::load(x.as_ptr().add(at)), mean), b, c);
                let mut value = S::fma(S::load(dy.as_ptr().add(at)), a, value);
                if accumulate {
                    value = S::add(value, S::load(dx.as_ptr().add(at)));
                }
                S::store(dx.as_mut_ptr().add(at), value);
            }
        }
    }
}
