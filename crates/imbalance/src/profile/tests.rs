use super::*;

const CIFAR_10: [u64; 10] = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50];

fn counts(name: &str, ratio: f64, largest: Option<u64>, available: &[u64]) -> Result<Vec<u64>, ProfileError> {
    let profile = Profile::parse(name, Some(ratio), None)?;
    Ok(profile.counts(&ClassCounts::new(available.to_vec()), largest)?.as_slice().to_vec())
}

#[test]
fn profiles_have_the_published_counts() {
    let check = |name, ratio, largest, available: &[u64], expected: &[u64]| {
        assert_eq!(counts(name, ratio, largest, available).as_deref(), Ok(expected), "{name} {ratio}");
    };
    check("exponential", 100.0, None, &[5000; 10], &CIFAR_10);
    check("exponential", 100.0, Some(1000), &[5000; 3], &[1000, 100, 10]);
    check("exponential", 1.0, None, &[7; 3], &[7; 3]);
    check("exponential", 9.0, None, &[7], &[7]);
    check("exponential", 9.0, None, &[], &[]);
    check("step", 10.0, None, &[500; 5], &[500, 500, 50, 50, 50]);
    check("step", 100.0, Some(199), &[500; 2], &[199, 1]);
    check("natural", 100.0, Some(1), &[3, 0, 9], &[3, 0, 9]);
}

#[test]
fn whole_counts_do_not_fall_to_rounding() {
    // 243^(2/5) is 9 and 100 · (1/49) · 49 is 100, but neither in `f64`.
    for base in 2..=12_u64 {
        let expected: Vec<u64> = (0..6).rev().map(|power| 3 * base.pow(power)).collect();
        let ratio = base.pow(5) as f64;
        assert_eq!(counts("exponential", ratio, None, &[expected[0]; 6]), Ok(expected), "base {base}");
    }
    for ratio in 1..=500 {
        let found = counts("step", ratio as f64, None, &[100 * ratio; 2]);
        assert_eq!(found, Ok(vec![100 * ratio, 100]), "ratio {ratio}");
    }
}

#[test]
fn what_cannot_be_met_is_an_error() {
    use ProfileError::*;
    let check = |name, ratio, largest, available: &[u64], expected: ProfileError| {
        assert_eq!(counts(name, ratio, largest, available), Err(expected));
    };
    check("exponential", 0.5, None, &[9; 2], Ratio { ratio: 0.5 });
    check("step", f64::INFINITY, None, &[9; 2], Ratio { ratio: f64::INFINITY });
    check("step", 2.0, Some(10), &[10, 4], Short { class: 1, have: 4, wanted: 5 });
    check("exponential", 10.0, Some(12), &[9; 2], Short { class: 0, have: 9, wanted: 12 });
    check("exponential", 10.0, Some(9), &[9; 2], Empty { class: 1, largest: 9, ratio: 10.0 });
    assert!(matches!(counts("step", f64::NAN, None, &[9; 2]), Err(Ratio { .. })));

    let raw = Profile::Step { ratio: 0.0 };
    assert_eq!(raw.counts(&ClassCounts::new(vec![9; 2]), None), Err(Ratio { ratio: 0.0 }));
    let listed = Profile::parse("counts", None, Some(vec![3, 4])).unwrap();
    assert_eq!(listed.counts(&ClassCounts::new(vec![9; 3]), None), Err(Length { given: 2, classes: 3 }));
    assert_eq!(listed.counts(&ClassCounts::new(vec![9; 2]), None), Ok(ClassCounts::new(vec![3, 4])));
}

#[test]
fn names_are_read_and_unknown_ones_answered_with_the_known() {
    for name in Profile::NAMES {
        assert!(Profile::parse(name, Some(2.0), Some(vec![])).is_ok(), "{name}");
    }
    let missing = Profile::parse("step", None, None).unwrap_err();
    assert_eq!(missing.to_string(), "profile `step` needs `ratio`; set it");
    let unknown = Profile::parse("exp", Some(2.0), None).unwrap_err();
    assert_eq!(unknown.to_string(), "`exp` is not a profile; use one of natural, exponential, step, counts");
}
