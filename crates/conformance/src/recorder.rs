//! What backbones, heads and losses must do.

use expanse_abi::{
    ErrorCode, PluginError, RecorderBox,
    abi_stable::std_types::{RSlice, RSliceMut},
};
use expanse_domain::Seed;
use expanse_host::{Backend, Kind, Session, TensorKind};
use expanse_program::{DType, Header, Parameter, ParameterKind, Port, Program};
use serde_json::json;

use crate::{
    gradient,
    inputs::Inputs,
    model::{
        BATCH, CLASSES, Model, OPTIMIZER, Part, backbone_request, decoded, encoded, inputs_of, numbers,
        suited,
    },
    outcome::{Reason, Verdict, ensure, not_applicable, refused},
    subject::Subject,
};

const SEED: Seed = Seed(5);

/// How far a replay may be from the module itself: both add in f32, in an order of their own.
const REPLAY: f32 = 1e-4;

/// What two records of the same request have in common: everything but the numbers of tensors.
pub(crate) fn shape_of(program: &Program) -> String {
    let Header { dialect, source, inputs, outputs, parameters, constants, multiply_adds, .. } =
        &program.header;
    let port = |port: &Port| format!("{} {:?} {:?}", port.name, port.shape, port.dtype);
    let parameter = |p: &Parameter| format!("{} {:?} {:?}", p.name, p.shape, p.kind);
    let constants: Vec<_> = constants.iter().map(|c| (&c.shape, c.dtype)).collect();
    let inputs: Vec<_> = inputs.iter().map(port).collect();
    let outputs: Vec<_> = outputs.iter().map(port).collect();
    let parameters: Vec<_> = parameters.iter().map(parameter).collect();
    format!(
        "{dialect} {source} {inputs:?} {outputs:?} {parameters:?} {constants:?} {:?} {multiply_adds}",
        program.constants
    )
}

/// Inputs and outputs are those of its kind, for the batch asked for.
pub(crate) fn ports(subject: &Subject<'_>) -> Verdict {
    let part = subject.part()?;
    for batch in [1, BATCH] {
        let Header { inputs, outputs, .. } = part.record(batch)?.header;
        let describe = |ports: &[Port]| -> Vec<(String, Vec<usize>, DType)> {
            ports.iter().map(|port| (port.name.clone(), port.shape.clone(), port.dtype)).collect()
        };
        let float = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec(), DType::F32);
        let expected = match &part {
            Part::Backbone(_, [channels, height, width]) => {
                vec![float("images", &[batch, *channels, *height, *width])]
            }
            Part::Head(_, features) => vec![float("embedding", &[batch, *features])],
            Part::Loss(_) => vec![
                float("logits", &[batch, CLASSES]),
                ("targets".into(), vec![batch], DType::I64),
                float("class_weights", &[CLASSES]),
            ],
        };
        ensure!(
            describe(&inputs) == expected,
            "its inputs are {:?}, expected {expected:?}",
            describe(&inputs)
        );
        let right = match (&part, outputs.as_slice()) {
            (Part::Backbone(..), [port]) => {
                port.name == "embedding"
                    && matches!(port.shape[..], [rows, cols] if rows == batch && cols > 0)
            }
            (Part::Head(..), [port]) => port.name == "logits" && port.shape == [batch, CLASSES],
            (Part::Loss(_), [port]) => port.name == "loss" && port.shape == [1],
            _ => false,
        };
        ensure!(right, "its outputs are {:?}", describe(&outputs));
    }
    Ok(())
}

/// Every parameter has one name and one finite first value of its shape, whatever the batch.
pub(crate) fn parameters(subject: &Subject<'_>) -> Verdict {
    let part = subject.part()?;
    let parameters = part.record(BATCH)?.header.parameters;
    let mut names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    names.sort_unstable();
    ensure!(names.windows(2).all(|pair| pair[0] != pair[1]), "two parameters have the same name: {names:?}");
    let shapes = |program: &Program| -> Vec<(String, Vec<usize>, ParameterKind)> {
        program.header.parameters.iter().map(|p| (p.name.clone(), p.shape.clone(), p.kind)).collect()
    };
    let one = part.record(1)?;
    ensure!(shapes(&one) == shapes(&part.record(BATCH)?), "its parameters change with the batch");
    let values = part.initialize(SEED)?;
    let given: Vec<&str> = values.iter().map(|tensor| tensor.name.as_str()).collect();
    ensure!(given == names, "its parameters are {names:?} and its first values are of {given:?}");
    for tensor in &values {
        let parameter = parameters.iter().find(|parameter| parameter.name == tensor.name);
        let shape = parameter.map(|parameter| &parameter.shape);
        ensure!(
            shape == Some(&tensor.shape),
            "`{}` is {shape:?} and its value {:?}",
            tensor.name,
            tensor.shape
        );
        let finite = tensor.values.iter().all(|value| value.is_finite());
        ensure!(finite, "the first value of `{}` is not finite", tensor.name);
    }
    Ok(())
}

