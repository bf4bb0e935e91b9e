//! What samplers must do.

use expanse_abi::{
    ErrorCode, Fallible, MatrixMut, MatrixRef, PluginError, SampleOutput, SampleRequest, SamplerBox,
    SyntheticSource, abi_stable::std_types::RString,
};
use expanse_domain::{ClassCounts, Matrix, Seed, sha256};
use expanse_host::{HostError, Sampler, Synthetic, cancel};
use serde_json::{Value, json};

use crate::{
    outcome::{Reason, Verdict, ensure, not_applicable, refused},
    subject::{self, Subject},
};

pub(crate) mod requests;

/// Samples with their classes.
struct Data {
    features: Matrix,
    labels: Vec<u32>,
}

const COLS: usize = 6;

impl Data {
    /// Clouds around a point of their own for each class, some samples twice.
    fn clouds(counts: &[usize], cols: usize) -> Self {
        let mut rng = Seed(3).derive("clouds", &[]).rng();
        let labels: Vec<u32> = (0u32..).zip(counts).flat_map(|(class, &count)| vec![class; count]).collect();
        let mut features = Matrix::zeros(labels.len(), cols);
        for (values, label) in features.as_mut_slice().chunks_exact_mut(cols).zip(&labels) {
            values.fill_with(|| 0.5 * *label as f32 + rng.unit_f32());
        }
        // The second sample of every class is its first once more.
        for class in (0u32..).take(counts.len()) {
            if let Some(first) = labels.iter().position(|label| *label == class)
                && labels.get(first + 1) == Some(&class)
            {
                features.as_mut_slice().copy_within(first * cols..(first + 1) * cols, (first + 1) * cols);
            }
        }
        Self { features, labels }
    }

    /// What most checks ask about: three classes, unequal in size.
    fn usual() -> Self {
        Self::clouds(&[30, 18, 12], COLS)
    }

    fn resample(&self, sampler: &dyn Sampler, wanted: &[u64], seed: u64) -> Result<Synthetic, HostError> {
        sampler.resample(self.features.view(), &self.labels, wanted, Seed(seed))
    }

    fn call(&self, object: &SamplerBox, wanted: &[u64], layout: Layout) -> Made {
        let (rows, cols) = (self.features.rows(), self.features.cols());
        let stride = cols + layout.between_inputs;
        let mut input = vec![f32::NAN; rows * stride];
        for (to, from) in input.chunks_exact_mut(stride).zip(self.features.as_slice().chunks_exact(cols)) {
            to[..cols].copy_from_slice(from);
        }
        let total: usize = wanted.iter().map(|&wanted| wanted as usize).sum();
        let mut made = Made::new(total, cols, layout);
        let request = SampleRequest {
            features: MatrixRef { data: input.as_slice().into(), rows, cols, stride },
            labels: self.labels.as_slice().into(),
            wanted: wanted.into(),
            seed: 5,
        };
        made.answer = made.fill(object, request);
        made.input = input;
        made
    }
}

/// How the matrices of a call lie in memory.
#[derive(Clone, Copy, Default)]
struct Layout {
    between_inputs: usize,
    between_outputs: usize,
}

/// The memory of one call: rows to fill, with guards before, between and behind them.
struct Made {
    features: Vec<f32>,
    labels: Vec<u32>,
    sources: Vec<SyntheticSource>,
    input: Vec<f32>,
    rows: usize,
    cols: usize,
    stride: usize,
    answer: Result<RString, PluginError>,
}

/// What stands where nothing may be written: no sampler makes this NaN by accident.
const GUARD: f32 = f32::from_bits(0x7fc0_ca7e);
/// Values before and behind the rows.
const MARGIN: usize = 64;

impl Made {
    fn new(rows: usize, cols: usize, layout: Layout) -> Self {
        let stride = cols + layout.between_outputs;
        Self {
            features: vec![GUARD; rows * stride + 2 * MARGIN],
            labels: vec![u32::MAX; rows + 2 * MARGIN],
            sources: vec![
                SyntheticSource { base: u64::MAX, ..SyntheticSource::default() };
                rows + 2 * MARGIN
            ],
            input: Vec::new(),
            rows,
            cols,
            stride,
            answer: Ok(RString::new()),
        }
    }

