use super::*;
use expanse_domain::Matrix;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    truth: Vec<u32>,
    probabilities: Vec<Vec<f32>>,
    training_counts: Vec<u64>,
    scores: Scores,
}

fn golden() -> Vec<Case> {
    serde_json::from_str::<Golden>(include_str!("../../golden/metrics.json")).unwrap().cases
}

fn score(truth: &[u32], probabilities: &[Vec<f32>], counts: &[u64]) -> Result<Scores, ScoresError> {
    let cols = probabilities.first().map_or(0, Vec::len);
    let matrix = Matrix::new(probabilities.concat(), probabilities.len(), cols).unwrap();
    scores(truth, matrix.view(), &ClassCounts::new(counts.to_vec()))
}

#[test]
fn scores_are_those_of_scikit_learn_and_imbalanced_learn() {
    let cases = golden();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let found = score(&case.truth, &case.probabilities, &case.training_counts).unwrap();
        assert_eq!(found.confusion, case.scores.confusion, "{}", case.name);
        let numbers = |scores: &Scores| {
            let Scores { accuracy, bac, gmean, gm_macro, fm, macro_precision, worst_recall, ece, .. } =
                *scores;
            let groups = [scores.many_recall, scores.medium_recall, scores.few_recall];
            let single = [accuracy, bac, gmean, gm_macro, fm, macro_precision, worst_recall, ece].map(Some);
            [&single[..], &groups, &scores.recall.iter().copied().map(Some).collect::<Vec<_>>()].concat()
        };
        for (place, pair) in numbers(&found).into_iter().zip(numbers(&case.scores)).enumerate() {
            match pair {
                (Some(found), Some(expected)) => {
                    assert!((found - expected).abs() < 1e-12, "{} [{place}]: {pair:?}", case.name);
                }
                _ => assert_eq!(pair, (None, None), "{} [{place}]", case.name),
            }
        }
    }
}

#[test]
fn on_a_balanced_truth_gm_macro_is_a_function_of_bac() {
    let mut balanced = 0;
    for Case { name, truth, probabilities, training_counts, .. } in golden() {
        let scores = score(&truth, &probabilities, &training_counts).unwrap();
        if scores.balanced_truth() {
            let others = (scores.recall.len() - 1) as f64;
            let gm_macro = (scores.bac * (1.0 - (1.0 - scores.bac) / others)).sqrt();
            assert!((scores.gm_macro - gm_macro).abs() < 1e-12, "{name}");
            assert!((scores.accuracy - scores.bac).abs() < 1e-12, "{name}");
            balanced += 1;
        }
    }
    assert_eq!(balanced, 4);
}

#[test]
fn a_thousand_low_recalls_do_not_underflow() {
    let classes = 1000;
    // Class c has two samples; only the first is found.
    let truth: Vec<u32> = (0..2 * classes).map(|row| row / 2).collect();
    let found = |row: u32| if row.is_multiple_of(2) { row / 2 } else { (row / 2 + 1) % classes };
    let one_hot = |class| (0..classes).map(|c| f32::from(u8::from(c == class))).collect();
    let probabilities: Vec<Vec<f32>> = (0..2 * classes).map(|row| one_hot(found(row))).collect();
    let scores = score(&truth, &probabilities, &[2; 1000]).unwrap();
    assert!((scores.gmean - 0.5).abs() < 1e-12);
}

#[test]
fn absent_groups_are_not_written() {
    let scores = score(&[0, 1], &[vec![1.0, 0.0], vec![1.0, 0.0]], &[101, 20]).unwrap();
    assert_eq!((scores.many_recall, scores.medium_recall, scores.few_recall), (Some(1.0), Some(0.0), None));
    let json = serde_json::to_string(&scores).unwrap();
    assert!(json.contains("\"medium_recall\":0.0") && !json.contains("few_recall"), "{json}");
    assert_eq!(serde_json::from_str::<Scores>(&json).unwrap(), scores);
}

#[test]
fn what_cannot_be_scored_is_an_error() {
    let check = |truth: &[u32], probabilities: &[Vec<f32>], counts: &[u64], expected| {
        assert_eq!(score(truth, probabilities, counts), Err(expected));
    };
    let row = vec![0.5, 0.5];
    check(&[], &[], &[], ScoresError::Empty { rows: 0, classes: 0 });
    check(&[0], std::slice::from_ref(&row), &[1; 3], ScoresError::Classes { counts: 3, classes: 2 });
    let logit = ScoresError::Probability { row: 1, class: 0, value: 2.0 };
    check(&[0, 1], &[row.clone(), vec![2.0, 0.0]], &[1; 2], logit);
    let lengths = ConfusionError::Lengths { truth: 2, predicted: 1 };
    check(&[0, 1], std::slice::from_ref(&row), &[1; 2], lengths.into());
    let nan = score(&[0, 1], &[row, vec![0.0, f32::NAN]], &[1; 2]).unwrap_err();
    assert!(matches!(nan, ScoresError::Probability { row: 1, class: 1, .. }), "{nan}");
}
