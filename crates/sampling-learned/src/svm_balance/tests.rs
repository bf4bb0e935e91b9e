use super::*;
use crate::tests::{make, with_svm_balance};

/// Class 1 lies in two groups with a wall of class 0 between them, so that many rows of SMOTE with K = 11 fall on
/// the wall.
#[test]
fn rows_that_fall_to_another_class_are_drawn_again() {
    let group = |x: f32, n: usize| (0..n).map(move |i| vec![x + (i % 3) as f32 / 9.0, (i / 3) as f32 / 9.0]);
    let rows: Vec<Vec<f32>> = group(0.0, 30).chain(group(-3.0, 6)).chain(group(3.0, 6)).collect();
    let labels = [vec![0; 30], vec![1; 12]].concat();
    let params = SvmBalanceParams { k_neighbors: 11, ..SvmBalanceParams::default() };
    let made = make(&rows, &labels, &[0, 300], &*with_svm_balance(params)).unwrap();
    let on_the_wall = |row: usize| (-0.4..0.6).contains(&made.rows.row(row)[0]);
    assert_eq!((0..300).filter(|&row| on_the_wall(row)).count(), 0);
    assert!(made.report.notes.is_empty());
    let crossing = made.provenance.iter().filter(|from| (from.base < 36) != (from.partner < 36)).count();
    assert!(crossing > 50, "{crossing} rows lie on the way to the other group");
}