    fn fill(&mut self, object: &SamplerBox, request: SampleRequest<'_>) -> Result<RString, PluginError> {
        let (rows, cols, stride) = (self.rows, self.cols, self.stride);
        let output = SampleOutput {
            features: MatrixMut {
                data: (&mut self.features[MARGIN..MARGIN + rows * stride]).into(),
                rows,
                cols,
                stride,
            },
            labels: (&mut self.labels[MARGIN..MARGIN + rows]).into(),
            sources: (&mut self.sources[MARGIN..MARGIN + rows]).into(),
        };
        object.resample(request, output).into_result()
    }

    /// The bits of the rows that were made, without what lies between them.
    fn bits(&self) -> Vec<u32> {
        let rows = self.features[MARGIN..MARGIN + self.rows * self.stride].chunks(self.stride);
        rows.flat_map(|row| &row[..self.cols]).map(|value| value.to_bits()).collect()
    }

    fn made_labels(&self) -> &[u32] {
        &self.labels[MARGIN..MARGIN + self.rows]
    }

    /// Whether nothing is written where nothing may be.
    fn guards_hold(&self) -> bool {
        let inside = MARGIN..MARGIN + self.rows * self.stride;
        let guard = |at: usize| !inside.contains(&at) || (at - MARGIN) % self.stride >= self.cols;
        let features = self.features.iter().enumerate().filter(|(at, _)| guard(*at));
        let outside = |at: usize| !(MARGIN..MARGIN + self.rows).contains(&at);
        let labels = self.labels.iter().enumerate().filter(|(at, _)| outside(*at));
        let sources = self.sources.iter().enumerate().filter(|(at, _)| outside(*at));
        features.map(|(_, value)| value).all(|value| value.to_bits() == GUARD.to_bits())
            && labels.map(|(_, label)| *label).all(|label| label == u32::MAX)
            && sources.map(|(_, source)| source.base).all(|base| base == u64::MAX)
    }
}

/// The usual request, as bytes.
pub(crate) fn work(sampler: &dyn Sampler) -> Result<Vec<u8>, Reason> {
    let made = Data::usual().resample(sampler, &[0, 12, 17], 5)?;
    let labels = made.labels.iter().flat_map(|label| label.to_le_bytes());
    Ok(made.features.as_slice().iter().flat_map(|value| value.to_le_bytes()).chain(labels).collect())
}

/// A request that is worth a pool of threads.
pub(crate) fn work_hard(sampler: &dyn Sampler) -> Verdict {
    Data::clouds(&[700, 300, 200], 16).resample(sampler, &[0, 400, 500], 5)?;
    Ok(())
}

/// What a sampler makes of a larger request: values, and where they come from.
pub(crate) fn digest(subject: &Subject<'_>) -> Result<String, Reason> {
    let made = Data::clouds(&[700, 300, 200], 16).resample(&*subject.sampler()?, &[200, 900, 700], 5)?;
    let bytes: Vec<u8> = made.features.as_slice().iter().flat_map(|value| value.to_le_bytes()).collect();
    let told = format!("{:?} {:?} {}", made.labels, made.provenance, made.report);
    Ok(format!("{} {} {};", subject.entry.name, sha256(&bytes), sha256(told.as_bytes())))
}

/// For every class exactly as many rows as are wanted, in order of the classes.
pub(crate) fn exact_counts(subject: &Subject<'_>) -> Verdict {
    let (sampler, data) = (subject.sampler()?, Data::usual());
    for wanted in [[0, 12, 17], [3, 0, 1], [0, 0, 40], [1, 1, 1]] {
        exact(&data.resample(&*sampler, &wanted, 5)?, &wanted)?;
    }
    Ok(())
}

fn exact(made: &Synthetic, wanted: &[u64]) -> Verdict {
    let counts = ClassCounts::of(&made.labels, wanted.len());
    ensure!(
        counts.as_slice() == wanted && made.labels.len() as u64 == counts.total(),
        "asked for {wanted:?} rows by class, it makes {:?}",
        counts.as_slice()
    );
    let rows = (made.features.rows(), made.provenance.len());
    ensure!(rows == (made.labels.len(), made.labels.len()), "rows, labels and sources are not equally many");
    ensure!(made.labels.is_sorted(), "its rows are not in order of their classes: {:?}", made.labels);
    Ok(())
}

