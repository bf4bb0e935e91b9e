use expanse_domain::{ClassCounts, Rng, Seed};

/// The rows that stay when class c is thinned to `counts[c]` samples, ascending.
///
/// Each class is drawn without replacement from `seed.derive("profile", [class])`, so the draw of one class
/// does not move another's, and a smaller count keeps a subset of what a larger one keeps. A class with
/// fewer rows than its count keeps them all; rows whose label has no count are left out.
pub fn keep(labels: &[u32], counts: &ClassCounts, seed: Seed) -> Vec<usize> {
    let mut kept = Vec::new();
    for (class, rows) in rows_by_class(labels, counts.classes()).iter().enumerate() {
        let count = usize::try_from(counts.as_slice()[class]).unwrap_or(usize::MAX).min(rows.len());
        kept.extend(draw(rows, count, &mut seed.derive("profile", &[class as u64]).rng()));
    }
    kept.sort_unstable();
    kept
}

/// A stratified split: the rows that stay in training and the rows held out, both ascending.
///
/// Of a class with n rows, round(`fraction` · n) are held out, or `least` if that is more, but at least one stays in
/// training; so a class of one row gives none. A fraction outside `[0, 1]` counts as the nearer end. Each class is drawn
/// from `seed.derive("hold-out", [class])`; rows whose label lies outside `0..classes` are in neither part.
pub fn hold_out(
    labels: &[u32],
    classes: usize,
    fraction: f64,
    least: usize,
    seed: Seed,
) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for (class, rows) in rows_by_class(labels, classes).iter().enumerate() {
        let share = (fraction * rows.len() as f64).round() as usize;
        let count = share.max(least).min(rows.len().saturating_sub(1));
        let shuffled = draw(rows, rows.len(), &mut seed.derive("hold-out", &[class as u64]).rng());
        held_out.extend_from_slice(&shuffled[..count]);
        train.extend_from_slice(&shuffled[count..]);
    }
    train.sort_unstable();
    held_out.sort_unstable();
    (train, held_out)
}

fn rows_by_class(labels: &[u32], classes: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); classes];
    for (row, &label) in labels.iter().enumerate() {
        if let Some(rows) = rows.get_mut(label as usize) {
            rows.push(row);
        }
    }
    rows
}

fn draw(rows: &[usize], count: usize, rng: &mut Rng) -> Vec<usize> {
    rng.choose(rows.len(), count).into_iter().map(|place| rows[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of `sizes[c]` rows of class c, interleaved.
    fn labels(sizes: &[usize]) -> Vec<u32> {
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let classes = 0..sizes.len();
        (0..largest)
            .flat_map(|turn| classes.clone().filter(move |&c| turn < sizes[c]).map(|c| c as u32))
            .collect()
    }

    fn sizes(labels: &[u32], rows: &[usize], classes: usize) -> Vec<u64> {
        assert!(rows.is_sorted_by(|a, b| a < b), "ascending and distinct");
        let labels: Vec<u32> = rows.iter().map(|&row| labels[row]).collect();
        ClassCounts::of(&labels, classes).as_slice().to_vec()
    }

    #[test]
    fn keep_meets_the_counts() {
        let labels = labels(&[40, 30, 5, 7]);
        let counts = ClassCounts::new(vec![20, 3, 9]);
        let kept = keep(&labels, &counts, Seed(1));
        assert_eq!(sizes(&labels, &kept, 4), [20, 3, 5, 0]);
        assert_eq!(kept, keep(&labels, &counts, Seed(1)));
        assert_ne!(kept, keep(&labels, &counts, Seed(2)));
    }

    #[test]
    fn fewer_kept_rows_are_a_subset_and_other_classes_do_not_move() {
        let labels = labels(&[40, 30]);
        let more = keep(&labels, &ClassCounts::new(vec![20, 10]), Seed(1));
        let fewer = keep(&labels, &ClassCounts::new(vec![8, 10]), Seed(1));
        assert!(fewer.iter().all(|row| more.contains(row)));
        assert_eq!(sizes(&labels, &fewer, 2), [8, 10]);
    }

    #[test]
    fn hold_out_is_stratified_and_never_empties_a_class() {
        let check_least = |fraction, least, expected: [u64; 5]| {
            let labels = labels(&[40, 25, 4, 1, 0]);
            let (train, held_out) = hold_out(&labels, 5, fraction, least, Seed(1));
            assert_eq!(sizes(&labels, &held_out, 5), expected, "{fraction}");
            let mut all = [train, held_out].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..labels.len()), "each row is in one part");
        };
        check_least(0.1, 1, [4, 3, 1, 0, 0]);
        check_least(0.0, 9, [9, 9, 3, 0, 0]);
        let check = |fraction, expected| check_least(fraction, 0, expected);
        check(0.0, [0, 0, 0, 0, 0]);
        check(0.1, [4, 3, 0, 0, 0]);
        check(0.5, [20, 13, 2, 0, 0]);
        check(1.0, [39, 24, 3, 0, 0]);
        check(7.0, [39, 24, 3, 0, 0]);
        check(f64::NAN, [0, 0, 0, 0, 0]);
    }
}
