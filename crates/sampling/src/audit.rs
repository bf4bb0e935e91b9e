use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use expanse_domain::{Matrix, MatrixView, Provenance, Seed};
use expanse_neighbors::{Itself, Search, nearest};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Control, Meter, SamplingError, draw_rows};

/// Synthetic rows, and real samples, of a class that are searched: shares are those among so many, drawn at random.
const DRAWN: usize = 1000;
/// The most neighbours that are looked at for a suggestion.
const MOST_NEIGHBORS: usize = 100;
/// Of the rows up to the suggested bound of r, so many lie nearer to their class.
const SAFE_SHARE: f64 = 0.9;

/// What can be seen of the synthetic rows of one class. Shares are absent where there are no rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassAudit {
    /// Synthetic rows.
    pub rows: u64,
    /// Share of the rows that were made with a partner of another class.
    pub to_enemies: Option<f64>,
    /// Share of the rows whose nearest real sample is of another class.
    pub nearer_to_enemy: Option<f64>,
    /// Share of the rows that are equal to a real sample or to a row before them.
    pub duplicates: Option<f64>,
    /// The least K with which half of the samples of the class have an enemy among their K nearest; absent if no K up
    /// to 100 does that.
    pub suggested_k: Option<u64>,
    /// The bound of r that leaves nine of ten rows nearer to their class, counted over the rows that were made with a
    /// partner of another class; absent where there are none, or where no bound does that.
    pub suggested_r_max: Option<f64>,
}

/// Real samples with what was made of them.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The real samples, `f32[rows, cols]`.
    pub features: MatrixView<'a>,
    /// Their labels, below `classes`.
    pub labels: &'a [u32],
    /// Number of classes.
    pub classes: usize,
    /// The synthetic rows, `f32[made, cols]`.
    pub synthetic: &'a Matrix,
    /// Their labels.
    pub synthetic_labels: &'a [u32],
    /// Where they come from.
    pub provenance: &'a [Provenance],
}

/// Looks at synthetic rows, class by class, whichever sampler has made them.
///
/// # Errors
///
/// A value is not finite, or the caller cancelled.
pub fn audit(made: &Made<'_>, seed: Seed, control: &dyn Control) -> Result<Vec<ClassAudit>, SamplingError> {
    let repeated = repeated(made);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); made.classes];
    made.synthetic_labels.iter().enumerate().for_each(|(row, &label)| rows[label as usize].push(row));
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); made.classes];
    made.labels.iter().enumerate().for_each(|(row, &label)| members[label as usize].push(row));
    // The classes of which rows were made: each is searched once from its rows, once from its samples.
    let total = rows.iter().filter(|rows| !rows.is_empty()).count() as u64 * 2;
    let meter = Meter::new(control, total);
    let of_class =
        |(class, rows): (usize, &Vec<usize>)| drawn(rows, seed.derive("audit-rows", &[class as u64]));
    let drawn: Vec<Vec<usize>> = rows.iter().enumerate().map(of_class).collect();
    let together = together(made, &drawn);
    let mut first = made.features.rows();
    let mut audits = Vec::with_capacity(made.classes);
    for class in 0..made.classes {
        let own = &rows[class];
        let share = |count: usize| (!own.is_empty()).then(|| count as f64 / own.len() as f64);
        let to_enemies = own.iter().filter(|&&row| made.provenance[row].is_enemy(class as u32)).count();
        let mut audit = ClassAudit {
            rows: own.len() as u64,
            to_enemies: share(to_enemies),
            duplicates: share(own.iter().filter(|&&row| repeated[row]).count()),
            ..ClassAudit::default()
        };
        if !own.is_empty() {
            let drawn = &drawn[class];
            let queries: Vec<usize> = (first..first + drawn.len()).collect();
            first += drawn.len();
            let strayed = strayed(made, class, (&together, &queries), &meter)?;
            let count = strayed.iter().filter(|&&strayed| strayed).count();
            audit.nearer_to_enemy = Some(count as f64 / drawn.len() as f64);
            audit.suggested_r_max = r_max(made, class, drawn, &strayed);
            meter.advance(1)?;
            audit.suggested_k = enough_neighbors(made, (class, &members[class]), seed, &meter)?;
            meter.advance(1)?;
        }
        audits.push(audit);
    }
    Ok(audits)
}

/// For each synthetic row whether a real sample or a row before it has the same values.
fn repeated(made: &Made<'_>) -> Vec<bool> {
    let key = |row: &[f32]| {
        let mut hasher = DefaultHasher::new();
        // 0 and −0 are the same value.
        row.iter().for_each(|&value| (value + 0.0).to_bits().hash(&mut hasher));
        hasher.finish()
    };
    let real = (0..made.features.rows()).into_par_iter().map(|row| key(made.features.row(row)));
    let mut seen: HashSet<u64> = real.collect();
    let keys: Vec<u64> =
        (0..made.synthetic.rows()).into_par_iter().map(|row| key(made.synthetic.row(row))).collect();
    keys.into_iter().map(|key| !seen.insert(key)).collect()
}

/// At most [`DRAWN`] of the rows, which ascend.
fn drawn(rows: &[usize], seed: Seed) -> Vec<usize> {
    draw_rows(rows, rows.len().min(DRAWN), seed)
}

