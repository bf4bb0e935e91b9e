//! From rows to blocks of sixteen channels and back, and what moves blocks about.

use super::simd::LANES;

/// One image `[channels, pixels]` into blocks; absent channels become 0.
pub(crate) fn to_blocks(x: &[f32], channels: usize, y: &mut [f32]) {
    let pixels = x.len() / channels;
    for (block, y) in y.chunks_exact_mut(pixels * LANES).enumerate() {
        let first = block * LANES;
        if channels - first < LANES {
            y.fill(0.0);
        }
        let planes = x[first * pixels..].chunks_exact(pixels).take(LANES);
        for (lane, plane) in planes.enumerate() {
            for (y, x) in y.chunks_exact_mut(LANES).zip(plane) {
                y[lane] = *x;
            }
        }
    }
}

/// One image of blocks into `[channels, pixels]`, or added to it.
pub(crate) fn from_blocks(x: &[f32], channels: usize, accumulate: bool, y: &mut [f32]) {
    let pixels = y.len() / channels;
    for (channel, y) in y.chunks_exact_mut(pixels).enumerate() {
        let x = &x[(channel / LANES) * pixels * LANES + channel % LANES..];
        for (y, x) in y.iter_mut().zip(x.iter().step_by(LANES)) {
            *y = if accumulate { *y + x } else { *x };
        }
    }
}

/// An image of blocks into the middle of another of `height` rows of `width` pixels, with zeros around.
pub(crate) fn embed(x: &[f32], size: [usize; 2], at: [usize; 2], whole: [usize; 2], y: &mut [f32]) {
    let ([rows, columns], [top, left], [height, width]) = (size, at, whole);
    for (x, y) in x.chunks_exact(rows * columns * LANES).zip(y.chunks_exact_mut(height * width * LANES)) {
        for (row, y) in y.chunks_exact_mut(width * LANES).enumerate() {
            match row.checked_sub(top).filter(|&row| row < rows) {
                Some(row) => {
                    let (before, rest) = y.split_at_mut(left * LANES);
                    let columns = columns.min(width - left);
                    let (middle, behind) = rest.split_at_mut(columns * LANES);
                    before.fill(0.0);
                    middle.copy_from_slice(&x[row * size[1] * LANES..][..columns * LANES]);
                    behind.fill(0.0);
                }
                None => y.fill(0.0),
            }
        }
    }
}

/// Sizes of one image for [`subsample`]; each pair is rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subsample {
    pub channels: usize,
    pub from: [usize; 2],
    pub to: [usize; 2],
    pub step: [usize; 2],
    /// Channels of zeros before those of the input.
    pub before: usize,
}

/// y ← every `step`-th pixel of x, its channels moved by `before`, and 0 elsewhere.
pub(crate) fn subsample(sizes: &Subsample, x: &[f32], y: &mut [f32]) {
    y.fill(0.0);
    each_run(sizes, |from, to, lanes| y[to..to + lanes].copy_from_slice(&x[from..from + lanes]));
}

/// dx ← dx + the gradient of [`subsample`].
pub(crate) fn subsample_gradient(sizes: &Subsample, dy: &[f32], dx: &mut [f32]) {
    each_run(sizes, |from, to, lanes| {
        dx[from..from + lanes].iter_mut().zip(&dy[to..to + lanes]).for_each(|(dx, dy)| *dx += dy);
    });
}

/// Where values are copied from and to, and how many channels lie side by side in both.
fn each_run(sizes: &Subsample, mut copy: impl FnMut(usize, usize, usize)) {
    let Subsample { channels, from, to, step, before } = *sizes;
    let place = |channel: usize, size: [usize; 2], row: usize| {
        (channel / LANES * size[0] + row) * size[1] * LANES + channel % LANES
    };
    let mut channel = 0;
    while channel < channels {
        // To the end of the block in input and output.
        let [here, there] = [channel, channel + before].map(|channel| LANES - channel % LANES);
        let lanes = here.min(there).min(channels - channel);
        for row in 0..to[0] {
            let (x, y) = (place(channel, from, row * step[0]), place(channel + before, to, row));
            for column in 0..to[1] {
                copy(x + column * step[1] * LANES, y + column * LANES, lanes);
            }
        }
        channel += lanes;
    }
}
