use super::*;
use crate::tests::{make, with_kmeans_smote};

/// Class 1 lies in a dense and a sparse group far apart; class 0 keeps to itself.
fn groups() -> (Vec<Vec<f32>>, Vec<u32>) {
    let group = |x: f32, n: usize, step: f32| (0..n).map(move |i| vec![x + step * i as f32, 0.0]);
    let rows = group(0.0, 20, 0.1).chain(group(100.0, 6, 0.1)).chain(group(200.0, 6, 1.0)).collect();
    (rows, [vec![0; 20], vec![1; 12]].concat())
}

#[test]
fn rows_stay_in_their_cluster_and_the_sparse_one_gets_more() {
    let (rows, labels) = groups();
    let params = KmeansSmoteParams {
        kmeans_estimator: 3,
        density_exponent: Automatic::Number(1.0),
        ..KmeansSmoteParams::default()
    };
    let made = make(&rows, &labels, &[0, 110], &*with_kmeans_smote(params)).unwrap();
    assert!(made.report.notes.is_empty());
    let dense = made.provenance.iter().filter(|from| from.base < 26 && from.partner < 26).count();
    let sparse = made.provenance.iter().filter(|from| from.base >= 26 && from.partner >= 26).count();
    // The same number of samples at ten times the distance: sparsities of 1 to 10.
    assert_eq!((dense, sparse), (10, 100));
}

#[test]
fn without_a_cluster_for_a_class_it_is_smote() {
    let (rows, labels) = groups();
    let params = KmeansSmoteParams {
        kmeans_estimator: 1,
        cluster_balance_threshold: Automatic::Number(1.0),
        ..KmeansSmoteParams::default()
    };
    // One cluster takes part whatever the share.
    assert!(make(&rows, &labels, &[0, 9], &*with_kmeans_smote(params)).unwrap().report.notes.is_empty());
    let mixed: Vec<u32> = (0..32).map(|row| u32::from(row % 4 == 0)).collect();
    let params = KmeansSmoteParams {
        cluster_balance_threshold: Automatic::Number(1.0),
        ..KmeansSmoteParams::default()
    };
    let made = make(&rows, &mixed, &[0, 9], &*with_kmeans_smote(params)).unwrap();
    assert!(made.report.notes[0].message.contains("as by smote"), "{:?}", made.report.notes);
}

#[test]
fn sparsities_beyond_all_numbers_still_compare() {
    assert_eq!(proportions(&[5000.0, 5000.0, f64::NEG_INFINITY]), [1.0, 1.0, 0.0]);
    assert_eq!(proportions(&[f64::NEG_INFINITY; 2]), [1.0, 1.0]);
}
