use super::*;
use crate::tests::{Example, with_adasyn};

#[test]
fn samples_among_enemies_are_the_base_of_more_rows() {
    // With K = 2 the samples of class 1 have 0, 0, 1 and 2 enemies near.
    let rows = [[0.0], [1.0], [2.0], [2.9], [9.0], [10.0], [11.0]];
    let example = Example::new(&rows, &[1, 1, 1, 0, 0, 1, 0], &[0, 30]);
    let made =
        example.make(&*with_adasyn(AdasynParams { n_neighbors: 2, ..AdasynParams::default() })).unwrap();
    let rows_of = |base| made.provenance.iter().filter(|from| from.base == base).count();
    assert_eq!([0, 1, 2, 5].map(rows_of), [0, 0, 10, 20]);
    assert!(made.provenance.iter().all(|from| from.partner_class == 1));
}

#[test]
fn a_class_without_enemies_is_divided_evenly() {
    let example = Example::new(&[[0.0], [1.0], [2.0], [90.0], [91.0]], &[1, 1, 1, 0, 0], &[0, 7]);
    let made =
        example.make(&*with_adasyn(AdasynParams { n_neighbors: 2, ..AdasynParams::default() })).unwrap();
    let bases: Vec<u64> = made.provenance.iter().map(|from| from.base).collect();
    assert_eq!(bases, [0, 0, 0, 1, 1, 2, 2]);
    let message = "no sample has an enemy near, so every sample is a base of as many rows";
    assert_eq!(made.report.notes, [Note::new(1, message)]);
}
