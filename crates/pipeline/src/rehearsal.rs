//! What can go wrong is found before the long work begins.

use expanse_config::{Experiment, Schedule};
use expanse_domain::{Matrix, Seed};
use expanse_host::{Backend, Device, Sampler};
use expanse_program::{Method, Program, check_chain};

use crate::{
    Components, PipelineError, Prepared, Subject, augment, kept::is_kept, model::Parts, phases, rebalance,
};

/// Samples of each class that a rehearsed sampler gets at most.
const REHEARSED_SAMPLES: u64 = 500;

/// What is known once all that can be checked before training is checked.
pub(crate) struct Rehearsed<'a> {
    pub parts: Parts<'a>,
    /// Of backbone and head.
    pub trainable_values: u64,
    /// Synthetic rows of each class.
    pub wanted: Vec<u64>,
    pub device: Device,
}

/// Checks that the counts can be met, that the parts fit, that the backend can run them, and that the sampler serves.
pub(crate) fn rehearse<'a>(
    experiment: &Experiment,
    data: &'a Prepared,
    components: &'a Components,
) -> Result<Rehearsed<'a>, PipelineError> {
    let wanted = augment::wanted(experiment, &data.counts)?;
    let parts = Parts::of(data, components)?;
    let (backend, name) = (&*components.backend, &experiment.backend.plugin);
    let programs = parts.sample_programs()?;
    let trainable_values = model(&programs, backend, name)?;
    // What is trained can be kept.
    parts.parameters()?;
    if experiment.train.mixup > 0.0 {
        let loss = programs.last().filter(|loss| !loss.header.parameters.is_empty());
        if let Some(Program { header, .. }) = loss {
            return Err(PipelineError::MixedParameters { loss: header.source.clone() });
        }
        model(&parts.mixed_sample_programs()?, backend, name)?;
    }
    for (phase, schedule) in
        [("train", &experiment.train.schedule), ("finetune", &experiment.finetune.schedule)]
    {
        optimizer(phase, schedule, backend, name)?;
    }
    let method = experiment.finetune.method;
    rebalance::check(method, &experiment.head.plugin, &parts)?;
    sampler(&*components.sampler, data.counts.as_slice(), &wanted, Seed(experiment.seed))?;
    let device = components.backend.device()?;
    is_kept(experiment, &data.train, &device)?;
    Ok(Rehearsed { parts, trainable_values, wanted, device })
}

/// The operations of the model that the backend of the components lacks, each once; empty if it can run it.
pub fn missing_operations(data: &Prepared, components: &Components) -> Result<Vec<String>, PipelineError> {
    missing(Parts::of(data, components)?, components)
}

/// As [`missing_operations`], for a model that is applied and not trained.
pub fn missing_to_predict(subject: &Subject, components: &Components) -> Result<Vec<String>, PipelineError> {
    let counts = vec![1; subject.classes.len()];
    missing(Parts::new(subject.shape, &counts, components)?, components)
}

fn missing(parts: Parts<'_>, components: &Components) -> Result<Vec<String>, PipelineError> {
    let mut missing = Vec::new();
    for program in parts.sample_programs()? {
        for operation in components.backend.missing_operations(&program)? {
            if !missing.contains(&operation) {
                missing.push(operation);
            }
        }
    }
    Ok(missing)
}

/// Checks that the programs of the whole model join, and asks the backend whether it can run them.
fn model(programs: &[Program], backend: &dyn Backend, name: &str) -> Result<u64, PipelineError> {
    let headers: Vec<_> = programs.iter().map(|program| &program.header).collect();
    check_chain(&headers)?;
    for program in programs {
        let missing = backend.missing_operations(program)?;
        if !missing.is_empty() {
            let (backend, program) = (name.into(), program.header.source.clone());
            return Err(PipelineError::Missing { backend, program, missing });
        }
    }
    Ok(headers.iter().map(|header| header.trainable_values() as u64).sum())
}

/// Opens a session with a phase's optimiser, which a backend may lack.
fn optimizer(
    phase: &'static str,
    schedule: &Schedule,
    backend: &dyn Backend,
    name: &str,
) -> Result<(), PipelineError> {
    let optimizer = phases::optimizer(schedule);
    match backend.open_session(optimizer) {
        Ok(_) => Ok(()),
        Err(source) if optimizer.method != Method::Sgd || optimizer.clip_norm.is_some() => {
            let (backend, method) = (name.into(), optimizer.method.to_string());
            Err(PipelineError::Optimizer {
                backend,
                phase,
                method,
                clip_norm: schedule.clip_norm,
                source: source.into(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets the sampler make one row of every class that needs any, from noise with the true counts (at most
/// [`REHEARSED_SAMPLES`] of a class), so that counts it cannot serve are told at once.
fn sampler(sampler: &dyn Sampler, counts: &[u64], wanted: &[u64], seed: Seed) -> Result<(), PipelineError> {
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
