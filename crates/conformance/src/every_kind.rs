//! What plugins of every kind must do.

use std::{collections::HashMap, thread};

use expanse_abi::{ErrorCode, PluginError};
use expanse_domain::Seed;
use expanse_host::{Backend, BareObject, Kind, Sampler, TensorKind};
use serde_json::{Map, Value, json};

use crate::{
    backend, measure,
    model::{BATCH, Model, Part},
    outcome::{Reason, Verdict, ensure, not_applicable, refused},
    recorder,
    records::Record,
    sampler,
    subject::Subject,
};

/// An instance, ready to work.
enum Instance {
    Sampler(Box<dyn Sampler>),
    Part(Part),
    Backend(Box<dyn Backend>),
}

impl Subject<'_> {
    fn instance(&self) -> Result<Instance, Reason> {
        Ok(match self.kind() {
            Kind::Sampler => Instance::Sampler(self.sampler()?),
            Kind::Backend => Instance::Backend(self.backend()?),
            Kind::Backbone | Kind::Head | Kind::Loss => Instance::Part(self.part()?),
        })
    }

    /// What the plugin is there for, once; the same bytes each time.
    fn work(&self, instance: &Instance) -> Result<Vec<u8>, Reason> {
        match instance {
            Instance::Sampler(sampler) => sampler::work(&**sampler),
            Instance::Part(part) => {
                let mut bytes = part.initialize_bytes(BATCH, SEED)?;
                bytes.extend(recorder::shape_of(&part.record(BATCH)?).into_bytes());
                Ok(bytes)
            }
            Instance::Backend(backend) => {
                let mut bytes = backend::present(&**backend)?.name.into_bytes();
                if let Ok(model) = Model::of_references(self.references, SEED) {
                    backend::supported(&**backend, &model)?;
                    let mut session = model.session(&**backend)?;
                    session.step(0, &model.inputs(SEED)?.views(), 0.1)?;
                    bytes.extend(session.export(TensorKind::Parameters)?);
                }
                Ok(bytes)
            }
        }
    }
}

const SEED: Seed = Seed(5);

/// Besides the thread that calls, a plugin may run as many as the host tells it.
pub(crate) fn thread_budget(subject: &Subject<'_>) -> Verdict {
    // Where a program is run, the references are other libraries with a pool of their own each, and the driver of a device
    // has threads that do nothing but wait.
    let (count, libraries): (fn() -> _, _) = match subject.kind() {
        Kind::Backend => (measure::busy_threads, 4),
        _ => (measure::threads, 1),
    };
    let Some(before) = count() else { not_applicable!("this system does not tell its threads") };
    let (worked, most) = measure::most(count, || match subject.instance()? {
        Instance::Sampler(sampler) => sampler::work_hard(&*sampler),
        other => subject.work(&other).map(drop),
    });
    worked?;
    let more = most.saturating_sub(before);
    let budget = subject.threads * libraries;
    ensure!(
        more <= budget,
        "it may use {} threads and there are {more} more while it works",
        subject.threads
    );
    Ok(())
}

/// Names, texts and the options' schema are complete.
pub(crate) fn manifest(subject: &Subject<'_>) -> Verdict {
    let (manifest, entry) = (subject.bare.manifest(), subject.entry);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let name = &entry.name;
    ensure!(
        !name.is_empty() && name.chars().all(plain) && !name.starts_with('-') && !name.ends_with('-'),
        "its name is {name:?}; use lower-case letters, digits and hyphens"
    );
    let same = manifest.plugins.iter().filter(|other| other.name == *name).count();
    ensure!(same == 1, "the library holds {same} plugins of the name `{name}`");
    let summary = &entry.summary;
    ensure!(
        !summary.trim().is_empty() && !summary.contains('\n'),
        "its summary must be one line, it is {summary:?}"
    );
    for (what, version) in [("version", &manifest.version), ("sdk", &manifest.sdk), ("abi", &manifest.abi)] {
        let numbers = version.split(['.', '-', '+']).take(3).filter(|part| part.parse::<u64>().is_ok());
        ensure!(numbers.count() == 3, "its {what} is {version:?}, which is no version such as 1.2.3");
    }
    match (subject.kind(), &manifest.dialect) {
        (Kind::Sampler, Some(dialect)) => {
            return Err(Reason::Failed(format!("a sampler records no programs, and it names {dialect:?}")));
        }
        (Kind::Sampler, None) | (_, Some(_)) => {}
        (kind, None) => {
            return Err(Reason::Failed(format!("a {kind} must name the dialect of its programs")));
        }
    }
    ensure!(entry.options.is_object(), "the schema of its options is no JSON object");
    for (option, schema) in subject.properties() {
        let description = schema["description"].as_str().unwrap_or_default();
        ensure!(!description.trim().is_empty(), "option `{option}` is not described; document its field");
        ensure!(schema.get("default").is_some(), "option `{option}` has no default in the schema");
    }
    Ok(())
}

