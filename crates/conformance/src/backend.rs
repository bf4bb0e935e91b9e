//! What backends must do.

use expanse_abi::{BackendBox, ErrorCode, PluginError, SessionBox, abi_stable::std_types::RSlice};
use expanse_domain::Seed;
use expanse_host::{Backend, Device, Session, TensorKind};
use expanse_program::{NamedTensor, Optimizer, Program};
use serde_json::json;

use crate::{
    gradient,
    model::{Model, OPTIMIZER, decoded, encoded},
    outcome::{Reason, Verdict, ensure, not_applicable, refused},
    subject::Subject,
};

const SEED: Seed = Seed(5);

/// A program of operations that few backends have; the tests of the workspace record it anew and compare.
const UNCOMMON: &[u8] = include_bytes!("../programs/uncommon.program");

/// A device is there and described, or its absence is an error with a reason.
pub(crate) fn device(subject: &Subject<'_>) -> Verdict {
    let answer = subject.backend_object()?.device().into_result();
    if answer.is_err() {
        let error = refused("a machine without the device", answer, &[ErrorCode::INPUT])?;
        not_applicable!("there is no device: {}", error.message);
    }
    let device = subject.backend()?.device()?;
    ensure!(!device.name.trim().is_empty(), "its device has no name");
    let threads = device.threads;
    ensure!(
        (1..=subject.threads).contains(&threads),
        "it may use {} threads and uses {threads}",
        subject.threads
    );
    Ok(())
}

/// The backend with a device, and the model of the references, if it can run them.
pub(crate) fn ready(subject: &Subject<'_>) -> Result<(Box<dyn Backend>, Model), Reason> {
    let backend = subject.backend()?;
    present(&*backend)?;
    let model = Model::of_references(subject.references, SEED)?;
    supported(&*backend, &model)?;
    Ok((backend, model))
}

/// The check does not apply where the machine has no device for a backend, whose absence has a check of its own.
pub(crate) fn present(backend: &dyn Backend) -> Result<Device, Reason> {
    match backend.device() {
        Ok(device) => Ok(device),
        Err(error) => not_applicable!("there is no device: {error}"),
    }
}

/// The check does not apply where a backend lacks operations of a model, and says so.
pub(crate) fn supported(backend: &dyn Backend, model: &Model) -> Verdict {
    for program in &model.programs {
        let missing = backend.missing_operations(program)?;
        if !missing.is_empty() {
            not_applicable!("it lacks {} of {}", missing.join(", "), program.header.source);
        }
    }
    Ok(())
}

/// What it lacks is named beforehand and at load, and nothing is named that it has.
pub(crate) fn operations_lacking(subject: &Subject<'_>) -> Verdict {
    let backend = subject.backend()?;
    present(&*backend)?;
    let uncommon = Program::from_bytes(UNCOMMON).map_err(|error| Reason::Failed(error.to_string()))?;
    let missing = backend.missing_operations(&uncommon)?;
    let mut session = backend.open_session(OPTIMIZER)?;
    let answer = session.load(&[&uncommon]);
    if missing.is_empty() {
        answer?;
        not_applicable!("it has every operation of the kit's uncommon program");
    }
    let Err(error) = answer else {
        return Err(Reason::Failed(format!("it says it lacks {}, and loads them", missing.join(", "))));
    };
    let message = error.to_string();
    let unnamed = missing.iter().find(|operation| !message.contains(operation.as_str()));
    ensure!(
        unnamed.is_none(),
        "it lacks {} and does not say so at load: {message}",
        unnamed.map_or("", |s| s)
    );
    Ok(())
}

/// A program in another dialect is refused before its graph is decoded.
pub(crate) fn other_dialect(subject: &Subject<'_>) -> Verdict {
    let (_, model) = ready(subject)?;
    let mut program = model.programs[0].clone();
    program.header.dialect = "burn-ir/0.0.0".into();
    let bytes = bytes(&program)?;
    let object = subject.backend_object()?;
    let what = "a program in the dialect `burn-ir/0.0.0`";
    let error =
        refused(what, object.missing_operations(bytes.as_slice().into()).into_result(), &[ErrorCode::INPUT])?;
    ensure!(
        error.message.contains("burn-ir/0.0.0"),
        "the refusal does not name the dialect: {}",
        error.message
    );
    let mut session = session(&object)?;
    refused(what, load(&mut session, &[&bytes]), &[ErrorCode::INPUT])?;
    Ok(())
}

