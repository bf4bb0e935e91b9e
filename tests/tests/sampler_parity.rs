//! The shipped samplers, loaded from their files, against imbalanced-learn 0.14.2 on three data sets.
//!
//! What imbalanced-learn found and made is in `crates/sampling/golden/parity.json`, with the script that wrote it. The
//! sets of neighbours, and which samples are noise, in danger or safe, are read off the provenance of so many rows that
//! every pair of base and partner occurs.

use std::collections::{BTreeMap, BTreeSet};

use expanse_domain::{Matrix, Seed};
use expanse_host::Synthetic;
use expanse_tests::plugins;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Golden {
    k_neighbors: usize,
    m_neighbors: usize,
    drawn: u64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    class: u32,
    random: Found,
    smote: Found,
    #[serde(rename = "borderline-1")]
    borderline_1: Found,
    #[serde(rename = "borderline-2")]
    borderline_2: Found,
    adasyn: Found,
    #[serde(rename = "svm-smote")]
    svm_smote: Svm,
}

/// What imbalanced-learn found and made.
#[derive(Deserialize)]
struct Found {
    /// By base: its partners, each as the first row that is equal to it.
    #[serde(default)]
    neighbors: BTreeMap<usize, Vec<usize>>,
    /// By base: the rows that it makes.
    #[serde(default)]
    counts: BTreeMap<usize, u64>,
    projections: Projections,
}

#[derive(Deserialize)]
struct Svm {
    noise: Vec<usize>,
    danger: Vec<usize>,
    safe: Vec<usize>,
    neighbors: BTreeMap<usize, Vec<usize>>,
    from_danger: Projections,
    from_safe: Projections,
}

/// Of some rows: the first column, and the sum of all.
type Projections = [Vec<f64>; 2];

struct Data {
    points: Matrix,
    labels: Vec<u32>,
    /// For each row the first that is equal to it.
    twins: Vec<usize>,
}

/// The data set of that name, as `parity.py` draws it.
fn data(name: &str) -> Data {
    let (counts, cols, shift): ([usize; 3], usize, f32) = match name {
        "tiny" => ([24, 18, 8], 3, 3.0),
        "wide" => ([1500, 400, 100], 64, 0.75),
        "imbalanced" => ([1100, 60, 12], 8, 2.5),
        other => panic!("the golden values name the data set {other}"),
    };
    let mut state = 2024 + cols as u64;
    let mut bits = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 54) as f32
    };
    let labels: Vec<u32> = (0..3).flat_map(|class| vec![class as u32; counts[class]]).collect();
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for &label in &labels {
        let value = |_| (bits() + bits() + bits() + bits() - 2046.0) / 256.0 + label as f32 * shift;
        rows.push((0..cols).map(value).collect());
    }
    if name == "tiny" {
        for row in [3, 7, 27, 33, 45] {
            rows[row] = rows[row - 2].clone();
        }
    }
    let twins = rows.iter().map(|row| rows.iter().position(|other| other == row).unwrap()).collect();
    Data { points: Matrix::new(rows.concat(), rows.len(), cols).unwrap(), labels, twins }
}

#[test]
fn the_shipped_samplers_do_what_imbalanced_learn_does() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../crates/sampling/golden/parity.json")).unwrap();
    let (k, m) = (golden.k_neighbors, golden.m_neighbors);
    assert_eq!(golden.cases.len(), 5);
    for case in &golden.cases {
        let data = data(&case.data);
        let check = Check { data: &data, case };
        check.drawn("random", json!({ "shrinkage": 0.5 }), &case.random);
        check.drawn("smote", json!({ "k_neighbors": k }), &case.smote);
        for (kind, found) in [("borderline-1", &case.borderline_1), ("borderline-2", &case.borderline_2)] {
            let options = json!({ "kind": kind, "k_neighbors": k, "m_neighbors": m });
            check.drawn("borderline-smote", options, found);
        }
        check.adasyn(json!({ "n_neighbors": k }), golden.drawn);
        check.svm_smote(json!({ "k_neighbors": k, "m_neighbors": m }));
    }
}

struct Check<'a> {
    data: &'a Data,
    case: &'a Case,
}

