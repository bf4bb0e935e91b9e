//! A sampler of a library, with everything that can be checked of what it does.

use std::{env, thread};

use expanse_abi::{MatrixMut, MatrixRef, SampleOutput, SampleRequest, SamplerBox, SyntheticSource};
use expanse_domain::{ClassCounts, Matrix, MatrixView, Provenance, Seed};

use super::Named;
use crate::{
    HostError, Synthetic,
    calls::{Frequency, watched},
    pages::ask_for_large,
    services::thread_budget,
};

pub(crate) struct Sampler {
    pub plugin: Named,
    pub object: SamplerBox,
}

/// Values behind the end of each output that must stay as they are.
const GUARD: usize = 64;
/// A NaN that no arithmetic makes.
const GUARD_VALUE: u32 = 0x7fc0_dead;
const GUARD_SOURCE: SyntheticSource =
    SyntheticSource { base: u64::MAX, partner: u64::MAX, partner_class: GUARD_VALUE, r: 0.125 };

impl crate::Sampler for Sampler {
    fn resample(
        &self,
        features: MatrixView<'_>,
        labels: &[u32],
        wanted: &[u64],
        seed: Seed,
    ) -> Result<Synthetic, HostError> {
        // The boundary takes one slice; a view that skips values between its rows is copied first.
        let (rows, cols) = (features.rows(), features.cols());
        let copied = features.as_contiguous().is_none().then(|| {
            let all: Vec<usize> = (0..rows).collect();
            features.select_rows(&all)
        });
        let input =
            copied.as_ref().map_or_else(|| features.as_contiguous().unwrap_or_default(), Matrix::as_slice);
        let mut room = Room::new(wanted, cols)?;
        let before = (fingerprint(input), labels.to_vec(), wanted.to_vec());
        let folder = env::current_dir().ok();
        let request = SampleRequest {
            features: MatrixRef { data: input.into(), rows, cols, stride: cols },
            labels: labels.into(),
            wanted: wanted.into(),
            seed: seed.0,
        };
        let output = room.output();
        let answer =
            watched(&self.plugin, "resample", Frequency::Rare, || self.object.resample(request, output));

        // What it did besides is looked at also when it says that it failed.
        if let Some(folder) = folder.filter(|folder| env::current_dir().ok().as_ref() != Some(folder)) {
            let restored = env::set_current_dir(&folder).is_ok();
            let problem = "it changed the working directory of the process";
            let restored = if restored { ", which is restored" } else { "" };
            return Err(self.plugin.contract(format!("{problem}{restored}")));
        }
        if (fingerprint(input), labels, wanted) != (before.0, before.1.as_slice(), before.2.as_slice()) {
            return Err(self.plugin.contract("it changed its input"));
        }
        if !room.is_guarded() {
            return Err(self.plugin.contract("it wrote outside its rows"));
        }
        let report = self.plugin.result(answer)?;
        let report = serde_json::from_str(&report)
            .map_err(|error| self.plugin.contract(format!("its report is no JSON: {error}")))?;
        let made = room.into_synthetic(report).map_err(|error| self.plugin.contract(error))?;
        made.check(rows, wanted).map_err(|problem| self.plugin.contract(problem))?;
        Ok(made)
    }
}

/// Memory for an answer, with guards behind it.
struct Room {
    rows: usize,
    cols: usize,
    features: Vec<f32>,
    labels: Vec<u32>,
    sources: Vec<SyntheticSource>,
}

impl Room {
    fn new(wanted: &[u64], cols: usize) -> Result<Self, HostError> {
        let rows = wanted.iter().try_fold(0u64, |sum, &wanted| sum.checked_add(wanted));
        let rows = rows.and_then(|rows| usize::try_from(rows).ok());
        let values = rows.and_then(|rows| rows.checked_mul(cols)?.checked_add(GUARD));
        // Asked first, since a vector of zeros, which the system hands out without touching it, cannot fail softly.
        let fits = |values: &usize| Vec::<f32>::new().try_reserve_exact(*values).is_ok();
        let (Some(rows), Some(values)) = (rows, values.filter(fits)) else {
            return Err(HostError::TooManyRows { wanted: wanted.to_vec(), cols });
        };
        let mut features = vec![0.0; values];
        ask_for_large(&mut features);
        features[rows * cols..].fill(f32::from_bits(GUARD_VALUE));
        let mut labels = vec![u32::MAX; rows];
        labels.resize(rows + GUARD, GUARD_VALUE);
        let mut sources = vec![SyntheticSource::default(); rows];
        sources.resize(rows + GUARD, GUARD_SOURCE);
        Ok(Self { rows, cols, features, labels, sources })
    }

