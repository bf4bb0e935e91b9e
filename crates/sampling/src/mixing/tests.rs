use std::collections::BTreeSet;

use super::*;
use crate::tests::{Example, Made, with_mixup, with_remix};

/// Seven samples of class 0, two of class 1, one of class 2.
fn example(wanted: [u64; 3]) -> Example {
    let rows: [[f32; 1]; 10] = std::array::from_fn(|row| [row as f32]);
    Example::new(&rows, &[0, 0, 0, 0, 0, 0, 0, 1, 1, 2], &wanted)
}

fn partners(made: &Made) -> BTreeSet<u64> {
    made.provenance.iter().map(|from| from.partner).collect()
}

#[test]
fn mixup_gives_the_base_the_greater_share_and_takes_any_partner() {
    let made = example([0, 0, 3000]).make(&*with_mixup(MixupParams::default())).unwrap();
    assert_eq!(partners(&made), (0..9).collect());
    let steps: Vec<f32> = made.provenance.iter().map(|from| from.r).collect();
    assert!(steps.iter().all(|r| (0.0..=0.5).contains(r)));
    // α = 1 is uniform: folded, the mean of r is a quarter.
    let mean = steps.iter().sum::<f32>() / steps.len() as f32;
    assert!((mean - 0.25).abs() < 0.01, "{mean}");
    let narrow = example([0, 0, 3000]).make(&*with_mixup(MixupParams { alpha: 0.1 })).unwrap();
    assert!(narrow.provenance.iter().map(|from| from.r).sum::<f32>() < 0.2 * 3000.0 * 0.5);
}

#[test]
fn remix_gives_the_smaller_class_the_label_beyond_its_share() {
    let params = RemixParams { tau: 0.8, ..RemixParams::default() };
    let made = example([0, 3000, 0]).make(&*with_remix(params.clone())).unwrap();
    // Class 0 is 3.5 times larger than class 1: steps towards it go up to τ. Class 2 is not κ times smaller.
    assert_eq!(partners(&made), (0..10).collect());
    let longest = |class| {
        let towards = made.provenance.iter().filter(|from| from.partner_class == class);
        towards.map(|from| from.r).fold(0.0, f32::max)
    };
    assert!((0.75..0.8).contains(&longest(0)) && longest(1) <= 0.5 && longest(2) <= 0.5);
    // Of class 0, mixtures with the smaller classes would be theirs.
    let made = example([500, 0, 0]).make(&*with_remix(params.clone())).unwrap();
    assert_eq!(partners(&made), (0..7).collect());

    let rows = [[0.0], [1.0], [2.0], [3.0]];
    let alone = Example::new(&rows[..2], &[0, 0], &[5, 0]).make(&*with_remix(params)).unwrap();
    assert!(alone.report.notes.is_empty());
    let refused = Example::new(&rows[..1], &[0], &[5]).make(&*with_remix(RemixParams::default()));
    assert_eq!(refused.unwrap_err().to_string(), "there is 1 sample in all; remix mixes pairs; use `random`");
}
