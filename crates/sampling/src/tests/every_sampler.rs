use std::sync::atomic::{AtomicU64, Ordering};

use expanse_domain::Seed;

use super::*;

#[test]
fn counts_are_met_exactly_and_classes_ascend() {
    let expected = [vec![1; 700], vec![2; 55]].concat();
    for sampler in every() {
        let made = Example::imbalanced().make(&*sampler).unwrap();
        assert_eq!(made.labels, expected);
        assert!(made.rows.iter().flatten().all(|&value| value != PADDING), "a value was not written");
        assert!(made.report.enemy_share[0].is_none() && made.report.enemy_share[2].is_some());
    }
}

#[test]
fn threads_do_not_change_the_result() {
    for sampler in every() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Example::imbalanced().make(&*sampler).unwrap())
        };
        assert_eq!(on(1), on(2));
    }
}

#[test]
fn what_is_made_of_a_class_depends_on_no_other() {
    for sampler in every() {
        let both = Example::imbalanced().make(&*sampler).unwrap();
        let alone = Example { wanted: vec![0, 0, 55], ..Example::imbalanced() }.make(&*sampler).unwrap();
        assert_eq!(both.rows[700..], alone.rows);
        assert_ne!(both.rows[..55], alone.rows);
    }
}

#[test]
fn nothing_wanted_is_nothing_made() {
    let single_class = Example::new(&[[1.0], [2.0]], &[0, 0], &[0, 0]);
    for sampler in every() {
        let made = single_class.make(&*sampler).unwrap();
        assert_eq!((made.rows.len(), made.report.enemy_share), (0, vec![None, None]));
    }
}

#[test]
fn progress_ends_at_its_total_and_cancelling_is_heard() {
    struct Follower(AtomicU64);
    impl Control for Follower {
        fn progress(&self, done: u64, total: u64) {
            assert!(done <= total);
            self.0.fetch_max(done * 1000 / total, Ordering::Relaxed);
        }
    }
    struct Impatient;
    impl Control for Impatient {
        fn cancelled(&self) -> bool {
            true
        }
    }
    for sampler in every() {
        let follower = Follower(AtomicU64::new(0));
        Example::imbalanced().make_watched(&*sampler, &follower).unwrap();
        assert_eq!(follower.0.into_inner(), 1000);
        let cancelled = Example::imbalanced().make_watched(&*sampler, &Impatient);
        assert_eq!(cancelled, Err(SamplingError::Cancelled));
    }
}

/// Few distinct values, so that many rows are equal, some of them across classes.
#[test]
fn rows_lie_where_their_provenance_says() {
    for case in 0..40 {
        let mut rng = Seed(case).derive("property", &[]).rng();
        let drawn = rng.index(30);
        let mut all: Vec<([f32; 2], u32)> = (0..drawn)
            .map(|_| {
                let (x, y) = (rng.below(6) as f32 - 3.0, rng.below(6) as f32 - 3.0);
                ([x / 3.0, y / 7.0], rng.below(3) as u32)
            })
            .collect();
        // Two far rows of each class, so that every sampler can work.
        let far = [(90, 1, 0), (91, 1, 0), (92, 2, 1), (93, 3, 1), (94, 1, 2), (95, 4, 2)];
        all.extend(far.map(|(x, y, label)| ([x as f32 / 3.0, y as f32 / 7.0], label)));
        let rows: Vec<[f32; 2]> = all.iter().map(|(row, _)| *row).collect();
        let labels: Vec<u32> = all.iter().map(|(_, label)| *label).collect();
        let wanted: [u64; 3] = std::array::from_fn(|_| rng.below(30));
        let example = Example::new(&rows, &labels, &wanted);
        for sampler in between() {
            let made = example.make(&*sampler).unwrap();
            for (row, from) in made.rows.iter().zip(&made.provenance) {
                assert_eq!(from.partner_class, labels[from.partner as usize], "case {case}");
                assert!((0.0..1.0).contains(&from.r), "case {case}");
                for (column, &value) in row.iter().enumerate() {
                    let (base, partner) =
                        (rows[from.base as usize][column], rows[from.partner as usize][column]);
                    assert_eq!(value, base + from.r * (partner - base), "case {case}");
                    let slack = f32::EPSILON * base.abs().max(partner.abs());
                    let between = base.min(partner) - slack..=base.max(partner) + slack;
                    assert!(between.contains(&value), "case {case}");
                }
            }
        }
    }
}