/// Every value that it makes is finite, and every row is written.
pub(crate) fn finite_output(subject: &Subject<'_>) -> Verdict {
    let made = Data::usual().call(&subject.sampler_object()?, &[2, 12, 17], Layout::default());
    made.answer.clone()?;
    let wrong = made.bits().iter().position(|bits| !f32::from_bits(*bits).is_finite());
    ensure!(wrong.is_none(), "synthetic value {} of {} is not finite", wrong.unwrap_or(0), made.bits().len());
    ensure!(!made.made_labels().contains(&u32::MAX), "a row has no label");
    let report: Result<Value, _> =
        made.answer.map(|report| serde_json::from_str(&report).unwrap_or_default());
    ensure!(report.is_ok_and(|report| report.is_object()), "its report is no JSON object");
    Ok(())
}

/// The rows that it names as sources are there, and of the class that they should be of.
pub(crate) fn provenance(subject: &Subject<'_>) -> Verdict {
    let data = Data::usual();
    sources(&data, &data.resample(&*subject.sampler()?, &[4, 12, 17], 5)?)
}

fn sources(data: &Data, made: &Synthetic) -> Verdict {
    for (row, (label, source)) in made.labels.iter().zip(&made.provenance).enumerate() {
        let class = |row: u64| usize::try_from(row).ok().and_then(|row| data.labels.get(row)).copied();
        ensure!(
            class(source.base) == Some(*label),
            "row {row} of class {label} names the base {}",
            source.base
        );
        ensure!(
            class(source.partner) == Some(source.partner_class),
            "row {row} names the partner {} of class {}, which it is not",
            source.partner,
            source.partner_class
        );
        ensure!((0.0..=1.0).contains(&source.r), "row {row} names the step {}, not in [0, 1]", source.r);
    }
    Ok(())
}

/// It leaves its input alone.
pub(crate) fn input_untouched(subject: &Subject<'_>) -> Verdict {
    let data = Data::usual();
    let layout = Layout { between_inputs: 3, between_outputs: 0 };
    let made = data.call(&subject.sampler_object()?, &[2, 12, 17], layout);
    made.answer.clone()?;
    let rows = made.input.chunks(COLS + 3).flat_map(|row| &row[..COLS]);
    let same = rows.zip(data.features.as_slice()).all(|(now, before)| now.to_bits() == before.to_bits());
    let between = made.input.chunks(COLS + 3).flat_map(|row| &row[COLS..]).all(|value| value.is_nan());
    ensure!(same && between, "it has changed its input");
    Ok(())
}

/// It writes its rows and nothing before, between or behind them.
pub(crate) fn guard_rows(subject: &Subject<'_>) -> Verdict {
    guards(&subject.sampler_object()?)
}

fn guards(object: &SamplerBox) -> Verdict {
    let layout = Layout { between_inputs: 0, between_outputs: 5 };
    let made = Data::usual().call(object, &[2, 12, 17], layout);
    made.answer.clone()?;
    ensure!(made.guards_hold(), "it writes outside of its rows");
    Ok(())
}

/// Rows that lie further apart than they are long give the same bits.
pub(crate) fn wide_stride(subject: &Subject<'_>) -> Verdict {
    strides(&subject.sampler_object()?)
}

fn strides(object: &SamplerBox) -> Verdict {
    let data = Data::usual();
    let dense = data.call(object, &[2, 12, 17], Layout::default());
    let wide = data.call(object, &[2, 12, 17], Layout { between_inputs: 4, between_outputs: 7 });
    dense.answer.clone()?;
    wide.answer.clone()?;
    ensure!(dense.bits() == wide.bits(), "what lies between rows changes what it makes");
    Ok(())
}