/// The first values follow the seed and nothing else.
pub(crate) fn first_values(subject: &Subject<'_>) -> Verdict {
    let part = subject.part()?;
    let first = part.initialize_bytes(BATCH, SEED)?;
    part.record(BATCH)?;
    ensure!(part.initialize_bytes(BATCH, SEED)? == first, "the same seed gives other first values");
    ensure!(part.initialize_bytes(1, SEED)? == first, "the first values change with the batch");
    ensure!(
        subject.part()?.initialize_bytes(BATCH, SEED)? == first,
        "another instance has other first values"
    );
    if part.record(BATCH)?.header.trainable_values() == 0 {
        return Ok(());
    }
    ensure!(part.initialize_bytes(BATCH, Seed(6))? != first, "another seed gives the same first values");
    Ok(())
}

/// The same request gives the same program.
pub(crate) fn same_program(subject: &Subject<'_>) -> Verdict {
    let (one, other) = (subject.part()?, subject.part()?);
    let (first, again, third) = (one.record(BATCH)?, one.record(BATCH)?, other.record(BATCH)?);
    for second in [&again, &third] {
        ensure!(shape_of(&first) == shape_of(second), "a second record of the same request differs");
    }
    let Some(backend) = subject.references.backend.as_deref() else {
        not_applicable!("there is no reference backend; the headers agree");
    };
    let inputs = inputs_of(&[&first], SEED)?;
    let values = encoded(&one.initialize(SEED)?)?;
    let mut outputs = Vec::new();
    for program in [&first, &again, &third] {
        let mut session = loaded(backend, &[program], &values)?;
        outputs.push(bits(&forward(&mut *session, 0, &inputs, output(program)?)?));
    }
    ensure!(
        outputs.iter().all(|other| *other == outputs[0]),
        "two records of the same request compute differently"
    );
    Ok(())
}

/// A sample gives the same output alone and in a batch.
pub(crate) fn batch_sizes(subject: &Subject<'_>) -> Verdict {
    let Some(backend) = subject.references.backend.as_deref() else {
        not_applicable!("there is no reference backend");
    };
    let part = subject.part()?;
    let (single, batch) = (part.record(1)?, part.record(BATCH)?);
    let values = encoded(&part.initialize(SEED)?)?;
    let mut session = loaded(backend, &[&batch], &values)?;
    session.load(&[&single])?;
    let inputs = inputs_of(&[&batch], SEED)?;
    let together = forward(&mut *session, 0, &inputs, output(&batch)?)?;
    finite(&together)?;
    if let Part::Loss(_) = part {
        let alone = forward(&mut *session, 1, &inputs_of(&[&single], SEED)?, output(&single)?)?;
        return finite(&alone);
    }
    for (row, expected) in together.chunks(together.len() / BATCH).enumerate() {
        let alone = forward(&mut *session, 1, &inputs.sample(row), output(&single)?)?;
        near(&alone, expected, REPLAY).map_err(|why| {
            Reason::Failed(format!(
                "sample {row} gives something else alone than in a batch of {BATCH}: {why}"
            ))
        })?;
    }
    Ok(())
}

