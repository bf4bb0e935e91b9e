use std::collections::BTreeSet;

use super::*;
use crate::tests::{Example, Made, with_eos};

/// Five points on a line (the first column is 0): class 0 at 0, 1 and 3, class 1 at 4.5 and 6.5. With K = 2
/// the neighbours are 0: {1, 2}, 1: {0, 2}, 2: {3, 1}, 3: {2, 4}, 4: {3, 2}, so row 2 is the one enemy that
/// class 1 has, and row 2 the one base of class 0.
fn line(wanted: [u64; 2]) -> Example {
    Example::new(&[[0.0, 0.0], [0.0, 1.0], [0.0, 3.0], [0.0, 4.5], [0.0, 6.5]], &[0, 0, 0, 1, 1], &wanted)
}

fn params(k_neighbors: usize, compat: bool) -> EosParams {
    EosParams { k_neighbors, compat, ..EosParams::default() }
}

/// The (base, partner) pairs that occur among the rows of a class.
fn pairs(made: &Made, class: u32) -> BTreeSet<(u64, u64)> {
    let of_class = made.labels.iter().zip(&made.provenance).filter(|&(&label, _)| label == class);
    of_class.map(|(_, from)| (from.base, from.partner)).collect()
}

#[test]
fn bases_step_towards_their_enemies() {
    let made = line([40, 40]).make(&*with_eos(params(2, false))).unwrap();
    assert_eq!(pairs(&made, 0), [(2, 3)].into());
    assert_eq!(pairs(&made, 1), [(3, 2), (4, 2)].into());
    assert_eq!(made.report, Report { notes: vec![], enemy_share: vec![Some(1.0), Some(1.0)] });
    // The steps of class 0 fill the way from 3 to 4.5.
    let steps: Vec<f32> = made.rows[..40].iter().map(|row| row[1]).collect();
    assert!(steps.iter().all(|step| (3.0..4.5).contains(step)));
    assert!(steps.iter().any(|&step| step < 3.3) && steps.iter().any(|&step| step > 4.2));
}

#[test]
fn compat_steps_towards_the_row_one_place_nearer() {
    let made = line([40, 40]).make(&*with_eos(params(2, true))).unwrap();
    // T[2] = 2, 3, 1 with the enemy at j = 0: the base itself. T[3] = 3, 2, 4: likewise. T[4] = 4, 3, 2 with
    // the enemy at j = 1: row 3, a friend.
    assert_eq!(pairs(&made, 0), [(2, 2)].into());
    assert_eq!(pairs(&made, 1), [(3, 3), (4, 3)].into());
    assert_eq!(made.report.enemy_share, [Some(0.0), Some(0.0)]);
    assert!(made.rows[..40].iter().all(|row| row == &[0.0, 3.0]));
}

#[test]
fn compat_leaves_the_first_column_out_of_the_search_but_not_of_the_row() {
    let mut example = line([0, 40]);
    for (row, far) in [100.0, -300.0, 900.0, -50.0, 7.0].into_iter().enumerate() {
        example.features.as_mut_slice()[2 * row] = far;
    }
    let made = example.make(&*with_eos(params(2, true))).unwrap();
    assert_eq!(pairs(&made, 1), [(3, 3), (4, 3)].into());
    let of_4 =
        made.rows.iter().zip(&made.provenance).find(|(_, from)| from.base == 4 && from.r > 0.1).unwrap();
    assert_eq!(of_4.0[0], 7.0 + of_4.1.r * (-50.0 - 7.0));
}

#[test]
fn compat_takes_the_lowest_of_equal_rows_as_the_base() {
    // Rows 0 and 2 are equal but for the column that does not count. T[2] = 0, 2, 1, 3 and T[3] = 3, 1, 0, 2.
    let rows = [[0.0, 0.0], [0.0, 1.0], [5.0, 0.0], [0.0, 2.0]];
    let example = Example::new(&rows, &[0, 0, 1, 1], &[0, 60]);
    let made = example.make(&*with_eos(params(3, true))).unwrap();
    // Sample 2: only j = 1 is an enemy (row 1), read at T[0][1] = 2. Sample 3: j = 0 and 1, read at 3 and 1.
    assert_eq!(pairs(&made, 1), [(0, 2), (3, 3), (3, 1)].into());
}