/// The real samples, and behind them the synthetic rows drawn of each class.
fn together(made: &Made<'_>, drawn: &[Vec<usize>]) -> Matrix {
    let (real, cols) = (made.features.rows(), made.features.cols());
    let mut together = Matrix::zeros(real + drawn.iter().map(Vec::len).sum::<usize>(), cols);
    let rows = (0..real).map(|row| made.features.row(row));
    let rows = rows.chain(drawn.iter().flatten().map(|&row| made.synthetic.row(row)));
    together
        .as_mut_slice()
        .chunks_exact_mut(cols.max(1))
        .zip(rows)
        .for_each(|(to, row)| to.copy_from_slice(row));
    together
}

/// For each of the rows `queries` of [`together`] whether its nearest real sample is of another class.
fn strayed(
    made: &Made<'_>,
    class: usize,
    (together, queries): (&Matrix, &[usize]),
    meter: &Meter<'_>,
) -> Result<Vec<bool>, SamplingError> {
    let real: Vec<usize> = (0..made.features.rows()).collect();
    let watch = |_| meter.uncounted().watch(0);
    let (candidates, itself) = (Some(&real[..]), Itself::Included);
    let search = Search { candidates, itself, watch: &watch, ..Search::of(together.view()) };
    let neighbors = nearest(&search, queries, 1)?;
    Ok((0..queries.len()).map(|row| made.labels[neighbors.row(row)[0] as usize] as usize != class).collect())
}

/// The largest r up to which [`SAFE_SHARE`] of the rows with an enemy as their partner have not strayed.
fn r_max(made: &Made<'_>, class: usize, drawn: &[usize], strayed: &[bool]) -> Option<f64> {
    let of_row = |(&row, &strayed): (&usize, &bool)| {
        let from = made.provenance[row];
        from.is_enemy(class as u32).then_some((from.r, strayed))
    };
    let mut steps: Vec<(f32, bool)> = drawn.iter().zip(strayed).filter_map(of_row).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut safe = 0;
    let mut bound = None;
    for (place, (r, strayed)) in steps.into_iter().enumerate() {
        safe += usize::from(!strayed);
        if safe as f64 >= SAFE_SHARE * (place + 1) as f64 {
            bound = Some(f64::from(r));
        }
    }
    bound
}

/// The least K with which half of the samples, of at most [`DRAWN`], have an enemy among their K nearest.
fn enough_neighbors(
    made: &Made<'_>,
    (class, members): (usize, &[usize]),
    seed: Seed,
    meter: &Meter<'_>,
) -> Result<Option<u64>, SamplingError> {
    let k = MOST_NEIGHBORS.min(made.features.rows().saturating_sub(1));
    if k == 0 || members.is_empty() {
        return Ok(None);
    }
    let samples = drawn(members, seed.derive("audit-samples", &[class as u64]));
    let watch = |_| meter.uncounted().watch(0);
    let neighbors = nearest(&Search { watch: &watch, ..Search::of(made.features) }, &samples, k)?;
    let is_enemy = |row: &u32| made.labels[*row as usize] as usize != class;
    let first_enemy = |sample: usize| neighbors.row(sample).iter().position(is_enemy);
    let mut firsts: Vec<usize> = (0..samples.len()).map(|sample| first_enemy(sample).unwrap_or(k)).collect();
    firsts.sort_unstable();
    let half = firsts[(firsts.len() - 1) / 2];
    Ok((half < k).then_some(half as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unattended;

    /// Class 0 at 0, 1, …, 9, class 1 at 12, 13 and 14, with four rows of class 1.
    fn example(rows: [(f32, u64, f32); 4]) -> Vec<ClassAudit> {
        let real: Vec<f32> = (0..10).chain(12..15).map(|x| x as f32).collect();
        let features = Matrix::new(real, 13, 1).unwrap();
        let labels = [vec![0; 10], vec![1; 3]].concat();
        let synthetic = Matrix::new(rows.iter().map(|row| row.0).collect(), 4, 1).unwrap();
        let source = |&(_, partner, r): &(f32, u64, f32)| {
            let partner_class = labels[partner as usize];
            Provenance { base: 10, partner, partner_class, r }
        };
        let provenance: Vec<Provenance> = rows.iter().map(source).collect();
        let made = Made {
            features: features.view(),
            labels: &labels,
            classes: 2,
            synthetic: &synthetic,
            synthetic_labels: &[1; 4],
            provenance: &provenance,
        };
        audit(&made, Seed(0), &Unattended).unwrap()
    }

    #[test]
    fn rows_are_seen_as_they_lie() {
        // From 12 towards 9 by a tenth, by a half and beyond, and a copy of 13.
        let audits = example([(11.7, 9, 0.1), (10.4, 9, 0.53), (9.3, 9, 0.9), (13.0, 11, 1.0)]);
        assert_eq!(audits[0], ClassAudit::default());
        let expected = ClassAudit {
            rows: 4,
            to_enemies: Some(0.75),
            nearer_to_enemy: Some(0.5),
            duplicates: Some(0.25),
            // The nearest enemies of 12, 13 and 14 are their third neighbours.
            suggested_k: Some(3),
            suggested_r_max: Some(f64::from(0.1_f32)),
        };
        assert_eq!(audits[1], expected);
    }

    #[test]
    fn a_row_twice_is_one_duplicate_and_without_enemies_no_bound_is_suggested() {
        let audits = example([(12.5, 11, 0.5), (12.5, 11, 0.5), (12.25, 11, 0.25), (-0.0, 11, 0.1)]);
        assert_eq!(audits[1].duplicates, Some(0.5));
        assert_eq!((audits[1].to_enemies, audits[1].suggested_r_max), (Some(0.0), None));
    }
}
