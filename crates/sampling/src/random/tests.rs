use std::collections::BTreeSet;

use super::*;
use crate::tests::{Example, with_random};

#[test]
fn copies_are_exact_and_every_sample_is_drawn() {
    let rows = [[0.1, 7.0], [0.2, 8.0], [0.3, 9.0], [0.4, 10.0]];
    let example = Example::new(&rows, &[0, 1, 1, 1], &[0, 60]);
    for shrinkage in [None, Some(0.0)] {
        let made = example.make(&*with_random(RandomParams { shrinkage })).unwrap();
        assert!(made.rows.iter().zip(&made.provenance).all(|(row, from)| row == &rows[from.base as usize]));
        let bases: BTreeSet<u64> = made.provenance.iter().map(|from| from.base).collect();
        assert_eq!(bases, [1, 2, 3].into());
    }
}

#[test]
fn shrinkage_scatters_copies_by_the_width_of_the_class() {
    // d = 2 and n = 4 of all classes: (4 / 16)^(1/6) = 0.7937. Class 1 has deviations of 3 and 0.
    assert!((rule_of_thumb(4, 2) - 0.793_700_526).abs() < 1e-9);
    let rows = [[50.0, 0.0], [-50.0, 4.0], [2.0, 1.0], [8.0, 1.0]];
    let example = Example::new(&rows, &[0, 0, 1, 1], &[0, 20_000]);
    let made = example.make(&*with_random(RandomParams { shrinkage: Some(0.5) })).unwrap();
    let noise = |column: usize| {
        let from_base = move |(row, from): (&Vec<f32>, &Provenance)| {
            f64::from(row[column]) - f64::from(rows[from.base as usize][column])
        };
        made.rows.iter().zip(&made.provenance).map(from_base)
    };
    assert!(noise(1).all(|noise| noise == 0.0));
    let width = 0.5 * 0.793_700_526 * 3.0;
    let share_within =
        |widths: f64| noise(0).filter(|noise| noise.abs() < widths * width).count() as f64 / 2e4;
    // Mean 0, and the shares that a normal distribution has within 1 and 2 deviations.
    assert!((noise(0).sum::<f64>() / 2e4).abs() < 0.04);
    assert!((share_within(1.0) - 0.6827).abs() < 0.015);
    assert!((share_within(2.0) - 0.9545).abs() < 0.007);
}

#[test]
fn scattered_values_stay_finite() {
    let example = Example::new(&[[0.0], [-1e38], [1e38]], &[0, 1, 1], &[0, 100]);
    let made = example.make(&*with_random(RandomParams { shrinkage: Some(1e30) })).unwrap();
    assert!(made.rows.iter().flatten().all(|value| value.is_finite()));
}