/// Truncated and random bytes are refused, and the session goes on.
pub(crate) fn damaged_programs(subject: &Subject<'_>) -> Verdict {
    let (_, model) = ready(subject)?;
    let whole = bytes(&model.programs[0])?;
    let object = subject.backend_object()?;
    let mut session = session(&object)?;
    for length in (0..whole.len()).step_by(whole.len().div_ceil(40)).chain([whole.len() - 1]) {
        let what = format!("a program cut to {length} of {} bytes", whole.len());
        refused(&what, load(&mut session, &[&whole[..length]]), &[ErrorCode::INPUT])?;
        let answer = object.missing_operations(whole[..length].into()).into_result();
        refused(&what, answer, &[ErrorCode::INPUT])?;
    }
    let mut rng = SEED.derive("damage", &[]).rng();
    for _ in 0..40 {
        let random: Vec<u8> = (0..200).map(|_| rng.below(256) as u8).collect();
        refused("random bytes as a program", load(&mut session, &[&random]), &[ErrorCode::INPUT])?;
        let mut damaged = whole.clone();
        damaged[rng.index(whole.len())] ^= 1 << rng.below(8);
        if Program::from_bytes(&damaged).is_err() {
            refused("a program with one bit changed", load(&mut session, &[&damaged]), &[ErrorCode::INPUT])?;
        }
    }
    // These carry a right hash, and are no graph.
    let garbled =
        Program::seal(model.programs[0].header.clone(), vec![0xff; 64], model.programs[0].constants.clone());
    refused("a graph of random bytes", load(&mut session, &[&bytes(&garbled)?]), &[ErrorCode::INPUT])?;
    let every: Result<Vec<Vec<u8>>, Reason> = model.programs.iter().map(bytes).collect();
    load(&mut session, &every?.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    Ok(())
}

/// Bytes that are no tensors, and tensors that do not fit, are refused and change nothing.
pub(crate) fn damaged_tensors(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    let mut session = model.session(&*backend)?;
    let before = session.export(TensorKind::Parameters)?;
    let whole = encoded(&model.values)?;
    let first = &model.values[0];
    let unknown = NamedTensor { name: "no.such.parameter".into(), ..first.clone() };
    let longer = NamedTensor {
        shape: vec![first.values.len() + 1],
        values: vec![0.0; first.values.len() + 1],
        ..first.clone()
    };
    let wrong = [
        ("tensors cut in half", whole[..whole.len() / 2].to_vec()),
        ("random bytes as tensors", b"no tensors at all".to_vec()),
        ("a tensor that no program has", encoded(&[unknown])?),
        ("a tensor of another shape", encoded(&[longer])?),
    ];
    for (what, bytes) in wrong {
        ensure!(session.import(TensorKind::Parameters, &bytes).is_err(), "{what} are accepted");
        ensure!(session.export(TensorKind::Parameters)? == before, "{what} have changed the parameters");
    }
    Ok(())
}

/// What is imported is exported, bit for bit.
pub(crate) fn round_trip(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    let mut session = model.empty_session(&*backend)?;
    let odd = [-0.0, f32::MIN_POSITIVE / 2.0, f32::from_bits(1), f32::MAX, f32::MIN, 0.1, f32::EPSILON];
    let fill = |tensor: &NamedTensor| NamedTensor {
        values: (0..tensor.values.len()).map(|at| odd[at % odd.len()]).collect(),
        ..tensor.clone()
    };
    for values in [model.values.clone(), model.values.iter().map(fill).collect()] {
        let given = encoded(&values)?;
        session.import(TensorKind::Parameters, &given)?;
        let (given, back) = (decoded(&given)?, decoded(&session.export(TensorKind::Parameters)?)?);
        for (given, back) in given.iter().zip(&back) {
            let bits = |tensor: &NamedTensor| tensor.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let same = given.name == back.name && given.shape == back.shape && bits(given) == bits(back);
            ensure!(same, "`{}` comes back with other bits than it went in", given.name);
        }
        ensure!(given.len() == back.len(), "{} tensors go in and {} come back", given.len(), back.len());
    }
    Ok(())
}

/// The gradients of the reference model are right.
pub(crate) fn gradient(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    gradient::check(&mut *model.session(&*backend)?, &model, &model.inputs(SEED)?)
}

/// Gradients and the evaluation form change neither parameters nor optimiser state.
pub(crate) fn evaluation_changes_nothing(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    let mut session = model.session(&*backend)?;
    steps(&mut *session, &model, 0..1)?;
    let state = |session: &dyn Session| -> Result<_, Reason> {
        Ok((session.export(TensorKind::Parameters)?, session.export(TensorKind::Optimizer)?))
    };
    let before = state(&*session)?;
    let inputs = model.inputs(SEED)?;
    session.gradients(0, &inputs.views())?;
    let mut loss = [f32::NAN];
    session.forward(0, &inputs.views(), &mut [("loss", &mut loss)])?;
    ensure!(loss[0].is_finite(), "the loss in evaluation form is {}", loss[0]);
    ensure!(state(&*session)? == before, "gradients or the evaluation form have changed the session");
    ensure!(session.losses()?.len() == 1, "gradients or the evaluation form count as training steps");
    Ok(())
}

const STEPS: u64 = 100;
const LEARNING_RATE: f64 = 0.02;
/// How far a loss may be from the reference's, relative to it, at first and after a hundred steps that add up what
/// rounding has done.
const LOSS_DRIFT: (f64, f64) = (1e-4, 2e-2);

/// A hundred steps give the losses that the reference backend gives.
pub(crate) fn hundred_steps(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    let Some(reference) = subject.references.backend.as_deref() else {
        not_applicable!("there is no reference backend");
    };
    let mut losses = Vec::new();
    for backend in [&*backend, reference] {
        let mut session = model.session(backend)?;
        steps(&mut *session, &model, 0..STEPS)?;
        losses.push(session.losses()?);
    }
    let [found, expected] = &losses[..] else { return Ok(()) };
    ensure!(
        found.len() == expected.len() && found.len() as u64 == STEPS,
        "{STEPS} steps give {} losses",
        found.len()
    );
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (found, expected) = (f64::from(*found), f64::from(*expected));
        let grown = LOSS_DRIFT.0 + (LOSS_DRIFT.1 - LOSS_DRIFT.0) * step as f64 / STEPS as f64;
        let near = (found - expected).abs() <= grown * expected.abs().max(0.1);
        ensure!(near, "the loss of step {step} is {found}, the reference's {expected}");
    }
    ensure!(
        expected[STEPS as usize - 1] < expected[0],
        "nothing is learnt in {STEPS} steps: nothing is tested"
    );
    Ok(())
}

