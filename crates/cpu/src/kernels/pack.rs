//! Weights in the order that kernels read them in: `[block, block, tap, 16, 16]`.

use super::{
    simd::{Isa, LANES},
    update::add,
};
use crate::team::Crew;

/// The sizes of a convolution's weights `[outputs, inputs, taps]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    pub outputs: usize,
    pub inputs: usize,
    pub taps: usize,
}

impl Weights {
    /// Floats of the packed weights.
    pub fn packed(&self) -> usize {
        self.outputs.div_ceil(LANES) * self.inputs.div_ceil(LANES) * self.taps * LANES * LANES
    }

    /// Blocks of outputs, then of inputs: channels `[input, output]` of each tap.
    pub fn pack(&self, crew: Crew, weights: &[f32], packed: &mut [f32]) {
        let Self { outputs, inputs, taps } = *self;
        let (input_blocks, tile) = (inputs.div_ceil(LANES), taps * LANES * LANES);
        crew.chunks(&mut packed[..self.packed()], tile, |at, piece| {
            let (output, input) = (at / input_blocks * LANES, at % input_blocks * LANES);
            piece.fill(0.0);
            for lane in 0..(outputs - output).min(LANES) {
                let from = &weights[((output + lane) * inputs + input) * taps..];
                for channel in 0..(inputs - input).min(LANES) {
                    for tap in 0..taps {
                        piece[(tap * LANES + channel) * LANES + lane] = from[channel * taps + tap];
                    }
                }
            }
        });
    }

    /// Blocks of inputs, then of outputs: channels `[output, input]` of each tap, for the gradient of the input. The
    /// taps run backwards if `flip`.
    pub fn pack_transposed(&self, crew: Crew, weights: &[f32], flip: bool, packed: &mut [f32]) {
        let Self { outputs, inputs, taps } = *self;
        let (output_blocks, tile) = (outputs.div_ceil(LANES), taps * LANES * LANES);
        crew.chunks(&mut packed[..self.packed()], tile, |at, piece| {
            let (input, output) = (at / output_blocks * LANES, at % output_blocks * LANES);
            piece.fill(0.0);
            for lane in 0..(outputs - output).min(LANES) {
                let from = &weights[((output + lane) * inputs + input) * taps..];
                for channel in 0..(inputs - input).min(LANES) {
                    for tap in 0..taps {
                        let to = if flip { taps - 1 - tap } else { tap };
                        piece[(to * LANES + lane) * LANES + channel] = from[channel * taps + tap];
                    }
                }
            }
        });
    }

    /// gradient (+)= the sum of partial gradients, in their order. `gather` makes of the sum for a pair of blocks one that
    /// begins with packed weights.
    pub fn unpack_sum(
        &self,
        crew: Crew,
        partial: &mut [f32],
        groups: usize,
        gather: fn(Isa, &mut [f32]),
        accumulate: bool,
        gradient: &mut [f32],
    ) {
        let Self { outputs, inputs, taps } = *self;
        let input_blocks = inputs.div_ceil(LANES);
        let whole = partial.len() / groups;
        let tile = whole / (input_blocks * outputs.div_ceil(LANES));
        let (sums, others) = partial.split_at_mut(whole);
        let lengths = [LANES * inputs * taps, input_blocks * tile];
        crew.chunk_pairs((gradient, sums), lengths, |block, rows, sums| {
            for (input, sum) in sums.chunks_exact_mut(tile).enumerate() {
                let at = block * input_blocks + input;
                for partial in others.chunks_exact(whole) {
                    add(crew.isa, &partial[at * tile..][..tile], sum);
                }
                gather(crew.isa, sum);
                let first = input * LANES;
                for (lane, row) in rows.chunks_exact_mut(inputs * taps).enumerate() {
                    for channel in 0..(inputs - first).min(LANES) {
                        for (tap, to) in row[(first + channel) * taps..][..taps].iter_mut().enumerate() {
                            let value = sum[(tap * LANES + channel) * LANES + lane];
                            *to = if accumulate { *to + value } else { value };
                        }
                    }
                }
            }
        });
    }
}