impl Check<'_> {
    fn name(&self, sampler: &str) -> String {
        format!("{sampler} on {}, class {}", self.case.data, self.case.class)
    }

    fn make(&self, sampler: &str, options: Value, rows: u64) -> Synthetic {
        let sampler = plugins().sampler(sampler, options.as_object().unwrap()).unwrap();
        let mut wanted = [0; 3];
        wanted[self.case.class as usize] = rows;
        let made = sampler.resample(self.data.points.view(), &self.data.labels, &wanted, Seed(1)).unwrap();
        assert_eq!(made.labels, vec![self.case.class; rows as usize]);
        made
    }

    /// So many rows that each of `pairs` occurs.
    fn enough(&self, pairs: usize) -> u64 {
        20 * pairs as u64
    }

    /// The bases of those rows, each with its partners as first rows.
    fn pairs(&self, made: &Synthetic, rows: &[usize]) -> BTreeMap<usize, Vec<usize>> {
        let mut pairs: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for &row in rows {
            let from = made.provenance[row];
            pairs.entry(from.base as usize).or_default().insert(from.partner);
        }
        let first = |partners: BTreeSet<u64>| {
            let mut first: Vec<usize> = partners.iter().map(|&row| self.data.twins[row as usize]).collect();
            first.sort_unstable();
            first
        };
        pairs.into_iter().map(|(base, partners)| (base, first(partners))).collect()
    }

    fn drawn(&self, sampler: &str, options: Value, found: &Found) {
        // What draws a partner draws one of five; what does not has no partners to tell.
        let rows = match found.neighbors.values().map(Vec::len).sum() {
            0 => self.enough(self.data.labels.len()),
            pairs => self.enough(pairs),
        };
        let made = self.make(sampler, options.clone(), rows);
        let all: Vec<usize> = (0..rows as usize).collect();
        let name = format!("{} {options}", self.name(sampler));
        if sampler == "random" {
            let members = |&row: &usize| self.data.labels[row] == self.case.class;
            let members: Vec<usize> = (0..self.data.labels.len()).filter(members).collect();
            assert_eq!(self.pairs(&made, &all).into_keys().collect::<Vec<_>>(), members, "{name}");
        } else {
            assert_eq!(self.pairs(&made, &all), found.neighbors, "{name}");
            self.on_segments(&made, &all);
        }
        agree(&made, &all, &found.projections, &name);
    }

    fn adasyn(&self, options: Value, drawn: u64) {
        let name = self.name("adasyn");
        let found = &self.case.adasyn;
        // As many rows as imbalanced-learn was asked for: the same counts, but for what makes their sum exact.
        let made = self.make("adasyn", options.clone(), drawn);
        let mut counts: BTreeMap<usize, u64> = found.counts.keys().map(|&base| (base, 0)).collect();
        made.provenance.iter().for_each(|from| *counts.get_mut(&(from.base as usize)).unwrap() += 1);
        let theirs: u64 = found.counts.values().sum();
        let apart = || counts.iter().map(|(base, &count)| count.abs_diff(found.counts[base]));
        assert!(apart().all(|apart| apart <= 1), "{name}");
        assert_eq!(apart().sum::<u64>(), theirs.abs_diff(drawn), "{name}");

        let rows = self.enough(2 * found.neighbors.values().map(Vec::len).sum::<usize>());
        let made = self.make("adasyn", options, rows);
        let all: Vec<usize> = (0..rows as usize).collect();
        let pairs = self.pairs(&made, &all);
        assert!(pairs.len() > 3, "{name}");
        for (base, partners) in pairs {
            assert_eq!(partners, found.neighbors[&base], "{name}, base {base}");
        }
        self.on_segments(&made, &all);
        agree(&made, &all, &found.projections, &name);
    }

    fn svm_smote(&self, options: Value) {
        let name = self.name("svm-smote");
        let found = &self.case.svm_smote;
        let rows = self.enough(4 * found.neighbors.values().map(Vec::len).sum::<usize>());
        let made = self.make("svm-smote", options, rows);
        let away = |&row: &usize| made.provenance[row].partner == made.provenance[row].base;
        let (safe, danger): (Vec<usize>, Vec<usize>) = (0..rows as usize).partition(away);
        let bases = |rows: &[usize]| -> Vec<usize> {
            let bases = self.pairs(&made, rows).into_keys().map(|base| self.data.twins[base]);
            bases.collect::<BTreeSet<_>>().into_iter().collect()
        };
        assert_eq!((bases(&danger), bases(&safe)), (found.danger.clone(), found.safe.clone()), "{name}");
        assert!(found.noise.iter().all(|row| !bases(&danger).contains(row)), "{name}");
        // Of equal rows either may be the support vector.
        let neighbors = |base: usize| {
            let same = |&(&row, _): &(&usize, _)| self.data.twins[row] == self.data.twins[base];
            found.neighbors.iter().find(same).expect("the golden values name the base").1
        };
        for (base, partners) in self.pairs(&made, &danger) {
            assert_eq!(&partners, neighbors(base), "{name}, base {base}");
        }
        // What steps away tells no partner; so it is sought by the direction.
        let mut left: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for &row in &safe {
            let base = made.provenance[row].base as usize;
            let partner = neighbors(base).iter().find(|&&partner| self.is_away(&made, row, (base, partner)));
            left.entry(base).or_default().insert(*partner.unwrap_or_else(|| panic!("{name}, row {row}")));
        }
        for (base, partners) in left {
            let all: BTreeSet<usize> = neighbors(base).iter().copied().collect();
            assert_eq!(partners, all, "{name}, base {base}");
        }
        self.on_segments(&made, &danger);
        agree(&made, &danger, &found.from_danger, &name);
        agree(&made, &safe, &found.from_safe, &name);
    }

    /// Whether a row lies beyond its base, away from the partner, by no more than half of the distance.
    fn is_away(&self, made: &Synthetic, row: usize, (base, partner): (usize, usize)) -> bool {
        let points = |row| self.data.points.row(row).iter().map(|&value| f64::from(value));
        let ends = || points(base).zip(points(partner));
        let made = || made.features.row(row).iter().map(|&value| f64::from(value));
        let along: f64 =
            made().zip(ends()).map(|(value, (base, partner))| (value - base) * (partner - base)).sum();
        let length: f64 = ends().map(|(base, partner)| (partner - base).powi(2)).sum();
        let r = along / length;
        let off =
            made().zip(ends()).map(|(value, (base, partner))| (value - base - r * (partner - base)).abs());
        (-0.500_001..1e-6).contains(&r) && off.fold(0.0, f64::max) < 1e-5
    }

    /// Every row lies on the line that its provenance names.
    fn on_segments(&self, made: &Synthetic, rows: &[usize]) {
        for &row in rows {
            let from = made.provenance[row];
            let (base, partner) = (from.base as usize, from.partner as usize);
            let ends = self.data.points.row(base).iter().zip(self.data.points.row(partner));
            let expected: Vec<f32> = ends.map(|(base, partner)| base + from.r * (partner - base)).collect();
            assert_eq!(made.features.row(row), expected);
            assert_eq!(from.partner_class, self.data.labels[partner]);
        }
    }
}

