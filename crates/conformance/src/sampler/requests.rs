//! Requests as they come: small and unequal classes, equal and extreme values, and what follows an error.

use expanse_abi::{ErrorCode, PluginError};
use expanse_domain::{ClassCounts, Matrix, Rng, Seed};
use serde_json::{Value, json};

use super::{BAD_REQUESTS, Data, Layout, exact, serve_or_refuse, sources};
use crate::{
    outcome::{Reason, Verdict, ensure, not_applicable, refused},
    subject::Subject,
};

/// How many requests are drawn.
const DRAWN: u64 = 60;
/// A wanted class of more samples than this is no reason to refuse a request.
const TINY: u64 = 2;

/// Samples and what is wanted of each class.
struct Request {
    data: Data,
    wanted: Vec<u64>,
}

impl Request {
    /// Up to 120 samples of up to 5 columns and 4 classes, of few different values, so that many are equal. Classes of a
    /// single sample and of fewer than any number of neighbours occur, and so do classes of which nothing is wanted.
    fn drawn(number: u64) -> Self {
        let mut rng = Seed(number).derive("drawn-request", &[]).rng();
        let (cols, classes) = (1 + rng.index(5), 2 + rng.index(3));
        let values = 2 + rng.below(30);
        let mut labels: Vec<u32> = Vec::new();
        for class in 0..classes {
            let most = [1, 4, 12, 30][rng.index(4)];
            labels.extend(vec![class as u32; 1 + rng.index(most)]);
        }
        rng.shuffle(&mut labels);
        let mut features = Matrix::zeros(labels.len(), cols);
        let value = |rng: &mut Rng| rng.below(values) as f32 / 7.0 - 1.0;
        features.as_mut_slice().fill_with(|| value(&mut rng));
        let wanted = (0..classes).map(|_| [0, 1, 40][rng.index(3)] * (1 + rng.below(2))).collect();
        Self { data: Data { features, labels }, wanted }
    }

    /// The wanted classes that are so small that the request may be refused.
    fn tiny(&self) -> impl Iterator<Item = usize> {
        let samples = ClassCounts::of(&self.data.labels, self.wanted.len()).as_slice().to_vec();
        let wanted = self.wanted.clone();
        (0..wanted.len()).filter(move |&class| wanted[class] > 0 && samples[class] <= TINY)
    }

    fn describe(&self) -> String {
        let samples = ClassCounts::of(&self.data.labels, self.wanted.len());
        format!("a request for {:?} rows of classes with {:?} samples", self.wanted, samples.as_slice())
    }

    /// The refusal is an input error that names a class which is too small.
    fn may_be_refused(&self, error: PluginError) -> Verdict {
        let what = self.describe();
        let error = refused::<()>(&what, Err(error), &[ErrorCode::INPUT])?;
        let told = error.message.as_str();
        ensure!(
            self.tiny().any(|class| told.contains(&format!("class {class}"))),
            "{what} is refused ({told}); serve it, or name a wanted class of at most {TINY} samples, as in `class 1`"
        );
        Ok(())
    }
}

/// Small requests are met, twice with the same rows, or refused because of a class that is named and tiny.
pub(crate) fn drawn_requests(subject: &Subject<'_>) -> Verdict {
    let (object, sampler) = (subject.sampler_object()?, subject.sampler()?);
    for request in (0..DRAWN).map(Request::drawn) {
        let Request { data, wanted } = &request;
        let first = data.call(&object, wanted, Layout::default());
        if let Err(error) = first.answer {
            request.may_be_refused(error)?;
            continue;
        }
        let made = data.resample(&*sampler, wanted, 5)?;
        exact(&made, wanted)?;
        sources(data, &made)?;
        let bits = made.features.as_slice().iter().map(|value| value.to_bits());
        ensure!(bits.eq(first.bits()), "{} is met with other rows when asked again", request.describe());
    }
    Ok(())
}

/// Samples that are all the same, or differ by very little or very much, are served; where values are close to the end
/// of their range, a refusal will do.
pub(crate) fn extreme_values(subject: &Subject<'_>) -> Verdict {
    let data = |scale: f32| {
        let mut data = Data::clouds(&[20, 8], 2);
        for (row, values) in data.features.as_mut_slice().chunks_exact_mut(2).enumerate() {
            let sign = if row.is_multiple_of(3) { -1.0 } else { 1.0 };
            values.copy_from_slice(&[sign * scale, scale]);
        }
        data
    };
    let (sampler, wanted) = (subject.sampler()?, [0, 50]);
    for scale in [0.0, 1e-38, 1e18] {
        let made = data(scale).resample(&*sampler, &wanted, 5);
        let made = made.map_err(|error| Reason::Failed(format!("samples of ±{scale:e}: {error}")))?;
        exact(&made, &wanted)?;
    }
    serve_or_refuse(subject, &data(1e38), &wanted, &json!({}))
}

/// Where its report tells shares of enemies, there is one for each class, and it is that of the sources it names.
pub(crate) fn enemy_shares(subject: &Subject<'_>) -> Verdict {
    let made = Data::usual().resample(&*subject.sampler()?, &[0, 12, 17], 5)?;
    let told = match made.report["enemy_share"].as_array() {
        Some(told) if !told.is_empty() => told,
        _ => not_applicable!("its report tells no shares of enemies"),
    };
    ensure!(told.len() == 3, "its report tells {} shares of enemies for 3 classes", told.len());
    for (class, told) in (0u32..).zip(told) {
        let sources = made.provenance.iter().zip(&made.labels).filter(|(_, label)| **label == class);
        let enemies: Vec<bool> = sources.map(|(source, _)| source.partner_class != class).collect();
        let share = enemies.iter().filter(|enemy| **enemy).count() as f64 / enemies.len() as f64;
        let right = match told {
            Value::Null => enemies.is_empty(),
            told => told.as_f64().is_some_and(|told| (told - share).abs() < 1e-6),
        };
        ensure!(right, "its report tells {told} as the share of enemies of class {class}; it is {share:.3}");
    }
    Ok(())
}

/// What was refused leaves no trace: the same instance then does what it did before.
pub(crate) fn works_after_an_error(subject: &Subject<'_>) -> Verdict {
    let object = subject.sampler_object()?;
    let usual = || Data::usual().call(&object, &[2, 12, 17], Layout::default());
    let before = usual();
    before.answer.clone()?;
    for (what, call) in BAD_REQUESTS {
        // Whether it is refused is another check.
        let _ = call(&object);
        let after = usual();
        if let Err(error) = &after.answer {
            let message = &error.message;
            return Err(Reason::Failed(format!("after {what} it serves no request any more: {message}")));
        }
        ensure!(after.bits() == before.bits(), "after {what} it makes other rows of the same request");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise a sampler that refuses whatever it may would be asked for nothing.
    #[test]
    fn most_drawn_requests_hold_a_small_class_and_many_may_not_be_refused() {
        let requests: Vec<Request> = (0..DRAWN).map(Request::drawn).collect();
        let counts =
            requests.iter().map(|request| ClassCounts::of(&request.data.labels, request.wanted.len()));
        let small = counts.filter(|counts| counts.as_slice().iter().any(|&samples| samples <= 5)).count();
        let due = requests.iter().filter(|request| request.tiny().next().is_none());
        let due = due.filter(|request| request.wanted.iter().sum::<u64>() > 0).count();
        assert!(small > 30 && due >= 15, "{small} with a small class, {due} due");
    }
}