/// The record computes what the module itself computes.
pub(crate) fn replay(subject: &Subject<'_>) -> Verdict {
    let Some(backend) = subject.references.backend.as_deref() else {
        not_applicable!("there is no reference backend");
    };
    if subject.bare.manifest().abi == "0.1.0" {
        not_applicable!("it was built before modules could be run directly");
    }
    let part = subject.part()?;
    for batch in [1, BATCH] {
        let program = part.record(batch)?;
        let inputs = inputs_of(&[&program], SEED.derive("replay", &[batch as u64]))?;
        let mut session = loaded(backend, &[&program], &encoded(&part.initialize(SEED)?)?)?;
        let replayed = forward(&mut *session, 0, &inputs, output(&program)?)?;
        let mut direct = vec![f32::NAN; replayed.len()];
        part.evaluate(batch, SEED, &inputs.views(), &mut direct)?;
        finite(&direct)?;
        near(&replayed, &direct, REPLAY).map_err(|why| {
            Reason::Failed(format!("its record computes something else than its module: {why}"))
        })?;
    }
    Ok(())
}

/// The gradient of a loss by its parameters is right.
pub(crate) fn gradient(subject: &Subject<'_>) -> Verdict {
    let Some(backend) = subject.references.backend.as_deref() else {
        not_applicable!("there is no reference backend");
    };
    let part = subject.part()?;
    let model = Model::training(&part, subject.references, SEED)?;
    if subject.kind() != Kind::Loss && part.record(BATCH)?.header.trainable_values() == 0 {
        not_applicable!("it has no trainable parameters");
    }
    gradient::check(&mut *model.session(backend)?, &model, &model.inputs(SEED)?)
}

/// Records a program anew, with its first values.
type Records<'a> = dyn Fn() -> Result<(Program, Vec<u8>), Reason> + 'a;

/// Records after which numbers of tensors must have met.
const RECORDS: usize = 5000;

/// Linked to a program in which the same numbers mean other tensors, it computes the same.
pub(crate) fn overlapping_numbers(subject: &Subject<'_>) -> Verdict {
    let references = subject.references;
    let Some(backend) = references.backend.as_deref() else {
        not_applicable!("there is no reference backend")
    };
    let part = subject.part()?;
    let own = part.record(BATCH)?;
    // A neighbour on either side, and how to record it and its first values once more.
    let neighbour: Box<Records<'_>> = match (&part, references) {
        (Part::Backbone(..), crate::References { head: Some(head), .. }) => {
            let features = output(&own)?.shape[1];
            let request = expanse_program::HeadRequest { batch: BATCH, features, classes: CLASSES };
            Box::new(move || Ok((head.record(&request)?, head.initialize(&request, SEED)?)))
        }
        (Part::Loss(_), crate::References { head: Some(head), .. }) => {
            let request = expanse_program::HeadRequest { batch: BATCH, features: 8, classes: CLASSES };
            let loss = own.clone();
            Box::new(move || Ok((suited(head.record(&request)?, &loss), head.initialize(&request, SEED)?)))
        }
        (Part::Head(..), crate::References { loss: Some(loss), .. }) => {
            let request =
                expanse_program::LossRequest { batch: BATCH, classes: CLASSES, class_counts: vec![9, 4, 1] };
            Box::new(move || Ok((loss.record(&request)?, loss.initialize(&request, SEED)?)))
        }
        _ => not_applicable!("there is no reference to link it to"),
    };
    let (mut own, (mut other, other_values)) = (own, neighbour()?);
    for _ in 0..RECORDS {
        if !numbers(&own.header).is_disjoint(&numbers(&other.header)) {
            break;
        }
        // A library counts on from one record to the next; the one that is behind catches up.
        if numbers(&own.header).last() < numbers(&other.header).first() {
            own = part.record(BATCH)?;
        } else {
            other = neighbour()?.0;
        }
    }
    if numbers(&own.header).is_disjoint(&numbers(&other.header)) {
        not_applicable!("the numbers of the two programs never meet");
    }
    let values = [part.initialize(SEED)?, decoded(&other_values)?].concat();
    let (first, second) = if let Part::Loss(_) = part { (&other, &own) } else { (&own, &other) };
    let mut session = backend.open_session(OPTIMIZER)?;
    session.load(&[first, second])?;
    session.import(TensorKind::Parameters, &encoded(&values)?)?;
    let inputs = inputs_of(&[first, second], SEED)?;
    let linked = forward(&mut *session, 0, &inputs, output(second)?)?;

    // The same in two steps, with what the first gives handed to the second.
    session.load(&[first])?;
    session.load(&[second])?;
    let between = output(first)?;
    let handed = forward(&mut *session, 1, &inputs_of(&[first], SEED)?, between)?;
    let inputs = inputs_of(&[second], SEED)?.with(&between.name, handed);
    let stepwise = forward(&mut *session, 2, &inputs, output(second)?)?;
    near(&linked, &stepwise, REPLAY)
        .map_err(|why| Reason::Failed(format!("linked, it computes something else: {why}")))
}