    fn output(&mut self) -> SampleOutput<'_> {
        let Self { rows, cols, features, labels, sources } = self;
        let (rows, cols) = (*rows, *cols);
        SampleOutput {
            features: MatrixMut { data: (&mut features[..rows * cols]).into(), rows, cols, stride: cols },
            labels: (&mut labels[..rows]).into(),
            sources: (&mut sources[..rows]).into(),
        }
    }

    fn is_guarded(&self) -> bool {
        let Self { rows, cols, features, labels, sources } = self;
        features[rows * cols..].iter().all(|value| value.to_bits() == GUARD_VALUE)
            && labels[*rows..].iter().all(|label| *label == GUARD_VALUE)
            && sources[*rows..].iter().all(|source| *source == GUARD_SOURCE)
    }

    fn into_synthetic(self, report: serde_json::Value) -> Result<Synthetic, expanse_domain::ShapeError> {
        let Self { rows, cols, mut features, mut labels, sources } = self;
        features.truncate(rows * cols);
        labels.truncate(rows);
        let provenance = |SyntheticSource { base, partner, partner_class, r }: SyntheticSource| Provenance {
            base,
            partner,
            partner_class,
            r,
        };
        let provenance = sources.into_iter().take(rows).map(provenance).collect();
        Ok(Synthetic { features: Matrix::new(features, rows, cols)?, labels, provenance, report })
    }
}

impl Synthetic {
    /// Whether it is an answer to such a request: every class as often as wanted, finite values, and rows that come
    /// from rows that there are. Otherwise what is wrong.
    pub(crate) fn check(&self, rows: usize, wanted: &[u64]) -> Result<(), String> {
        let classes = wanted.len();
        // A row that was never written has the label that the host put there.
        let foreign = |label: &u32| *label as usize >= classes && *label != u32::MAX;
        if let Some(row) = self.labels.iter().position(foreign) {
            let label = self.labels[row];
            return Err(format!("synthetic row {row} has the label {label}; there are {classes} classes"));
        }
        let counts = ClassCounts::of(&self.labels, classes);
        if counts.as_slice() != wanted {
            return Err(format!("asked for {wanted:?} rows by class, it labelled {:?}", counts.as_slice()));
        }
        let values = self.features.as_slice();
        if !all_finite(values) {
            let at = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
            let (row, column) = (at / self.features.cols(), at % self.features.cols());
            return Err(format!("synthetic row {row}, column {column} is not finite"));
        }
        let wrong = |source: &Provenance| {
            source.base >= rows as u64
                || source.partner >= rows as u64
                || source.partner_class as usize >= classes
                || !(0.0..=1.0).contains(&source.r)
        };
        match self.provenance.iter().position(wrong) {
            None => Ok(()),
            Some(row) => Err(format!(
                "synthetic row {row} comes from {:?}; there are {rows} rows of {classes} classes, and r is in [0, 1]",
                self.provenance[row]
            )),
        }
    }
}

/// Whether no value is NaN or infinite, found with as many threads as a plugin may use.
fn all_finite(values: &[f32]) -> bool {
    /// Values for which a thread is worth starting.
    const SHARE: usize = 1 << 19;
    let threads = thread_budget().min(values.len() / SHARE).max(1);
    let mut parts = values.chunks(values.len().div_ceil(threads).max(1));
    let own = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(|| are_finite(part))).collect();
        let own = are_finite(own);
        others.into_iter().all(|other| other.join().unwrap_or(false)) && own
    })
}

/// Without branches but between chunks, so that it runs as fast as memory.
fn are_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    let broken = |value: &f32| value.to_bits() & EXPONENT == EXPONENT;
    values.chunks(4096).all(|chunk| !chunk.iter().fold(false, |any, value| any | broken(value)))
}

/// A fingerprint that any change of one value changes: 16 lanes, each of which turns and takes a value in.
fn fingerprint(values: &[f32]) -> [u32; 16] {
    let mut lanes = [0u32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    let take = |lane: &mut u32, value: &f32| *lane = lane.rotate_left(7) ^ value.to_bits();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| take(lane, value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| take(lane, value));
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_value_changes_the_fingerprint() {
        let values: Vec<f32> = (0..50).map(|value| value as f32).collect();
        for at in 0..values.len() {
            let mut changed = values.clone();
            changed[at] += 1.0;
            assert_ne!(fingerprint(&changed), fingerprint(&values), "{at}");
        }
        let mut swapped = values.clone();
        swapped.swap(0, 16);
        assert_ne!(fingerprint(&swapped), fingerprint(&values));
    }

    #[test]
    fn finite_values_are_told_from_others() {
        crate::set_threads(2);
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 4095, 4096, 5000, 3_000_000] {
                let mut values = vec![f32::MAX; at + 1];
                assert!(all_finite(&values));
                values[at] = broken;
                assert!(!all_finite(&values), "{broken} at {at}");
            }
        }
    }

    #[test]
    fn writing_behind_the_rows_is_noticed() {
        let check = |write: fn(&mut Room)| {
            let mut room = Room::new(&[2, 1], 3).unwrap();
            assert!(room.is_guarded());
            write(&mut room);
            assert!(!room.is_guarded());
        };
        check(|room| room.features[9] = 0.0);
        check(|room| room.features[9 + GUARD - 1] = 0.0);
        check(|room| room.labels[3] = 0);
        check(|room| room.sources[3].r = 0.0);
        assert!(matches!(Room::new(&[u64::MAX, 1], 3), Err(HostError::TooManyRows { .. })));
        assert!(matches!(Room::new(&[u64::MAX / 64], 3), Err(HostError::TooManyRows { .. })));
    }
}
