//! The optimisers of backends, by their formulas.

use expanse_abi::ErrorCode;
use expanse_domain::Seed;
use expanse_host::{Backend, TensorKind};
use expanse_program::{Method, NamedTensor, Optimizer};

use crate::{
    backend::{self, ready},
    model::{Model, decoded},
    outcome::{Reason, Verdict, ensure, not_applicable, refused},
    subject::Subject,
};

const SEED: Seed = Seed(6);
/// Steps that are compared: from the second on, what is remembered counts.
const STEPS: u64 = 4;
const LEARNING_RATE: f64 = 0.02;
/// Low enough that every gradient of the kit's models is clipped.
const CLIP_NORM: f64 = 1e-2;
/// How far a parameter may have moved differently, relative to the way that it should move.
const TOLERANCE: f64 = 1e-3;
/// How far through rounding, relative to the value and to the longest way in its tensor.
const ROUNDING: f64 = 2e-6;
/// Below this share of the largest gradient in its tensor a gradient may be rounding, which Adam makes large.
const NOISE: f64 = 1e-4;

/// All that the kit asks for: every method with a decay that shows, alone and with clipping.
fn asked() -> impl Iterator<Item = Optimizer> {
    let every = |method| {
        [None, Some(CLIP_NORM)].map(|clip_norm| Optimizer { method, clip_norm, ..Optimizer::sgd(0.8, 0.1) })
    };
    Method::ALL.into_iter().flat_map(every)
}

/// Every optimiser that a backend takes moves parameters by its formula, and goes on from what it has exported; those
/// that it lacks are refused when a session is opened.
pub(crate) fn optimizers(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    let object = subject.backend_object()?;
    let mut lacking = Vec::new();
    for optimizer in asked() {
        let name = name(optimizer);
        let json = serde_json::to_string(&optimizer).map_err(|error| Reason::Failed(error.to_string()))?;
        let answer = object.open_session(json.as_str().into()).into_result();
        if answer.is_err() {
            ensure!(optimizer.method != Method::Sgd || optimizer.clip_norm.is_some(), "it refuses sgd");
            refused(&name, answer, &[ErrorCode::INPUT])?;
            lacking.push(name);
            continue;
        }
        follows(&*backend, &model, optimizer, &name)?;
        backend::goes_on(&*backend, &model, optimizer, &format!("{name}: "))?;
    }
    if !lacking.is_empty() {
        not_applicable!("it refuses {}; the others are right", lacking.join(", "));
    }
    Ok(())
}

fn name(optimizer: Optimizer) -> String {
    match optimizer.clip_norm {
        Some(_) => format!("{} with clipping", optimizer.method),
        None => optimizer.method.to_string(),
    }
}

/// Each step moves every parameter as the formula says for the gradients that the session itself tells.
fn follows(backend: &dyn Backend, model: &Model, optimizer: Optimizer, what: &str) -> Verdict {
    let mut session = model.session_with(backend, optimizer)?;
    let mut moments: Vec<(String, Vec<[f64; 2]>)> = Vec::new();
    for step in 1..=STEPS {
        let rate = LEARNING_RATE * step as f64;
        let inputs = model.inputs(SEED.derive("step", &[step]))?;
        let before = decoded(&session.export(TensorKind::Parameters)?)?;
        let mut gradients = decoded(&session.gradients(0, &inputs.views())?)?;
        gradients.retain(|tensor| before.iter().any(|parameter| parameter.name == tensor.name));
        session.step(0, &inputs.views(), rate)?;
        let after = decoded(&session.export(TensorKind::Parameters)?)?;
        let factor = optimizer.clipped(norm(&gradients));
        ensure!(
            optimizer.clip_norm.is_none() || factor < 1.0,
            "no gradient of step {step} is clipped: nothing is tested"
        );
        for gradient in &gradients {
            let named =
                |tensors: &[NamedTensor]| tensors.iter().find(|tensor| tensor.name == gradient.name).cloned();
            let (Some(before), Some(after)) = (named(&before), named(&after)) else {
                return Err(Reason::Failed(format!("`{}` is not exported", gradient.name)));
            };
            let known = moments.iter().position(|(name, _)| *name == gradient.name);
            let known = known.unwrap_or_else(|| {
                moments.push((gradient.name.clone(), vec![[0.0; 2]; gradient.values.len()]));
                moments.len() - 1
            });
            let moments = &mut moments[known].1;
            let largest = gradient.values.iter().fold(0.0f64, |largest, g| largest.max(f64::from(*g).abs()));
            let ways: Vec<f64> = (0..gradient.values.len())
                .map(|at| {
                    let (p, g) = (f64::from(before.values[at]), f64::from(gradient.values[at]) * factor);
                    optimizer.way(step, rate, p, g, &mut moments[at])
                })
                .collect();
            let longest = ways.iter().fold(0.0f64, |longest, way| longest.max(way.abs()));
            for (at, way) in ways.iter().enumerate() {
                let (from, to) = (f64::from(before.values[at]), f64::from(after.values[at]));
                if optimizer.method.has_squares() && f64::from(gradient.values[at]).abs() < NOISE * largest {
                    continue;
                }
                let allowed = TOLERANCE * way.abs() + ROUNDING * (from.abs() + longest);
                ensure!(
                    (from + way - to).abs() <= allowed,
                    "{what} moves `{}`, value {at}, in step {step} from {from} to {to}; by its formula to {}",
                    gradient.name,
                    from + way
                );
            }
        }
    }
    Ok(())
}

/// Of all gradients together.
fn norm(gradients: &[NamedTensor]) -> f64 {
    let values = gradients.iter().flat_map(|tensor| &tensor.values);
    values.map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt()
}