#[test]
fn the_neighborhood_of_a_class_without_enemies_is_doubled() {
    let rows = [[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 90.0], [0.0, 91.0]];
    let example = Example::new(&rows, &[0, 0, 0, 0, 1, 1], &[30, 30]);
    let message = |k| format!("k_neighbors was raised to {k}: no sample has an enemy among its 1 nearest");
    let made = example.make(&*with_eos(params(1, false))).unwrap();
    // At K = 4 every sample of class 0 sees row 4; at K = 2 each of class 1 sees row 3.
    assert_eq!(pairs(&made, 0), [(0, 4), (1, 4), (2, 4), (3, 4)].into());
    assert_eq!(pairs(&made, 1), [(4, 3), (5, 3)].into());
    let notes = [Note { class: 0, message: message(4) }, Note { class: 1, message: message(2) }];
    assert_eq!(made.report.notes, notes);
}

#[test]
fn a_single_sample_works_and_too_many_neighbors_are_lowered() {
    let example = Example::new(&[[0.0, 0.0], [0.0, 1.0], [0.0, 5.0]], &[0, 0, 1], &[0, 50]);
    let made = example.make(&*with_eos(EosParams::default())).unwrap();
    assert_eq!(pairs(&made, 1), [(2, 0), (2, 1)].into());
    let message = "k_neighbors was lowered from 10 to 2: there are 3 samples in all".to_owned();
    assert_eq!(made.report.notes, [Note { class: 1, message }]);
}

#[test]
fn a_duplicate_of_another_class_is_an_enemy() {
    let example = Example::new(&[[1.0, 1.0], [1.0, 1.0], [9.0, 9.0]], &[0, 1, 1], &[0, 20]);
    let made = example.make(&*with_eos(params(1, false))).unwrap();
    // Row 2 is as far from row 0 as from row 1; the lower number comes first.
    assert_eq!(pairs(&made, 1), [(1, 0), (2, 0)].into());
    assert!(made.rows.iter().zip(&made.provenance).all(|(row, from)| from.base == 2 || row == &[1.0, 1.0]));
}

#[test]
fn r_max_bounds_the_step() {
    let made = line([0, 60]).make(&*with_eos(EosParams { r_max: 0.25, ..params(2, false) })).unwrap();
    assert!(made.provenance.iter().all(|from| from.r < 0.25));
    assert!(made.provenance.iter().any(|from| from.r > 0.2));
}

#[test]
fn what_leaves_no_enemy_is_refused() {
    let refusal =
        |example: Example, compat| example.make(&*with_eos(params(2, compat))).unwrap_err().to_string();
    assert_eq!(
        refusal(Example::new(&[[0.0], [1.0]], &[1, 1], &[0, 1]), false),
        "class 1 is the only class with samples; eos needs enemies, samples of another class; use `smote`"
    );
    assert_eq!(
        refusal(Example::new(&[[0.0], [1.0]], &[0, 1], &[0, 1]), true),
        "the embeddings have 1 column, which eos with `compat` leaves out of its search; set `compat = false`"
    );
    assert_eq!(
        refusal(Example::new(&[[0.0, 1.0], [2.0, 1.0]], &[0, 1], &[0, 1]), true),
        "no sample of class 1 has an enemy besides its own duplicate, which eos with `compat` passes over; \
         set `compat = false`"
    );
}

#[test]
fn weights_by_distance_prefer_near_enemies_and_take_all_at_distance_zero() {
    let params = || EosParams { enemy_weights: EnemyWeights::Distance, ..params(4, false) };
    // From 0: enemies at distance 1 and 4, so that four of five draws go to the nearer.
    let example = Example::new(&[[0.0], [1.0], [-4.0]], &[1, 0, 0], &[0, 5000]);
    let made = example.make(&*with_eos(params())).unwrap();
    let near = made.provenance.iter().filter(|from| from.partner == 1).count();
    assert!((3900..4100).contains(&near), "{near}");
    let example = Example::new(&[[0.0], [0.0], [-4.0]], &[1, 0, 0], &[0, 50]);
    assert_eq!(pairs(&example.make(&*with_eos(params())).unwrap(), 1), [(0, 1)].into());
}
