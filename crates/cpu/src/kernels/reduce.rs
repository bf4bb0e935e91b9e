//! Reductions and softmax along one dimension; sums run in `f64`.

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

/// y = softmax of x `[outer, length, inner]` over its middle, or its logarithm: x − max − log Σ exp(x − max).
pub(crate) fn softmax(log: bool, [outer, length, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    for o in 0..outer {
        for i in 0..inner {
            let place = |at: usize| (o * length + at) * inner + i;
            let most = (0..length).map(|at| x[place(at)]).fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = (0..length).map(|at| f64::from((x[place(at)] - most).exp())).sum();
            let (log_sum, factor) = (sum.ln() as f32, (1.0 / sum) as f32);
            for at in 0..length {
                let distance = x[place(at)] - most;
                y[place(at)] = if log { distance - log_sum } else { distance.exp() * factor };
            }
        }
    }
}

/// dx (+)= the gradient of [`softmax`]: y (dy − Σ dy y), or with the logarithm dy − exp(y) Σ dy.
pub(crate) fn softmax_gradient(
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
            for at in (0..length).map(place) {
                let gradient = if log { dy[at] - y[at].exp() * sum } else { y[at] * (dy[at] - sum) };
                dx[at] = if accumulate { dx[at] + gradient } else { gradient };
            }
        }
    }
}