/// The same request and seed give the same bits, from the same and from another instance.
pub(crate) fn same_seed(subject: &Subject<'_>) -> Verdict {
    let (one, other, data) = (subject.sampler()?, subject.sampler()?, Data::usual());
    let wanted = [4, 12, 17];
    let expected = data.resample(&*one, &wanted, 1)?;
    // Something else in between, so that what an instance remembers would show.
    data.resample(&*one, &[1, 0, 3], 2)?;
    for sampler in [&one, &other] {
        let made = data.resample(&**sampler, &wanted, 1)?;
        ensure!(made == expected, "the same request and seed give other rows when asked again");
    }
    Ok(())
}

/// Another seed gives other rows, where anything is drawn.
pub(crate) fn other_seed(subject: &Subject<'_>) -> Verdict {
    let (sampler, data) = (subject.sampler()?, Data::usual());
    let made = |seed| data.resample(&*sampler, &[4, 12, 17], seed);
    let (first, others) = (made(1)?.features, [made(2)?.features, made(3)?.features]);
    if others.iter().all(|other| *other == first) {
        not_applicable!("it draws nothing from its seed");
    }
    Ok(())
}

/// Nothing wanted is nothing made, and no error, even where there is nothing to make anything of.
pub(crate) fn nothing_wanted(subject: &Subject<'_>) -> Verdict {
    let sampler = subject.sampler()?;
    exact(&Data::usual().resample(&*sampler, &[0, 0, 0], 5)?, &[0, 0, 0])?;
    exact(&Data::clouds(&[2, 0], 1).resample(&*sampler, &[0, 0], 5)?, &[0, 0])
}

/// A class of one sample is served, or refused with an input error.
pub(crate) fn one_row(subject: &Subject<'_>) -> Verdict {
    serve_or_refuse(subject, &Data::clouds(&[20, 9, 1], COLS), &[0, 2, 5], &json!({}))
}

/// Samples that are all the same are served, or refused with an input error.
pub(crate) fn duplicates(subject: &Subject<'_>) -> Verdict {
    let mut data = Data::clouds(&[12, 9, 6], COLS);
    data.features.as_mut_slice().fill(1.5);
    serve_or_refuse(subject, &data, &[0, 3, 5], &json!({}))
}

/// Fewer rows than any number of neighbours are served, or refused with an input error.
pub(crate) fn more_neighbours_than_rows(subject: &Subject<'_>) -> Verdict {
    let data = Data::clouds(&[3, 2, 2], COLS);
    serve_or_refuse(subject, &data, &[0, 3, 5], &json!({}))?;
    for (option, schema) in subject.properties().filter(|(_, schema)| schema["type"] == "integer") {
        let most = schema.get("maximum").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let options = json!({ option.as_str(): most.min(1000) });
        serve_or_refuse(subject, &data, &[0, 3, 5], &options)?;
    }
    Ok(())
}

/// A sample that holds NaN or infinity is refused with an input error, whether or not rows are wanted of its class.
pub(crate) fn not_a_number(subject: &Subject<'_>) -> Verdict {
    let object = subject.sampler_object()?;
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for row in [0, 59] {
            let mut data = Data::usual();
            data.features.as_mut_slice()[row * COLS + 4] = value;
            let answer = data.call(&object, &[0, 0, 20], Layout::default()).answer;
            refused(&format!("a sample with the value {value}"), answer, &[ErrorCode::INPUT])?;
        }
    }
    Ok(())
}

/// Either exact counts of finite rows, or an input error.
fn serve_or_refuse(subject: &Subject<'_>, data: &Data, wanted: &[u64], more: &Value) -> Verdict {
    let mut options = subject.options.clone();
    options.extend(more.as_object().cloned().unwrap_or_default());
    let object = match subject.open_with(&Value::Object(options)) {
        // The option is out of range, which is an answer, too.
        Err(error) if error.code == ErrorCode::OPTIONS && *more != json!({}) => return Ok(()),
        opened => subject::sampler(opened?)?,
    };
    let made = data.call(&object, wanted, Layout::default());
    let what = if *more == json!({}) { "the request".into() } else { format!("the request with {more}") };
    if made.answer.is_err() {
        refused(&what, made.answer, &[ErrorCode::INPUT])?;
        return Ok(());
    }
    let counts = ClassCounts::of(made.made_labels(), wanted.len());
    ensure!(counts.as_slice() == wanted, "{what} for {wanted:?} gives {:?} rows by class", counts.as_slice());
    let finite = made.bits().iter().all(|bits| f32::from_bits(*bits).is_finite());
    ensure!(finite, "{what} gives values that are not finite; refuse it with an input error");
    Ok(())
}

