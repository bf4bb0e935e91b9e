use crate::mean;
use expanse_domain::{MatrixView, Seed};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

mod labelled;

pub use labelled::{GapError, Labelled, Part};

/// How far the test embeddings of each class reach beyond the training embeddings of that class.
///
/// Each value is a sum over features, G_c; its mean over features is the value divided by `columns`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The [`range_gap`] of all test rows of class c.
    pub raw: Vec<f64>,
    /// What the gap would be without any shift: its mean over draws that hold out training rows.
    pub null: Vec<f64>,
    /// The gap with as many rows on both sides as the null has, minus the null: mean over draws.
    pub size_matched: Vec<f64>,
    /// Sample standard deviation over draws of that difference; 0 for one draw.
    pub spread: Vec<f64>,
    /// Which training rows the null was drawn from.
    pub null_source: Vec<NullSource>,
    /// The number of features.
    pub columns: usize,
}

/// The training rows that stand for "no shift".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NullSource {
    /// Rows of the class itself, held out from the others of it.
    HeldOut,
    /// Rows of the largest class, cut to the number of rows of the class.
    LargestClass,
}

/// The generalization gap of every class, with what it would be without any shift.
///
/// A range is an extreme value: it widens with every row, so the raw gap grows as classes shrink even where
/// training and test rows come from one distribution. The null is the same statistic with no shift: the mean
/// over `draws` of the [`range_gap`] between two disjoint random parts of the `real` rows of one class. For
/// class c with n_c real and t_c test rows, and n_max real rows in the largest class (the first of equals):
///
/// | when | drawn from | probe rows m | rows whose range counts |
/// |---|---|---|---|
/// | n_c ≥ 2 t_c | c | t_c | n_c − m |
/// | else n_c < n_max | largest class | min(t_c, n_max − n_c) | n_c |
/// | else | c | min(t_c, ⌊n_c / 2⌋) | n_c − m |
///
/// In every draw the null is compared with m random test rows of c. They meet a range of as many rows as the
/// null's: of the `reference` rows of c all, or, where the null keeps n_c − m of n_c rows, that share at random.
/// So without any shift the size-matched gap is 0 on average. Synthetic rows count in `reference` and never in
/// `real`: as they widen the range, the size-matched gap may fall below 0, which is to reach further than real
/// rows without a shift do.
///
/// `reference` holds the rows whose range counts: the real ones, or real and synthetic. Draws take
/// `seed.derive("gap", [class, draw])`.
///
/// # Errors
///
/// [`GapError`].
pub fn generalization_gap(
    reference: Labelled<'_>,
    real: Labelled<'_>,
    test: Labelled<'_>,
    classes: usize,
    draws: usize,
    seed: Seed,
) -> Result<Gap, GapError> {
    if draws == 0 {
        return Err(GapError::NoDraws);
    }
    let columns = test.matrix.cols();
    let reference_rows = reference.rows_by_class(Part::Reference, classes, columns)?;
    let real_rows = real.rows_by_class(Part::Real, classes, columns)?;
    let test_rows = test.rows_by_class(Part::Test, classes, columns)?;

    let empty = || Vec::with_capacity(classes);
    let mut gap = Gap {
        raw: empty(),
        null: empty(),
        size_matched: empty(),
        spread: empty(),
        null_source: Vec::with_capacity(classes),
        columns,
    };
    for class in 0..classes {
        let tests = &test_rows[class];
        let plan = Plan::of(class, &real_rows, tests.len()).ok_or(GapError::NoNull { class })?;
        let (pool, references) = (&real_rows[plan.pool], &reference_rows[class]);
        let matched = plan.share_of(references.len(), real_rows[class].len());
        let draw = |draw: usize| {
            let mut rng = seed.derive("gap", &[class as u64, draw as u64]).rng();
            let mut some = |rows: &[usize], count| -> Vec<usize> {
                rng.choose(rows.len(), count).into_iter().map(|place| rows[place]).collect()
            };
            let drawn = some(pool, plan.probes + plan.kept);
            let (probes, kept) = drawn.split_at(plan.probes);
            let null = range_gap(real.matrix, kept, real.matrix, probes);
            let (probes, kept) = (some(tests, plan.probes), some(references, matched));
            let observed = range_gap(reference.matrix, &kept, test.matrix, &probes);
            (null, observed - null)
        };
        let (null, difference): (Vec<f64>, Vec<f64>) = (0..draws).map(draw).unzip();
        gap.raw.push(range_gap(reference.matrix, references, test.matrix, tests));
        gap.null.push(mean(&null));
        gap.size_matched.push(mean(&difference));
        gap.spread.push(sample_deviation(&difference));
        gap.null_source.push(plan.source);
    }
    Ok(gap)
}