/// The defaults that the schema tells are options that it takes.
pub(crate) fn option_defaults(subject: &Subject<'_>) -> Verdict {
    let defaults = subject.properties().filter_map(|(name, schema)| Some((name, schema.get("default")?)));
    let defaults: Map<String, Value> = defaults.map(|(name, value)| (name.clone(), value.clone())).collect();
    subject.open_with(&json!({}))?;
    subject.open_with(&Value::Object(defaults))?;
    Ok(())
}

/// An option that there is not is refused and named.
pub(crate) fn unknown_option(subject: &Subject<'_>) -> Verdict {
    let error = refuse_option(subject, "no_such_option", json!(1))?;
    let text = error.message.as_str();
    ensure!(text.contains("no_such_option"), "the refusal does not name the unknown option: {text}");
    Ok(())
}

/// A value of another type than the schema says is refused, with the option's name.
pub(crate) fn wrong_options(subject: &Subject<'_>) -> Verdict {
    let mut tried = 0;
    for (option, schema) in subject.properties() {
        let candidates = [json!("no such value"), json!(true), json!(0.5), json!({"no": "such"}), json!(-1)];
        for value in candidates.iter().filter(|value| !admits(subject, schema, value)) {
            let error = refuse_option(subject, option, value.clone())?;
            let detail: Value = serde_json::from_str(&error.detail).unwrap_or_default();
            ensure!(
                detail["option"].as_str().is_some_and(|named| named == option),
                "option `{option}` = {value}: the detail must name the option, it is {}",
                error.detail
            );
            tried += 1;
        }
    }
    if tried == 0 {
        not_applicable!("it has no options of a type that could be missed");
    }
    Ok(())
}

/// A value outside of the range in the schema is refused.
pub(crate) fn options_out_of_range(subject: &Subject<'_>) -> Verdict {
    let mut tried = 0;
    for (option, schema) in subject.properties() {
        let integer = schema["type"] == "integer";
        let beyond =
            |limit: f64, step: f64| if integer { json!((limit + step) as i64) } else { json!(limit + step) };
        let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
        let outside = [
            limit("minimum").map(|limit| beyond(limit, -1.0)),
            limit("maximum").map(|limit| beyond(limit, 1.0)),
            limit("exclusiveMinimum").map(|limit| beyond(limit, 0.0)),
            limit("exclusiveMaximum").map(|limit| beyond(limit, 0.0)),
        ];
        for value in outside.into_iter().flatten() {
            refuse_option(subject, option, value)?;
            tried += 1;
        }
    }
    if tried == 0 {
        not_applicable!("the schema of its options names no range");
    }
    Ok(())
}

fn refuse_option(subject: &Subject<'_>, option: &str, value: Value) -> Result<PluginError, Reason> {
    let what = format!("option `{option}` = {value}");
    let mut options = subject.options.clone();
    options.insert(option.into(), value);
    refused(&what, subject.open_with(&Value::Object(options)).map(drop), &[ErrorCode::OPTIONS])
}

/// Whether a schema admits a value, as far as its types and enumerations tell; in doubt it does.
fn admits(subject: &Subject<'_>, schema: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() && (value.as_i64() >= Some(0) || schema.get("minimum").is_none()),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => true,
    };
    if let Some(reference) = schema["$ref"].as_str() {
        let target = subject.entry.options.pointer(reference.trim_start_matches('#'));
        return target.is_none_or(|target| admits(subject, target, value));
    }
    for (list, all) in [("oneOf", false), ("anyOf", false), ("allOf", true)] {
        if let Some(list) = schema[list].as_array() {
            let mut each = list.iter().map(|schema| admits(subject, schema, value));
            return if all { each.all(|admits| admits) } else { each.any(|admits| admits) };
        }
    }
    if let Some(constant) = schema.get("const") {
        return constant == value;
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.contains(value);
    }
    match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

/// Taking over the host's services a second time changes nothing.
pub(crate) fn initialised_twice(subject: &Subject<'_>) -> Verdict {
    let (before, once) = subject.records.during(|| subject.work(&subject.instance()?));
    subject.bare.init()?;
    let (after, again) = subject.records.during(|| subject.work(&subject.instance()?));
    ensure!(after? == before?, "it works otherwise after it has been initialised a second time");
    ensure!(
        !all_twice(&once, &again),
        "after a second initialisation records arrive twice: {:?}",
        again.first()
    );
    Ok(())
}

/// Whether every record comes at least twice as often again as it did once. Threads of a plugin's own log as they are
/// scheduled, so that one record alone says nothing.
fn all_twice(once: &[Record], again: &[Record]) -> bool {
    let counts = |records: &[Record]| {
        let mut counts = HashMap::new();
        records.iter().for_each(|record| *counts.entry(record.clone()).or_insert(0) += 1);
        counts
    };
    let before: HashMap<Record, usize> = counts(once);
    let twice = |(record, count): (&Record, &usize)| match before.get(record) {
        Some(before) => *count >= 2 * before,
        None => count.is_multiple_of(2),
    };
    !again.is_empty() && counts(again).iter().all(twice)
}

