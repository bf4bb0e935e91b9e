/// Divides `total` in proportion to `shares`, which are not negative and not all 0, into whole numbers.
///
/// Each is first rounded to the nearest, halves to even, as imbalanced-learn does; where that does not sum to
/// `total`, those that rounding has moved furthest are corrected by one, the first of equals first. So the sum is
/// exact and no number is further than 1 from its share.
pub fn apportion(shares: &[f64], total: u64) -> Vec<u64> {
    let sum: f64 = shares.iter().sum();
    let exact: Vec<f64> = shares.iter().map(|share| share * total as f64 / sum).collect();
    let mut counts: Vec<u64> = exact.iter().map(|exact| exact.round_ties_even() as u64).collect();
    let sum: u64 = counts.iter().sum();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    let short = |place: usize| exact[place] - exact[place].round_ties_even();
    if sum < total {
        order.sort_by(|&a, &b| short(b).total_cmp(&short(a)));
        order.iter().take((total - sum) as usize).for_each(|&place| counts[place] += 1);
    } else {
        order.sort_by(|&a, &b| short(a).total_cmp(&short(b)));
        let rounded_up = order.into_iter().filter(|&place| exact[place] > 0.0);
        rounded_up.take((sum - total) as usize).for_each(|place| counts[place] -= 1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_halves_go_to_even() {
        let check = |shares: &[f64], total, expected: &[u64]| {
            assert_eq!(apportion(shares, total), expected, "{shares:?}");
        };
        check(&[1.0, 3.0], 8, &[2, 6]);
        // Each is 0.5, which rounds to 0: the first two are raised.
        check(&[1.0; 4], 2, &[1, 1, 0, 0]);
        // Each is 1.5, which rounds to 2: the first two are lowered.
        check(&[1.0; 4], 6, &[1, 1, 2, 2]);
        check(&[0.0, 1.0, 0.0], 5, &[0, 5, 0]);
        check(&[1.0, 1.0, 1.0], 1, &[1, 0, 0]);
        check(&[2.0, 1.0], 0, &[0, 0]);
    }

    #[test]
    fn no_number_is_further_than_one_from_its_share() {
        for total in 0..200 {
            let shares: Vec<f64> = (0..37).map(|i| f64::from((i * i * 7 + total as u32) % 11)).collect();
            let counts = apportion(&shares, total);
            assert_eq!(counts.iter().sum::<u64>(), total);
            let sum: f64 = shares.iter().sum();
            let near =
                |(&count, share): (&u64, &f64)| (count as f64 - share * total as f64 / sum).abs() < 1.0;
            assert!(counts.iter().zip(&shares).all(near), "{total}");
        }
    }
}
