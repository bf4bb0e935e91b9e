use std::collections::BTreeSet;

use super::*;
use crate::tests::{Example, Made, with_borderline};

/// On a line: class 1 at 0 (among its own), 3 (half of the two nearest are enemies) and 10 (all are), class 0 at 4, 9,
/// 11 and 12; with M = 2 the sample at 3 alone is in danger.
fn line(wanted: u64) -> Example {
    let rows = [[0.0], [1.0], [2.0], [3.0], [4.0], [9.0], [10.0], [11.0], [12.0]];
    Example::new(&rows, &[1, 1, 1, 1, 0, 0, 1, 0, 0], &[0, wanted])
}

fn params(kind: BorderlineKind) -> BorderlineParams {
    BorderlineParams { k_neighbors: 2, m_neighbors: 2, kind, ..BorderlineParams::default() }
}

fn pairs(made: &Made) -> BTreeSet<(u64, u64)> {
    made.provenance.iter().map(|from| (from.base, from.partner)).collect()
}

#[test]
fn bases_are_in_danger_and_partners_of_the_kind() {
    let made = line(80).make(&*with_borderline(params(BorderlineKind::Borderline1))).unwrap();
    assert_eq!(pairs(&made), [(3, 2), (3, 1)].into());
    assert!(made.report.notes.is_empty() && made.provenance.iter().any(|from| from.r > 0.9));

    let made = line(400).make(&*with_borderline(params(BorderlineKind::Borderline2))).unwrap();
    assert_eq!(pairs(&made), [(3, 2), (3, 4)].into());
    let longest = |partner| {
        let steps = made.provenance.iter().filter(|from| from.partner == partner).map(|from| from.r);
        steps.fold(0.0, f32::max)
    };
    assert!((0.35..0.5).contains(&longest(4)) && longest(2) > 0.9, "{} {}", longest(4), longest(2));
}

#[test]
fn a_class_without_danger_is_treated_as_by_smote_and_tiny_ones_are_told() {
    let rows = [[0.0], [1.0], [2.0], [90.0], [91.0], [92.0]];
    let apart = Example::new(&rows, &[1, 1, 1, 0, 0, 0], &[0, 60]);
    let made = apart.make(&*with_borderline(params(BorderlineKind::Borderline1))).unwrap();
    assert_eq!(pairs(&made).len(), 6);
    let no_danger = "no sample is in danger, so every sample is a base, as in smote";
    assert_eq!(made.report.notes, [Note::new(1, no_danger)]);

    let single = |kind| {
        let example = Example::new(&[[0.0], [1.0], [2.0]], &[0, 0, 1], &[0, 9]);
        example.make(&*with_borderline(params(kind)))
    };
    let refused = single(BorderlineKind::Borderline1).unwrap_err().to_string();
    assert_eq!(refused, "class 1 has 1 sample; borderline-smote needs at least 2; use `random` or `eos`");
    assert!(single(BorderlineKind::Borderline2).unwrap().provenance.iter().all(|from| from.base == 2));
}
