use super::*;
use expanse_domain::Matrix;

type Rows<'a> = &'a [(u32, f32)];

/// The gap of embeddings of one feature, each row `(label, value)`.
fn gap(reference: Rows, real: Rows, test: Rows, classes: usize, draws: usize) -> Result<Gap, GapError> {
    let columns =
        [reference, real, test].map(|rows| -> (Vec<u32>, Vec<f32>) { rows.iter().copied().unzip() });
    let [reference, real, test] = columns.each_ref().map(|(labels, values)| Labelled {
        matrix: MatrixView::new(values, values.len(), 1, 1).unwrap(),
        labels,
    });
    generalization_gap(reference, real, test, classes, draws, Seed(1))
}

#[test]
fn range_gap_by_hand() {
    let train = Matrix::new(vec![0.0, 5.0, 9.0, 4.0, 1.0, 9.0], 2, 3).unwrap();
    let test = Matrix::new(vec![-1.0, 2.0, 10.0, 6.0, 3.0, 7.0, 99.0, 99.0, 99.0], 3, 3).unwrap();
    // (0 − −1) + (6 − 4) in the first column, nothing in the second, (9 − 7) + (10 − 9) in the third.
    assert_eq!(range_gap(train.view(), &[0, 1], test.view(), &[0, 1]), 3.0 + 0.0 + 3.0);
    assert_eq!(range_gap(train.view(), &[0, 1], test.view(), &[]), 0.0);
    assert_eq!(range_gap(train.view(), &[], test.view(), &[0]), f64::INFINITY);
}

#[test]
fn every_null_by_hand() {
    use NullSource::*;
    // Rows of class 0 lie at 0 and 4, so that whatever is held out reaches 4 beyond what is kept.
    let check = |real: Rows, test: Rows, class: usize, raw, null, size_matched, source| {
        let classes = 1 + real.iter().map(|&(label, _)| label as usize).max().unwrap();
        let gap = gap(real, real, test, classes, 5).unwrap();
        let found = (gap.raw[class], gap.null[class], gap.size_matched[class], gap.null_source[class]);
        assert_eq!(found, (raw, null, size_matched, source));
        assert_eq!(gap.spread[class], 0.0);
    };
    // n ≥ 2t: one of two rows is held out; the test row lies 2 from either that is kept.
    check(&[(0, 0.0), (0, 4.0)], &[(0, 2.0)], 0, 0.0, 4.0, -2.0, HeldOut);
    // The largest class with n < 2t: one probe, though there are two test rows.
    check(&[(0, 0.0), (0, 4.0)], &[(0, 2.0), (0, 2.0)], 0, 0.0, 4.0, -2.0, HeldOut);
    // A class of one row: the largest class cut to one row, one spare row as the probe.
    let real = [(0, 0.0), (1, 10.0), (0, 4.0)];
    check(&real, &[(0, 2.0), (1, 17.0), (1, 17.0)], 1, 7.0, 4.0, 3.0, LargestClass);
    // A class of two rows with n ≥ 2t needs no larger class.
    let real = [(0, 0.0), (0, 4.0), (0, 4.0), (1, 10.0), (1, 12.0)];
    check(&real, &[(0, 2.0), (1, 11.0)], 1, 0.0, 2.0, -1.0, HeldOut);
}

#[test]
fn probes_are_as_many_as_the_spare_rows_allow() {
    let plan = |sizes: &[usize], class, tests| {
        let rows: Vec<Vec<usize>> = sizes.iter().map(|&size| vec![0; size]).collect();
        Plan::of(class, &rows, tests).map(|plan| (plan.source, plan.pool, plan.probes, plan.kept))
    };
    use NullSource::*;
    assert_eq!(plan(&[5, 20], 0, 2), Some((HeldOut, 0, 2, 3)));
    assert_eq!(plan(&[5, 20], 0, 3), Some((LargestClass, 1, 3, 5)));
    assert_eq!(plan(&[5, 20], 0, 40), Some((LargestClass, 1, 15, 5)));
    assert_eq!(plan(&[5, 20], 1, 10), Some((HeldOut, 1, 10, 10)));
    assert_eq!(plan(&[5, 20], 1, 11), Some((HeldOut, 1, 10, 10)));
    assert_eq!(plan(&[7, 7], 1, 40), Some((HeldOut, 1, 3, 4)));
    assert_eq!(plan(&[1, 2], 0, 1), Some((LargestClass, 1, 1, 1)));
    assert_eq!(plan(&[1, 1], 0, 1), None);
}

#[test]
fn synthetic_rows_widen_the_range_but_not_the_null() {
    let real = [(0, 0.0), (0, 4.0), (1, 10.0)];
    let test = [(0, 2.0), (1, 16.0)];
    let before = gap(&real, &real, &test, 2, 3).unwrap();
    let after = gap(&[&real[..], &[(1, 13.0)]].concat(), &real, &test, 2, 3).unwrap();
    assert_eq!((before.raw[1], after.raw[1]), (6.0, 3.0));
    assert_eq!((before.size_matched[1], after.size_matched[1]), (2.0, -1.0));
    assert_eq!(before.null, after.null);
}

