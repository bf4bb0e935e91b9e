use super::*;

#[test]
fn requests_that_do_not_fit_are_refused_by_every_sampler() {
    let check = |example: Example, message: &str| {
        for sampler in every() {
            assert_eq!(example.make(&*sampler).unwrap_err().to_string(), message);
        }
    };
    let rows = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
    check(
        Example::new(&rows, &[0, 1], &[0, 1]),
        "there are 2 labels for 3 rows of embeddings; give every row one label",
    );
    check(
        Example::new(&rows, &[0, 1, 2], &[0, 1]),
        "row 2 has the label 2, but there are 2 classes, numbered from 0",
    );
    check(
        Example::new(&rows, &[0, 0, 2], &[0, 4, 1]),
        "class 1 has 0 samples, but 4 are wanted; a class needs at least 1 to be over-sampled",
    );
    check(
        Example::new(&[[0.0, 1.0], [2.0, f32::NAN]], &[0, 1], &[0, 1]),
        "NaN in embeddings at row 1, column 1; values must be finite and within ±1.7e38",
    );
    check(
        Example::new::<0>(&[[], []], &[0, 1], &[0, 1]),
        "the embeddings have 0 columns; at least 1 is needed",
    );
}

#[test]
fn outputs_that_do_not_fit_are_refused() {
    let (mut values, mut labels, mut provenance) = ([0.0; 8], [0; 3], [Provenance::default(); 3]);
    let rows = Output::new(&mut values, 2, 2, &mut labels, &mut provenance[..2]).unwrap_err();
    assert_eq!(rows, OutputError::Rows { labels: 3, provenance: 2 });
    for (cols, stride) in [(3, 3), (2, 1), (2, usize::MAX)] {
        let features = Output::new(&mut values, cols, stride, &mut labels, &mut provenance).unwrap_err();
        assert_eq!(features, OutputError::Features { len: 8, rows: 3, cols, stride });
    }
    let example = Example::new(&[[0.0], [1.0]], &[0, 1], &[0, 3]);
    let (features, labels_in) = (example.features.view(), &example.labels[..]);
    for wanted in [&[0, 2][..], &[1, 3], &[u64::MAX, 4]] {
        let output = Output::new(&mut values, 1, 1, &mut labels, &mut provenance).unwrap();
        let request = Request { features, labels: labels_in, wanted, seed: Seed(0) };
        let refused = random(&request, &Random::default(), output, &Unattended);
        assert!(matches!(refused, Err(SamplingError::OutputShape { rows: 3, .. })), "{wanted:?}");
    }
}

#[test]
fn defaults_pass_their_own_checks_and_the_rest_is_named() {
    assert_eq!(Eos::try_from(EosParams::default()), Ok(Eos::default()));
    assert_eq!(Smote::try_from(SmoteParams::default()), Ok(Smote::default()));
    assert_eq!(Random::try_from(RandomParams::default()), Ok(Random::default()));
    let eos = |params: EosParams| Eos::try_from(params).unwrap_err().to_string();
    let k_neighbors = EosParams { k_neighbors: 0, ..EosParams::default() };
    assert_eq!(eos(k_neighbors), "k_neighbors of eos is 0; it must be at least 1");
    for r_max in [0.0, 1.5, f32::NAN] {
        let message = format!("r_max of eos is {r_max}; it must be above 0 and at most 1");
        assert_eq!(eos(EosParams { r_max, ..EosParams::default() }), message);
    }
    assert!(Smote::try_from(SmoteParams { k_neighbors: 0, ..SmoteParams::default() }).is_err());
    assert!(Random::try_from(RandomParams { shrinkage: Some(-0.5) }).is_err());
    assert!(Random::try_from(RandomParams { shrinkage: Some(f32::INFINITY) }).is_err());
    assert!(serde_json::from_str::<EosParams>(r#"{"k_neighbours": 3}"#).is_err());
    assert_eq!(serde_json::from_str::<EosParams>("{}").unwrap(), EosParams::default());
}