/// What it logs arrives in the host, with the name of the library.
pub(crate) fn log(subject: &Subject<'_>) -> Verdict {
    let (worked, records) = subject.records.during(|| subject.work(&subject.instance()?));
    worked?;
    let mut libraries: Vec<&str> = records.iter().map(|Record { library, .. }| library.as_str()).collect();
    libraries.sort_unstable();
    libraries.dedup();
    if libraries.is_empty() {
        not_applicable!("nothing that it logs arrives while it opens and works");
    }
    // Where a backend is checked, the references around it may log, too.
    let one = subject.kind() == Kind::Backend || libraries.len() == 1;
    ensure!(one && !libraries.contains(&""), "its records bear the names {libraries:?} instead of its own");
    Ok(())
}

/// Two instances know nothing of each other.
pub(crate) fn two_instances(subject: &Subject<'_>) -> Verdict {
    let (first, second) = (subject.instance()?, subject.instance()?);
    let expected = subject.work(&first)?;
    for _ in 0..2 {
        ensure!(subject.work(&second)? == expected, "a second instance gives something else");
        ensure!(
            subject.work(&first)? == expected,
            "an instance gives something else after another has worked"
        );
    }
    drop(first);
    ensure!(subject.work(&second)? == expected, "an instance gives something else after another was dropped");
    Ok(())
}

/// Two instances used by eight threads at once give what one thread gets.
pub(crate) fn eight_threads(subject: &Subject<'_>) -> Verdict {
    let instances = [subject.instance()?, subject.instance()?];
    let expected = subject.work(&instances[0])?;
    let verdicts: Vec<Verdict> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (instance, expected) = (&instances[number % 2], &expected);
                scope.spawn(move || {
                    for _ in 0..3 {
                        let same = subject.work(instance)? == *expected;
                        ensure!(same, "it gives something else while eight threads use it");
                    }
                    Ok(())
                })
            })
            .collect();
        let died = || Err(Reason::Failed("a thread that used it has panicked".into()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
    });
    verdicts.into_iter().collect()
}

/// Cycles of opening and dropping, and bytes that memory may grow by meanwhile.
const CYCLES: usize = 10_000;
const GROWTH: u64 = 1 << 20;

/// Opening and dropping it ten thousand times leaves nothing behind.
pub(crate) fn opened_and_dropped(subject: &Subject<'_>) -> Verdict {
    let cycles = |count: usize| (0..count).try_for_each(|_| subject.open().map(drop));
    // What is kept once, such as pools, is there afterwards.
    cycles(CYCLES / 10)?;
    let Some(before) = measure::resident_bytes() else {
        not_applicable!("this system does not tell the memory of a process");
    };
    cycles(CYCLES)?;
    let grown = measure::resident_bytes().unwrap_or(before).saturating_sub(before);
    ensure!(grown <= GROWTH, "{grown} bytes are left behind by {CYCLES} instances; free what they hold");
    Ok(())
}

/// A panic is answered with an error, ends that instance and nothing else.
///
/// It can be brought about only where the options, or a request of the kit, make the plugin panic.
pub(crate) fn panic(subject: &Subject<'_>) -> Verdict {
    let first = match subject.open() {
        Err(error) if error.code == ErrorCode::PANIC => return place(&error),
        opened => opened?,
    };
    let calls = |object: &BareObject| match object {
        BareObject::Sampler(object) => sampler::hostile_calls(object),
        BareObject::Recorder(object) => recorder::hostile_calls(object),
        BareObject::Backend(object) => backend::hostile_calls(object),
    };
    let panicked = |answers: Vec<Result<(), PluginError>>| {
        answers.into_iter().filter_map(Result::err).find(|error| error.code == ErrorCode::PANIC)
    };
    let Some(error) = panicked(calls(&first)) else {
        not_applicable!("nothing that the kit asks for makes it panic");
    };
    place(&error)?;
    let again = calls(&first);
    let poisoned = again.iter().all(|answer| answer.as_ref().is_err_and(|e| e.code == ErrorCode::PANIC));
    ensure!(poisoned, "an instance that has panicked answers again; it must be refused for ever");
    subject.open()?;
    Ok(())
}

/// The message tells where the panic was.
fn place(error: &PluginError) -> Verdict {
    let message = error.message.as_str();
    ensure!(message.contains(".rs:"), "the message of a panic must tell its place, it is {message:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Record, all_twice};

    #[test]
    fn records_of_threads_are_not_taken_for_records_that_arrive_twice() {
        let records = |messages: &str| -> Vec<Record> {
            let record = |message| Record { library: "own".into(), message: String::from(message) };
            messages.chars().map(record).collect()
        };
        let twice = |once: &str, again: &str| all_twice(&records(once), &records(again));
        assert!(twice("a", "aa") && twice("aab", "aaabab") && twice("1", "22") && twice("", "aa"));
        // A thread that waited more often the second time, or said something for the first time.
        assert!(!twice("awbw", "awwwbww") && !twice("ab", "abc") && !twice("ab", "ab") && !twice("a", ""));
    }
}