/// A request that cannot be read or served is refused.
pub(crate) fn bad_requests(subject: &Subject<'_>) -> Verdict {
    for (what, request) in bad() {
        let object = subject.recorder_object()?;
        let answer = object.record(request.as_str().into()).into_result().map(drop);
        refused(what, answer, &[ErrorCode::INPUT])?;
        refused(
            what,
            object.initialize(request.as_str().into(), 5).into_result().map(drop),
            &[ErrorCode::INPUT],
        )?;
    }
    // The module itself must not be run on what does not fit.
    let (object, part) = (subject.recorder_object()?, subject.part()?);
    let request = part.request(BATCH).to_string();
    let none = RSlice::from_slice(&[]);
    let answer = object.evaluate(request.as_str().into(), 5, none, RSliceMut::from_mut_slice(&mut []));
    refused("a run without inputs", answer.into_result(), &[ErrorCode::INPUT, ErrorCode::UNSUPPORTED])?;
    Ok(())
}

fn bad() -> [(&'static str, String); 3] {
    [
        ("a request that is no JSON", "{\"batch\": ".into()),
        ("a request without a field", "{\"batch\": 4}".into()),
        (
            "a request with a negative batch",
            json!({"batch": -1, "channels": 1, "height": 8, "width": 8}).to_string(),
        ),
    ]
}

/// The answers to all requests of the kit, one instance for all.
pub(crate) fn hostile_calls(object: &RecorderBox) -> Vec<Result<(), PluginError>> {
    let backbone = serde_json::to_string(&backbone_request([1, 16, 16], BATCH)).unwrap_or_default();
    let others = [
        json!({"batch": 4, "features": 8, "classes": 3}).to_string(),
        json!({"batch": 4, "classes": 3, "class_counts": [9, 4, 1]}).to_string(),
        json!({"batch": 0, "channels": 0, "height": 0, "width": 0, "features": 0, "classes": 0, "class_counts": []})
            .to_string(),
    ];
    let requests = bad().into_iter().map(|(_, request)| request).chain([backbone]).chain(others);
    requests.map(|request| object.record(request.as_str().into()).into_result().map(drop)).collect()
}

/// A session with a chain of programs as its number 0, and values.
fn loaded(backend: &dyn Backend, programs: &[&Program], values: &[u8]) -> Result<Box<dyn Session>, Reason> {
    let mut session = backend.open_session(OPTIMIZER)?;
    session.load(programs)?;
    session.import(TensorKind::Parameters, values)?;
    Ok(session)
}

/// The only output of a program.
fn output(program: &Program) -> Result<&Port, Reason> {
    match program.header.outputs.as_slice() {
        [port] => Ok(port),
        ports => Err(Reason::Failed(format!("it gives {} outputs instead of one", ports.len()))),
    }
}

fn forward(
    session: &mut dyn Session,
    number: usize,
    inputs: &Inputs,
    port: &Port,
) -> Result<Vec<f32>, Reason> {
    let mut values = vec![f32::NAN; port.shape.iter().product()];
    session.forward(number, &inputs.views(), &mut [(port.name.as_str(), &mut values)])?;
    Ok(values)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn finite(values: &[f32]) -> Verdict {
    let wrong = values.iter().position(|value| !value.is_finite());
    ensure!(wrong.is_none(), "value {} of its output is not finite", wrong.unwrap_or(0));
    Ok(())
}

/// Equal up to a share of the largest value.
fn near(found: &[f32], expected: &[f32], tolerance: f32) -> Result<(), String> {
    let scale = expected.iter().fold(1.0f32, |scale, value| scale.max(value.abs()));
    let far = |(found, expected): &(&f32, &f32)| {
        let distance = (*found - *expected).abs();
        distance.is_nan() || distance > tolerance * scale
    };
    match found.iter().zip(expected).find(far) {
        _ if found.len() != expected.len() => {
            Err(format!("{} values, expected {}", found.len(), expected.len()))
        }
        Some((found, expected)) => Err(format!("{found} is not {expected}")),
        None => Ok(()),
    }
}
