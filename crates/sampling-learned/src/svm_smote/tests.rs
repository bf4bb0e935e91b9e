use std::collections::BTreeSet;

use super::*;
use crate::tests::{make, with_svm_smote};

/// Two rows of points that face each other, and far behind those of class 1 some that no machine needs.
#[test]
fn bases_are_support_vectors_and_safe_ones_step_away() {
    let line = |x: f32, n: usize| (0..n).map(move |i| vec![x, i as f32 / 4.0]);
    let rows: Vec<Vec<f32>> = line(0.0, 12).chain(line(1.0, 6)).chain(line(4.0, 6)).collect();
    let labels = [vec![0; 12], vec![1; 12]].concat();
    let params = SvmSmoteParams { k_neighbors: 3, m_neighbors: 4, ..SvmSmoteParams::default() };
    let made = make(&rows, &labels, &[0, 400], &*with_svm_smote(params)).unwrap();
    let (away, towards): (Vec<_>, Vec<_>) = made.provenance.iter().partition(|from| from.r < 0.0);
    let bases = |of: &[&expanse_domain::Provenance]| of.iter().map(|from| from.base).collect::<BTreeSet<_>>();
    assert!(!bases(&away).is_empty() && towards.iter().all(|from| from.r < 1.0));
    assert!(away.iter().all(|from| from.r > -0.5));
    assert!(bases(&away).is_disjoint(&bases(&towards)), "a base is safe or in danger");
    assert!(bases(&away).len() + bases(&towards).len() < 12, "every sample is a support vector");
}
