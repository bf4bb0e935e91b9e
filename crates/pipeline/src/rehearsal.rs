//! What can go wrong is found before the long work begins.

use expanse_domain::{Matrix, Seed};
use expanse_host::{Backend, Sampler};
use expanse_program::check_chain;

use crate::{PipelineError, model::Parts};

/// Samples of each class that a rehearsed sampler gets at most.
const REHEARSED_SAMPLES: u64 = 500;

/// Records the whole model for a small batch, checks that its ports join, and asks the backend whether it can run it.
pub(crate) fn model(parts: &Parts<'_>, backend: &dyn Backend, name: &str) -> Result<u64, PipelineError> {
    let programs = parts.sample_programs()?;
    let headers: Vec<_> = programs.iter().map(|program| &program.header).collect();
    check_chain(&headers)?;
    for program in &programs {
        let missing = backend.missing_operations(program)?;
        if !missing.is_empty() {
            let (backend, program) = (name.into(), program.header.source.clone());
            return Err(PipelineError::Missing { backend, program, missing });
        }
    }
    Ok(headers.iter().map(|header| header.trainable_values() as u64).sum())
}

/// Lets the sampler make one row of every class that needs any, from noise with the true counts (at most
/// [`REHEARSED_SAMPLES`] of a class), so that counts it cannot serve are told at once.
pub(crate) fn sampler(
    sampler: &dyn Sampler,
    counts: &[u64],
    wanted: &[u64],
    seed: Seed,
) -> Result<(), PipelineError> {
    const COLUMNS: usize = 4;
    let labels: Vec<u32> = (0u32..)
        .zip(counts)
        .flat_map(|(class, &count)| std::iter::repeat_n(class, count.min(REHEARSED_SAMPLES) as usize))
        .collect();
    let mut noise = Matrix::zeros(labels.len(), COLUMNS);
    let mut rng = seed.derive("rehearsal", &[]).rng();
    noise.as_mut_slice().fill_with(|| rng.unit_f32());
    let wanted: Vec<u64> = wanted.iter().map(|&wanted| wanted.min(1)).collect();
    sampler.resample(noise.view(), &labels, &wanted, seed)?;
    Ok(())
}