/// G_c, how far test rows reach beyond training rows: Σ_j max(0, min_train − min_test) + max(0, max_test − max_train)
/// over features j, with minimum and maximum over the rows named.
///
/// 0 without test rows, infinite without training rows. Source: Dablain, Bellinger, Krawczyk, Chawla,
/// *Efficient Augmentation for Imbalanced Deep Learning*.
///
/// # Shapes
///
/// - `train`: `[rows, features]`; `train_rows` are indices of its rows
/// - `test`: `[rows, features]`, as many features; `test_rows` are indices of its rows
///
/// # Panics
///
/// If an index names no row.
pub fn range_gap(
    train: MatrixView<'_>,
    train_rows: &[usize],
    test: MatrixView<'_>,
    test_rows: &[usize],
) -> f64 {
    let excess = |higher: f32, lower: f32| (f64::from(higher) - f64::from(lower)).max(0.0);
    let (train, test) = (ranges(train, train_rows), ranges(test, test_rows));
    train.iter().zip(test).map(|(train, test)| excess(train.0, test.0) + excess(test.1, train.1)).sum()
}

impl Gap {
    /// The mean over classes of the raw gap.
    pub fn mean_raw(&self) -> f64 {
        mean(&self.raw)
    }

    /// The mean over classes of the null.
    pub fn mean_null(&self) -> f64 {
        mean(&self.null)
    }

    /// The mean over classes of the size-matched gap.
    pub fn mean_size_matched(&self) -> f64 {
        mean(&self.size_matched)
    }

    /// The spread of [`Gap::mean_size_matched`], √(Σ spread_c²) / K: the classes draw independently.
    pub fn mean_spread(&self) -> f64 {
        let variance: f64 = self.spread.iter().map(|spread| spread * spread).sum();
        crate::ratio(variance.sqrt(), self.spread.len() as f64)
    }
}

/// How the null of one class is drawn: `probes` rows against `kept` others, both of class `pool`.
struct Plan {
    source: NullSource,
    pool: usize,
    probes: usize,
    kept: usize,
}

impl Plan {
    /// The first row of the table of [`generalization_gap`] that applies; `None` if no two rows can be compared.
    fn of(class: usize, real_rows: &[Vec<usize>], tests: usize) -> Option<Self> {
        let count = |class: usize| real_rows[class].len();
        let have = count(class);
        let held_out =
            |probes| Self { source: NullSource::HeldOut, pool: class, probes, kept: have - probes };
        let largest = (0..real_rows.len()).max_by_key(|&class| (count(class), Reverse(class)))?;
        match count(largest) - have {
            _ if have >= 2 * tests => Some(held_out(tests)),
            0 if have < 2 => None,
            0 => Some(held_out(tests.min(have / 2))),
            spare => Some(Self {
                source: NullSource::LargestClass,
                pool: largest,
                probes: tests.min(spare),
                kept: have,
            }),
        }
    }

    /// Of `references` rows the share that the null keeps of `have` real rows, to the nearest row.
    fn share_of(&self, references: usize, have: usize) -> usize {
        (references * self.kept + have / 2) / have
    }
}

/// The minimum and maximum of every column over the rows named.
fn ranges(matrix: MatrixView<'_>, rows: &[usize]) -> Vec<(f32, f32)> {
    let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); matrix.cols()];
    for &row in rows {
        for ((low, high), &value) in ranges.iter_mut().zip(matrix.row(row)) {
            (*low, *high) = (low.min(value), high.max(value));
        }
    }
    ranges
}

fn sample_deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    crate::ratio(squares, values.len() as f64 - 1.0).sqrt()
}

#[cfg(test)]
mod tests;
