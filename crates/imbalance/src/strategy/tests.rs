use super::*;

fn synthetic(strategy: &str, present: &[u64]) -> Result<Vec<u64>, StrategyError> {
    strategy.parse::<SamplingStrategy>()?.synthetic(&ClassCounts::new(present.to_vec()))
}

#[test]
fn synthetic_counts_are_those_of_imbalanced_learn() {
    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        strategy: SamplingStrategy,
        counts: Vec<u64>,
        synthetic: Vec<u64>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../../golden/strategies.json")).unwrap();
    assert!(!golden.cases.is_empty());
    for Case { strategy, counts, synthetic } in golden.cases {
        assert_eq!(strategy.synthetic(&ClassCounts::new(counts)), Ok(synthetic), "{strategy}");
    }
}

#[test]
fn ratios_raise_only_what_lies_below() {
    let check = |strategy, present: &[u64], expected: &[u64]| {
        assert_eq!(synthetic(strategy, present).as_deref(), Ok(expected), "{strategy}");
    };
    check("0.5", &[9, 5, 4, 1], &[0, 0, 1, 4]);
    check("0.55", &[100, 54, 56], &[0, 1, 0]);
    check("1", &[3, 2], &[0, 1]);
    check("1e-9", &[3, 2], &[0, 0]);
    check("0.5", &[], &[]);
}

#[test]
fn empty_classes_are_an_error_only_when_they_need_rows() {
    let empty = |class, wanted| Err(StrategyError::Empty { class, wanted });
    assert_eq!(synthetic("not-majority", &[5, 0, 2]), empty(1, 5));
    assert_eq!(synthetic("minority", &[5, 0, 2]), empty(1, 5));
    assert_eq!(synthetic("0.3", &[5, 0, 2]), empty(1, 2));
    assert_eq!(synthetic("[5, 1, 2]", &[5, 0, 2]), empty(1, 1));
    assert_eq!(synthetic("not-minority", &[5, 0, 2]), Ok(vec![0, 0, 3]));
    assert_eq!(synthetic("[5, 0, 4]", &[5, 0, 2]), Ok(vec![0, 0, 2]));
    assert_eq!(synthetic("all", &[0, 0]), Ok(vec![0, 0]));
}

#[test]
fn what_cannot_be_met_or_read_is_an_error() {
    let check = |strategy, expected| assert_eq!(synthetic(strategy, &[5, 3]), Err(expected));
    check("[5, 2]", StrategyError::Below { class: 1, have: 3, wanted: 2 });
    check("[5]", StrategyError::Length { given: 1, classes: 2 });
    check("0", StrategyError::Ratio { ratio: 0.0 });
    check("1.5", StrategyError::Ratio { ratio: 1.5 });
    check("majority", StrategyError::Unknown { text: "majority".into() });
    check("5,x", StrategyError::Unknown { text: "5,x".into() });
    assert!(matches!(synthetic("NaN", &[5, 3]), Err(StrategyError::Ratio { .. })));
    let unchecked = SamplingStrategy::Ratio(2.0).synthetic(&ClassCounts::new(vec![1]));
    assert_eq!(unchecked, Err(StrategyError::Ratio { ratio: 2.0 }));
}

#[test]
fn written_forms_round_trip_in_toml_and_text() {
    #[derive(Serialize, Deserialize)]
    struct Table {
        sampling_strategy: SamplingStrategy,
    }
    let check = |value: &str, expected: SamplingStrategy| {
        let text = format!("sampling_strategy = {value}\n");
        let table: Table = toml::from_str(&text).unwrap();
        assert_eq!(table.sampling_strategy, expected);
        assert_eq!(toml::to_string(&table).unwrap(), text);
        assert_eq!(expected.to_string().parse(), Ok(expected));
    };
    check("\"not-majority\"", SamplingStrategy::default());
    check("\"minority\"", SamplingStrategy::Minority);
    check("\"not-minority\"", SamplingStrategy::NotMinority);
    check("\"all\"", SamplingStrategy::All);
    check("0.5", SamplingStrategy::Ratio(0.5));
    check("[50, 40]", SamplingStrategy::Counts(vec![50, 40]));
    assert_eq!("50,40".parse(), Ok(SamplingStrategy::Counts(vec![50, 40])));

    let refused = |value: &str, part: &str| {
        let error = toml::from_str::<Table>(&format!("sampling_strategy = {value}")).err().unwrap();
        assert!(error.message().contains(part), "{error}");
    };
    refused("2", "above 0 and at most 1");
    refused("\"some\"", "use one of not-majority, minority, not-minority, all");
    refused("[-1]", "a name, a ratio in (0, 1] or a list");
}
