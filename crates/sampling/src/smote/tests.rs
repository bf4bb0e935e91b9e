use std::collections::BTreeSet;

use super::*;
use crate::{
    Note,
    tests::{Example, with_smote},
};

#[test]
fn partners_are_of_the_class_even_where_enemies_are_nearer() {
    let rows = [[0.0], [0.1], [0.2], [10.0], [10.1]];
    let example = Example::new(&rows, &[1, 0, 0, 1, 0], &[20, 20]);
    let made = example.make(&*with_smote(SmoteParams { k_neighbors: 1, ..SmoteParams::default() })).unwrap();
    let pairs: BTreeSet<(u64, u64)> = made.provenance.iter().map(|from| (from.base, from.partner)).collect();
    assert_eq!(pairs, [(1, 2), (2, 1), (4, 2), (0, 3), (3, 0)].into());
    assert_eq!(made.report.enemy_share, [Some(0.0), Some(0.0)]);
}

#[test]
fn a_duplicate_is_a_partner_but_a_sample_is_not_its_own() {
    let example = Example::new(&[[1.0], [1.0], [5.0]], &[0, 0, 1], &[20, 0]);
    let made = example.make(&*with_smote(SmoteParams { k_neighbors: 1, ..SmoteParams::default() })).unwrap();
    assert!(made.provenance.iter().all(|from| from.base + from.partner == 1));
}

#[test]
fn tiny_classes_have_fewer_neighbors_and_a_single_sample_none() {
    let example = |labels: &[u32; 5]| Example::new(&[[0.0], [1.0], [2.0], [3.0], [4.0]], labels, &[0, 5]);
    let made = example(&[0, 0, 1, 1, 1]).make(&*with_smote(SmoteParams::default())).unwrap();
    let message = "k_neighbors was lowered from 5 to 2: the class has 3 samples".to_owned();
    assert_eq!(made.report.notes, [Note { class: 1, message }]);
    let refused = example(&[0, 0, 0, 0, 1]).make(&*with_smote(SmoteParams::default())).unwrap_err();
    assert_eq!(refused.to_string(), "class 1 has 1 sample; smote needs at least 2; use `random` or `eos`");
}

#[test]
fn imbalanced_learn_draws_partners_from_the_same_neighbors() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../../golden/smote.json")).unwrap();
    let points: Vec<[f32; 4]> = serde_json::from_value(golden["points"].clone()).unwrap();
    let labels: Vec<u32> = serde_json::from_value(golden["labels"].clone()).unwrap();
    let expected: Vec<BTreeSet<u64>> = serde_json::from_value(golden["neighbors"].clone()).unwrap();
    let k_neighbors = golden["k_neighbors"].as_u64().unwrap() as usize;
    // So many draws that every pair occurs.
    let example = Example::new(&points, &labels, &[5000; 3]);
    let made = example.make(&*with_smote(SmoteParams { k_neighbors, ..SmoteParams::default() })).unwrap();
    let mut drawn = vec![BTreeSet::new(); points.len()];
    for from in &made.provenance {
        drawn[from.base as usize].insert(from.partner);
    }
    assert_eq!(drawn, expected);
}