/// A request that contradicts itself is refused with an input error.
pub(crate) fn bad_requests(subject: &Subject<'_>) -> Verdict {
    for (what, call) in BAD_REQUESTS {
        // A panic would end the instance, so each request has one of its own.
        refused(what, call(&subject.sampler_object()?).into_result().map(drop), &[ErrorCode::INPUT])?;
    }
    Ok(())
}

/// The answers to all requests of the kit, one instance for all.
pub(crate) fn hostile_calls(object: &SamplerBox) -> Vec<Result<(), PluginError>> {
    let usual = Data::usual().call(object, &[2, 12, 17], Layout::default()).answer.map(drop);
    let bad = BAD_REQUESTS.iter().map(|(_, call)| call(object).into_result().map(drop));
    [usual].into_iter().chain(bad).collect()
}

type Call = fn(&SamplerBox) -> Fallible<RString>;

const BAD_REQUESTS: [(&str, Call); 4] = [
    ("a label beyond the classes", |object| {
        let mut data = Data::usual();
        data.labels[4] = 9;
        data.call(object, &[1, 1, 1], Layout::default()).answer.into()
    }),
    ("fewer labels than rows", |object| {
        let mut data = Data::usual();
        data.labels.truncate(40);
        data.call(object, &[1, 1, 1], Layout::default()).answer.into()
    }),
    ("rows of a class without samples", |object| {
        Data::usual().call(object, &[1, 1, 1, 2], Layout::default()).answer.into()
    }),
    ("room for fewer rows than are wanted", |object| {
        let data = Data::usual();
        let mut made = Made::new(5, COLS, Layout::default());
        let request = SampleRequest {
            features: MatrixRef {
                data: data.features.as_slice().into(),
                rows: data.features.rows(),
                cols: COLS,
                stride: COLS,
            },
            labels: data.labels.as_slice().into(),
            wanted: (&[2, 2, 2][..]).into(),
            seed: 5,
        };
        made.fill(object, request).into()
    }),
];

/// It makes the rows of its golden numbers.
pub(crate) fn golden_numbers(subject: &Subject<'_>) -> Verdict {
    let Some(golden) = subject.golden else { not_applicable!("no golden numbers are given") };
    let cols = golden.features[0].len();
    let data = Data {
        features: Matrix::new(golden.features.concat(), golden.features.len(), cols)
            .map_err(|error| Reason::Failed(error.to_string()))?,
        labels: golden.labels.clone(),
    };
    let sampler = subject::sampler(subject.open_with(&Value::Object(golden.options.clone()))?)?;
    let sampler = expanse_host::sampler_of(&subject.entry.name, sampler);
    let made = data.resample(&*sampler, &golden.wanted, golden.seed)?;
    let source = &golden.source;
    ensure!(made.labels == golden.made_labels, "its labels are not those of {source}: {:?}", made.labels);
    ensure!(
        made.features.rows() == golden.made.len(),
        "it makes {} rows, {source} has {}",
        made.features.rows(),
        golden.made.len()
    );
    for (row, expected) in golden.made.iter().enumerate() {
        for (column, (found, expected)) in made.features.row(row).iter().zip(expected).enumerate() {
            let near = (found - expected).abs() <= golden.tolerance;
            ensure!(near, "row {row}, column {column} is {found}, and {expected} in {source}");
        }
    }
    Ok(())
}

/// It stops when the host asks.
pub(crate) fn cancelled(subject: &Subject<'_>) -> Verdict {
    let sampler = subject.sampler()?;
    cancel();
    match Data::clouds(&[700, 300, 200], 16).resample(&*sampler, &[0, 400, 500], 5) {
        Err(HostError::Cancelled) => Ok(()),
        Ok(_) => not_applicable!("its work is done before it would ask whether to stop"),
        Err(error) => Err(Reason::Failed(format!("asked to stop, it answers: {error}"))),
    }
}

#[cfg(test)]
mod tests;