/// Exported and imported elsewhere, training goes on bit for bit as if it had not been interrupted.
pub(crate) fn continues(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    goes_on(&*backend, &model, OPTIMIZER, "")
}

/// As [`continues`], with an optimiser; `what` begins the messages.
pub(crate) fn goes_on(backend: &dyn Backend, model: &Model, optimizer: Optimizer, what: &str) -> Verdict {
    let mut whole = model.session_with(backend, optimizer)?;
    steps(&mut *whole, model, 0..6)?;
    let mut first = model.session_with(backend, optimizer)?;
    steps(&mut *first, model, 0..3)?;
    let mut second = model.empty_session_with(backend, optimizer)?;
    for kind in [TensorKind::Parameters, TensorKind::Optimizer] {
        second.import(kind, &first.export(kind)?)?;
    }
    drop(first);
    steps(&mut *second, model, 3..6)?;
    for kind in [TensorKind::Parameters, TensorKind::Optimizer] {
        ensure!(whole.export(kind)? == second.export(kind)?, "{what}{kind:?} differ after an interruption");
    }
    ensure!(whole.losses()?[3..] == second.losses()?, "{what}the losses differ after an interruption");
    Ok(())
}

/// Two sessions know nothing of each other.
pub(crate) fn isolated_sessions(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    let (mut one, mut two) = (model.session(&*backend)?, model.session(&*backend)?);
    let before = two.export(TensorKind::Parameters)?;
    steps(&mut *one, &model, 0..2)?;
    ensure!(one.export(TensorKind::Parameters)? != before, "two steps change nothing");
    ensure!(two.export(TensorKind::Parameters)? == before, "a step of one session changes another");
    let counts = (one.losses()?.len(), two.losses()?.len());
    ensure!(counts == (2, 0), "two steps of one session give {counts:?} losses in it and in another");
    steps(&mut *two, &model, 0..2)?;
    ensure!(
        one.export(TensorKind::Parameters)? == two.export(TensorKind::Parameters)?,
        "two sessions differ"
    );
    Ok(())
}

/// The answers to all requests of the kit, one instance for all.
pub(crate) fn hostile_calls(object: &BackendBox) -> Vec<Result<(), PluginError>> {
    let device = object.device().into_result().map(drop);
    let random = object.missing_operations(b"random bytes"[..].into()).into_result().map(drop);
    let optimizer = object.open_session("{\"momentum\": \"much\"}".into()).into_result().map(drop);
    vec![device, random, optimizer]
}

/// Training steps with a batch of their own each.
fn steps(session: &mut dyn Session, model: &Model, steps: std::ops::Range<u64>) -> Verdict {
    for step in steps {
        // A few batches come again and again, so that there is something to learn.
        let inputs = model.inputs(SEED.derive("step", &[step % 4]))?;
        session.step(0, &inputs.views(), LEARNING_RATE)?;
    }
    Ok(())
}

fn bytes(program: &Program) -> Result<Vec<u8>, Reason> {
    program.to_bytes().map_err(|error| Reason::Failed(error.to_string()))
}

fn session(object: &BackendBox) -> Result<SessionBox, Reason> {
    let optimizer = json!({"momentum": 0.9, "weight_decay": 0.0}).to_string();
    Ok(object.open_session(optimizer.as_str().into()).into_result()?)
}

fn load(session: &mut SessionBox, programs: &[&[u8]]) -> Result<usize, PluginError> {
    let programs: Vec<RSlice<'_, u8>> = programs.iter().map(|program| (*program).into()).collect();
    session.load(programs.as_slice().into()).into_result()
}