/// Two samples of one distribution, by the test of Kolmogorov and Smirnov at a level of 0.001.
fn agree(made: &Synthetic, rows: &[usize], theirs: &Projections, name: &str) {
    let ours: Projections = [
        rows.iter().map(|&row| f64::from(made.features.row(row)[0])).collect(),
        rows.iter().map(|&row| made.features.row(row).iter().map(|&v| f64::from(v)).sum()).collect(),
    ];
    for (projection, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
        let (n, m) = (ours.len() as f64, theirs.len() as f64);
        let limit = 1.949 * ((n + m) / (n * m)).sqrt();
        let largest = largest_difference(ours, theirs.clone());
        assert!(largest < limit, "{name}, projection {projection}: {largest} of at most {limit}");
    }
}

/// The largest difference of two empirical distribution functions.
fn largest_difference(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let below = |sorted: &[f64], x: f64| sorted.partition_point(|&y| y <= x) as f64 / sorted.len() as f64;
    let at = |&x: &f64| (below(&a, x) - below(&b, x)).abs();
    a.iter().chain(&b).map(at).fold(0.0, f64::max)
}

#[test]
fn the_test_of_distributions_tells_different_ones() {
    let uniform = |shift: f64| (0..200).map(|i| f64::from(i) / 200.0 + shift).collect::<Vec<f64>>();
    assert!(largest_difference(uniform(0.0), uniform(0.001)) < 0.02);
    assert!(largest_difference(uniform(0.0), uniform(0.3)) > 0.29);
}