#[test]
fn spread_is_the_sample_deviation_over_draws() {
    let check = |real: Rows, test: Rows, class: usize, low: f64, high: f64| {
        let draws = 40;
        let many = gap(real, real, test, class + 1, draws).unwrap();
        let share = (many.size_matched[class] - low) / (high - low);
        assert!(0.2 < share && share < 0.8, "{share}");
        let variance = share * (1.0 - share) * draws as f64 / (draws as f64 - 1.0);
        assert!((many.spread[class] - (high - low) * variance.sqrt()).abs() < 1e-12);
        assert_eq!(gap(real, real, test, class + 1, 1).unwrap().spread[class], 0.0);
    };
    // The row that is kept lies at 4 or 0: 2 − 4 or 6 − 4.
    check(&[(0, 0.0), (0, 4.0)], &[(0, 6.0)], 0, -2.0, 2.0);
    // The one probe row lies at 17 or 19: 7 − 4 or 9 − 4.
    check(&[(0, 0.0), (0, 4.0), (1, 10.0)], &[(0, 2.0), (1, 17.0), (1, 19.0)], 1, 3.0, 5.0);
}

#[test]
fn without_a_shift_the_raw_gap_grows_as_classes_shrink_and_the_size_matched_one_stays_at_0() {
    // From above to below: n ≥ 2t, the largest class cut to n, and again.
    let (data_sets, features, sizes, tests) = (60, 16, [200, 40, 4], 100);
    let mut rng = Seed(5).rng();
    let mut uniform = |sizes: [usize; 3]| {
        let labels: Vec<u32> =
            sizes.iter().enumerate().flat_map(|(class, &size)| vec![class as u32; size]).collect();
        let data = (0..labels.len() * features).map(|_| rng.unit_f32()).collect();
        (Matrix::new(data, labels.len(), features).unwrap(), labels)
    };
    let (mut raw, mut null, mut size_matched) = ([0.0; 3], [0.0; 3], [0.0; 3]);
    for seed in 0..data_sets {
        let (real, real_labels) = uniform(sizes);
        let (test, test_labels) = uniform([tests; 3]);
        let real = Labelled { matrix: real.view(), labels: &real_labels };
        let test = Labelled { matrix: test.view(), labels: &test_labels };
        let gap = generalization_gap(real, real, test, 3, 10, Seed(seed)).unwrap();
        for class in 0..3 {
            raw[class] += gap.raw[class] / data_sets as f64;
            null[class] += gap.null[class] / data_sets as f64;
            size_matched[class] += gap.size_matched[class] / data_sets as f64;
        }
    }
    assert!(raw[1] > 4.0 * raw[0] && raw[2] > 4.0 * raw[1], "{raw:?}");
    for class in 0..3 {
        assert!(size_matched[class].abs() < 0.1 * null[class], "{size_matched:?} of {null:?}");
    }
}

#[test]
fn the_seed_decides_and_means_are_over_classes() {
    let rows: Vec<(u32, f32)> = (0..60_u8).map(|row| (u32::from(row % 2), f32::from(row).sin())).collect();
    let draw = |seed| {
        let (labels, values): (Vec<u32>, Vec<f32>) = rows.iter().copied().unzip();
        let rows = Labelled { matrix: MatrixView::new(&values, 60, 1, 1).unwrap(), labels: &labels };
        let test = Labelled { matrix: MatrixView::new(&values, 20, 1, 1).unwrap(), labels: &labels[..20] };
        generalization_gap(rows, rows, test, 2, 10, Seed(seed)).unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1).null, draw(2).null);

    let gap = Gap {
        raw: vec![1.0, 3.0],
        null: vec![0.5, 1.5],
        size_matched: vec![-1.0, 4.0],
        spread: vec![3.0, 4.0],
        null_source: vec![NullSource::HeldOut, NullSource::LargestClass],
        columns: 1,
    };
    let means = [gap.mean_raw(), gap.mean_null(), gap.mean_size_matched(), gap.mean_spread()];
    assert_eq!(means, [2.0, 1.0, 1.5, 2.5]);
    let json = serde_json::to_string(&gap).unwrap();
    assert!(json.contains(r#""null_source":["held-out","largest-class"]"#), "{json}");
    assert_eq!(serde_json::from_str::<Gap>(&json).unwrap(), gap);
}

#[test]
fn what_has_no_gap_is_an_error() {
    use GapError::*;
    let (real, test): (Rows, Rows) = (&[(0, 1.0), (0, 2.0), (1, 3.0)], &[(0, 1.0), (1, 2.0)]);
    let check = |reference: Rows, real: Rows, test: Rows, draws, expected| {
        assert_eq!(gap(reference, real, test, 2, draws), Err(expected));
    };
    check(real, real, test, 0, NoDraws);
    check(&real[..2], real, test, 1, EmptyClass { class: 1, part: Part::Reference });
    check(real, &real[2..], test, 1, EmptyClass { class: 0, part: Part::Real });
    check(real, real, &test[..1], 1, EmptyClass { class: 1, part: Part::Test });
    check(real, &real[1..], test, 1, NoNull { class: 0 });
    check(real, real, &[(0, 1.0), (7, 2.0)], 1, Label { part: Part::Test, row: 1, label: 7, classes: 2 });
    let infinite = [(0, 1.0), (1, f32::INFINITY)];
    let not_finite = NotFinite { part: Part::Test, row: 1, column: 0, value: f32::INFINITY };
    check(real, real, &infinite, 1, not_finite);

    let matrix = |cols| MatrixView::new(&[0.0; 8], 2, cols, cols).unwrap();
    let all = |real: Labelled<'_>| {
        let test = Labelled { matrix: matrix(4), labels: &[0, 0] };
        generalization_gap(test, real, test, 1, 1, Seed(0))
    };
    let narrow = all(Labelled { matrix: matrix(3), labels: &[0, 0] });
    assert_eq!(narrow, Err(Columns { part: Part::Real, columns: 3, test: 4 }));
    let short = all(Labelled { matrix: matrix(4), labels: &[0] });
    assert_eq!(short, Err(Labels { part: Part::Real, rows: 2, labels: 1 }));
}
