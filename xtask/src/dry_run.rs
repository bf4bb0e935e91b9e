//! `run --dry-run`: what a run would do.

use expanse_config::Resolved;
use expanse_host::Host;
use expanse_pipeline::{Identity, KeptPhase, Plan, TrainingPlan, plan};

use crate::{
    cli::Format,
    error::Error,
    run::{Loaded, cache, load},
};

/// The plan of a run, to be printed.
pub fn told(resolved: &Resolved, host: &Host, format: Format) -> Result<String, Error> {
    let (experiment, loaded) = (&resolved.experiment, load(resolved, host)?);
    let plan = plan(experiment, &loaded.data, &loaded.components, cache(experiment).as_deref())?;
    Ok(match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&plan)?),
        Format::Table => shown(&plan, &loaded),
    })
}

/// A plan for people.
fn shown(plan: &Plan, Loaded { data, components }: &Loaded) -> String {
    let plugin =
        |(stage, identity): (&String, &Identity)| format!("{stage} {} {}", identity.plugin, identity.version);
    let plugins: Vec<_> = components.identities.iter().map(plugin).collect();
    let shape = data.train.shape;
    let training = |phase: &TrainingPlan| {
        let steps = format!(
            "{} epochs of {} steps of {}, {:.2} ms each as measured",
            phase.epochs,
            phase.steps,
            phase.batch_size,
            phase.step_seconds * 1e3
        );
        match phase.kept {
            KeptPhase::Nothing => format!("{steps}: {:.1} s", phase.seconds()),
            KeptPhase::StoppedIn(epoch) => {
                format!("{steps}; goes on in epoch {epoch}: {:.1} s", phase.seconds())
            }
            KeptPhase::Result => format!("{steps}; kept from an earlier run"),
        }
    };
    let classes = data.train.classes.iter().zip(&plan.synthetic).filter(|(_, made)| **made > 0);
    let synthetic: Vec<_> = classes.map(|(class, made)| format!("{class} {made}")).collect();
    let lines = [
        ("plugins", plugins.join(", ")),
        (
            "data",
            format!(
                "{} training images of {} classes ({} × {} × {}), {} held out, {} test images",
                data.train.len(),
                data.counts.classes(),
                shape.channels,
                shape.height,
                shape.width,
                data.validation.len(),
                data.test.len()
            ),
        ),
        (
            "model",
            format!(
                "{} trainable values, {} multiply–adds for an image, embeddings of {}",
                plan.trainable_values, plan.multiply_adds, plan.features
            ),
        ),
        ("device", format!("{}, {} threads", plan.device, plan.threads)),
        ("train", training(&plan.train)),
        (
            "augment",
            format!("{} synthetic embeddings: {}", plan.synthetic.iter().sum::<u64>(), synthetic.join(", ")),
        ),
        ("finetune", training(&plan.finetune)),
        ("memory", plan.peak_memory.map_or_else(|| "the system does not tell".into(), memory)),
    ];
    lines.iter().map(|(what, told)| format!("{what:<10}{told}\n")).collect()
}

fn memory(bytes: u64) -> String {
    format!(
        "{:.0} MiB, as measured with the data and a step of each phase",
        bytes as f64 / f64::from(1 << 20)
    )
}
