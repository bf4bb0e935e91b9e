//! Matrix products, as a convolution of one pixel.

use super::{
    simd::{Isa, LANES},
    stencil::{Stencil, Strides, convolve, runs},
};
use crate::memory::Buffer;

/// A matrix in memory: rows and columns with their strides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub values: &'a [f32],
    pub strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A row-major matrix.
    pub fn row_major(values: &'a [f32], columns: usize) -> Self {
        Self { values, strides: [columns, 1] }
    }

    /// The same matrix with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { strides: [self.strides[1], self.strides[0]], ..self }
    }
}

/// Memory for operands in the order that the kernel wants them in, used again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    weights: Buffer,
    output: Buffer,
    kernel: Option<Stencil>,
}

/// y = a · b, or y + a · b with `accumulate`; a is `[m, k]`, b is `[k, n]`, y is row-major `[m, n]`.
pub(crate) fn multiply(
    isa: Isa,
    workspace: &mut Workspace,
    [m, k, n]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    accumulate: bool,
    y: &mut [f32],
) {
    if k == 0 || m == 0 || n == 0 {
        if !accumulate {
            y.fill(0.0);
        }
        return;
    }
    let (inner, outer) = (k.div_ceil(LANES), n.div_ceil(LANES));
    let Workspace { weights, output, kernel } = workspace;
    weights.reserve(outer * inner * LANES * LANES);
    output.reserve(outer * m * LANES);
    for block in 0..outer {
        let lanes = (n - block * LANES).min(LANES);
        for at in 0..k {
            let from = at * b.strides[0] + block * LANES * b.strides[1];
            let to = &mut weights[(block * inner * LANES + at) * LANES..][..LANES];
            for (lane, to) in to.iter_mut().enumerate() {
                *to = if lane < lanes { b.values[from + lane * b.strides[1]] } else { 0.0 };
            }
        }
    }
    // Rows of a are pixels, their values channels; they are read where they lie.
    let [pixel, channel] = a.strides;
    let input = Strides { start: 0, block: LANES * channel, channel, row: 0, pixel };
    let fits = |kernel: &Stencil| {
        let pixels = kernel.runs.last().map(|run| run.0 + run.1);
        (kernel.channels, kernel.blocks, kernel.input) == (k, outer, input) && pixels == Some(m)
    };
    if !kernel.as_ref().is_some_and(fits) {
        *kernel = Some(Stencil {
            taps: vec![(0, 0)],
            packed_taps: 1,
            channels: k,
            blocks: outer,
            rows: 1,
            runs: runs(m, isa.pixels()),
            input,
            output: Strides { start: 0, block: m * LANES, channel: 1, row: 0, pixel: LANES },
        });
    }
    if let Some(kernel) = kernel {
        convolve(isa, kernel, a.values, weights, output, false);
    }
    for (row, y) in y.chunks_exact_mut(n).enumerate() {
        for (column, y) in y.iter_mut().enumerate() {
            let value = output[(column / LANES * m + row) * LANES + column % LANES];
            *y = if accumulate { *y + value } else { value };
        }
    }
}
