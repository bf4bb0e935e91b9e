//! Pooling of one plane of an image, of one channel or of sixteen side by side.

use crate::graph::{Pool, PoolKind};

/// A plane: rows, columns and channels side by side, of input and output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    pub from: [usize; 2],
    pub to: [usize; 2],
    pub lanes: usize,
}

/// y = pooled x.
pub(crate) fn pool(pool: &Pool, plane: Plane, x: &[f32], y: &mut [f32]) {
    let Plane { to, lanes, .. } = plane;
    for (at, y) in y.iter_mut().enumerate() {
        let (row, column, lane) = (at / lanes / to[1], at / lanes % to[1], at % lanes);
        *y = match pool.kind {
            PoolKind::Max => largest(pool, plane, row, column, lane, x).map_or(0.0, |at| x[at]),
            _ => {
                let sum: f64 = places(pool, plane, row, column, lane).map(|at| f64::from(x[at])).sum();
                (sum * share(pool, plane, row, column)) as f32
            }
        };
    }
}

/// dx ← dx + the gradient of [`pool`]; of equal values of a window the first gets it.
pub(crate) fn pool_gradient(pool: &Pool, plane: Plane, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let Plane { to, lanes, .. } = plane;
    for (at, &dy) in dy.iter().enumerate() {
        let (row, column, lane) = (at / lanes / to[1], at / lanes % to[1], at % lanes);
        match pool.kind {
            PoolKind::Max => {
                if let Some(at) = largest(pool, plane, row, column, lane, x) {
                    dx[at] += dy;
                }
            }
            _ => {
                let gradient = dy * share(pool, plane, row, column) as f32;
                places(pool, plane, row, column, lane).for_each(|at| dx[at] += gradient);
            }
        }
    }
}

/// The place of the largest value of a window.
fn largest(pool: &Pool, plane: Plane, row: usize, column: usize, lane: usize, x: &[f32]) -> Option<usize> {
    places(pool, plane, row, column, lane).reduce(|best, at| if x[at] > x[best] { at } else { best })
}

/// What a value of a window counts in its average.
fn share(pool: &Pool, plane: Plane, row: usize, column: usize) -> f64 {
    let size = match pool.kind {
        PoolKind::Average { count_padding: true } => pool.kernel[0] * pool.kernel[1],
        _ => window(pool, plane, 0, row).count() * window(pool, plane, 1, column).count(),
    };
    1.0 / size.max(1) as f64
}

/// The places in x of an output's window, without those outside of the image.
fn places(
    pool: &Pool,
    plane: Plane,
    row: usize,
    column: usize,
    lane: usize,
) -> impl Iterator<Item = usize> + '_ {
    window(pool, plane, 0, row).flat_map(move |row| {
        window(pool, plane, 1, column).map(move |column| (row * plane.from[1] + column) * plane.lanes + lane)
    })
}

/// The input indices of one dimension that an output index sees.
fn window(pool: &Pool, plane: Plane, axis: usize, at: usize) -> impl Iterator<Item = usize> + '_ {
    let (length, outputs) = (plane.from[axis], plane.to[axis]);
    let (start, step, count, padding) = match pool.kind {
        // Output i of n sees ⌊i·L/n⌋ to ⌈(i+1)·L/n⌉.
        PoolKind::Adaptive => {
            let start = at * length / outputs;
            (start, 1, ((at + 1) * length).div_ceil(outputs) - start, 0)
        }
        _ => (at * pool.stride[axis], pool.dilation[axis], pool.kernel[axis], pool.padding[axis]),
    };
    (0..count)
        .filter_map(move |tap| (start + tap * step).checked_sub(padding))
        .filter(move |&index| index < length)
}
