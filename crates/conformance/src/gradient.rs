use std::collections::BTreeSet;

use expanse_domain::Seed;
use expanse_host::{Session, TensorKind};
use expanse_program::{NamedTensor, ParameterKind, Program};

use crate::{
    inputs::Inputs,
    model::{Model, decoded, encoded},
    outcome::{Reason, Verdict, ensure},
};

/// Lengths of a step; where a kink lies within one of them, another one serves.
const STEPS: [f64; 7] = [0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4];
/// Shorter ones serve slopes that are too steep for rounding to matter: networks of many kinks need them.
const SHORT: f64 = 0.003;
/// How far a slope may be off, relative to itself: the loss is no straight line.
const TOLERANCE: f64 = 0.02;
/// How far a loss may be off, relative to itself, through rounding.
const ROUNDING: f64 = 2e-6;
/// Parameters that are looked at one by one; of more, every so-many-th.
const SINGLE: usize = 12;

/// The gradients of a model's loss agree with central differences: all parameters together, and one after the other.
///
/// The direction of each is that of the gradient and a random one in equal parts, so that both what is said and what
/// is left out shows: slope = ⟨g, d⟩ for d = (g/|g| + r) / |g/|g| + r|.
pub(crate) fn check(session: &mut dyn Session, model: &Model, inputs: &Inputs) -> Verdict {
    let names = trainable(&model.programs);
    ensure!(!names.is_empty(), "no parameter of {} can be trained", model.programs[0].header.source);
    let given = decoded(&session.gradients(0, &inputs.views())?)?;
    let loss = loss_of(&given)?;
    let mut gradients = Vec::new();
    for name in &names {
        let gradient = given.iter().find(|tensor| tensor.name == *name);
        let gradient = gradient.ok_or_else(|| Reason::Failed(format!("`{name}` has no gradient")))?;
        ensure!(gradient.values.iter().all(|g| g.is_finite()), "the gradient of `{name}` is not finite");
        gradients.push(gradient.clone());
    }
    let every = gradients.len().div_ceil(SINGLE);
    let single = (0..gradients.len()).step_by(every).map(|index| index..index + 1);
    for range in std::iter::once(0..gradients.len()).chain(single) {
        let what = match range.len() {
            1 => format!("`{}`", gradients[range.start].name),
            _ => "all parameters".into(),
        };
        slope(session, model, inputs, &gradients[range], loss, &what)?;
    }
    session.import(TensorKind::Parameters, &encoded(&model.values)?)?;
    Ok(())
}

fn trainable(programs: &[Program]) -> BTreeSet<String> {
    let parameters = programs.iter().flat_map(|program| &program.header.parameters);
    let trainable = parameters.filter(|parameter| parameter.kind == ParameterKind::Trainable);
    trainable.map(|parameter| parameter.name.clone()).collect()
}

/// One direction through the named parameters.
fn slope(
    session: &mut dyn Session,
    model: &Model,
    inputs: &Inputs,
    gradients: &[NamedTensor],
    loss: f64,
    what: &str,
) -> Verdict {
    let gradient: Vec<f64> = gradients.iter().flat_map(|g| &g.values).map(|g| f64::from(*g)).collect();
    let mut rng = Seed(11).derive(what, &[]).rng();
    let random: Vec<f64> = gradient.iter().map(|_| f64::from(rng.unit_f32()) - 0.5).collect();
    let (gradient_unit, random_unit) = (unit(&gradient), unit(&random));
    let direction = unit(&gradient_unit.iter().zip(&random_unit).map(|(g, r)| g + r).collect::<Vec<_>>());
    let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();

    let mut closest = f64::INFINITY;
    for step in STEPS {
        let rounding = ROUNDING * loss.abs().max(1.0) / step;
        if step < SHORT && rounding > TOLERANCE * expected.abs() {
            break;
        }
        let up = loss_at(session, model, inputs, gradients, &direction, step)?;
        let down = loss_at(session, model, inputs, gradients, &direction, -step)?;
        let measured = (up - down) / (2.0 * step);
        let allowed = TOLERANCE * expected.abs() + rounding;
        if (measured - expected).abs() <= allowed {
            return Ok(());
        }
        if (measured - expected).abs() < (closest - expected).abs() {
            closest = measured;
        }
    }
    Err(Reason::Failed(format!(
        "the slope of the loss along {what} is {expected:.5} by the gradient and {closest:.5} by differences"
    )))
}

fn loss_at(
    session: &mut dyn Session,
    model: &Model,
    inputs: &Inputs,
    along: &[NamedTensor],
    direction: &[f64],
    step: f64,
) -> Result<f64, Reason> {
    let mut rest = direction;
    let mut moved = Vec::new();
    for NamedTensor { name, shape, .. } in along {
        let from = model.values.iter().find(|tensor| tensor.name == *name);
        let from = from.ok_or_else(|| Reason::Failed(format!("`{name}` has no first value")))?;
        let (here, after) = rest.split_at(from.values.len());
        rest = after;
        let values = from.values.iter().zip(here).map(|(v, d)| (f64::from(*v) + step * d) as f32).collect();
        moved.push(NamedTensor { name: name.clone(), shape: shape.clone(), values });
    }
    // The rest goes back to where it was.
    let others = model.values.iter().filter(|tensor| along.iter().all(|moved| moved.name != tensor.name));
    moved.extend(others.cloned());
    session.import(TensorKind::Parameters, &encoded(&moved)?)?;
    loss_of(&decoded(&session.gradients(0, &inputs.views())?)?)
}

fn loss_of(tensors: &[NamedTensor]) -> Result<f64, Reason> {
    let loss = tensors.iter().find(|tensor| tensor.name == "loss").map(|tensor| tensor.values.as_slice());
    match loss {
        Some([loss]) if loss.is_finite() => Ok(f64::from(*loss)),
        other => {
            Err(Reason::Failed(format!("the loss beside the gradients is {other:?}, not one finite number")))
        }
    }
}

/// v / |v|; zeros stay zeros.
fn unit(values: &[f64]) -> Vec<f64> {
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.iter().map(|value| if norm > 0.0 { value / norm } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests;
