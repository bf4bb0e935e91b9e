use std::collections::BTreeSet;

use super::*;
use crate::tests::{make, with_svm_smote};

/// A column of class 0, a column of class 1 so near that it is in danger, and one behind it that is safe.
#[test]
fn bases_are_support_vectors_and_safe_ones_step_away() {
    let line = |x: f32, n: usize| (0..n).map(move |i| vec![x, i as f32 / 4.0]);
    let rows: Vec<Vec<f32>> = line(0.0, 12).chain(line(0.3, 6)).chain(line(1.5, 6)).collect();
    let labels = [vec![0; 12], vec![1; 12]].concat();
    let params = SvmSmoteParams { k_neighbors: 3, m_neighbors: 4, ..SvmSmoteParams::default() };
    let made = make(&rows, &labels, &[0, 400], &*with_svm_smote(params)).unwrap();
    let (away, towards): (Vec<usize>, Vec<usize>) =
        (0..400).partition(|&row| made.provenance[row].partner == made.provenance[row].base);
    let bases = |of: &[usize]| of.iter().map(|&row| made.provenance[row].base).collect::<BTreeSet<_>>();
    assert!(!away.is_empty() && !towards.is_empty());
    // The third neighbour of a sample is at most three steps of a quarter away, and half of that is the longest.
    let steps = away.iter().map(|&row| {
        let base = &rows[made.provenance[row].base as usize];
        made.rows.row(row).iter().zip(base).map(|(a, b)| (a - b).abs()).sum::<f32>()
    });
    assert!(steps.clone().all(|step| step <= 0.375) && steps.clone().any(|step| step > 0.25));
    assert!(bases(&away).iter().all(|&base| base >= 18) && bases(&towards).iter().all(|&base| base < 18));
}
