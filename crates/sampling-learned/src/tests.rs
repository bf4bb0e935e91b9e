//! What the tests of this crate share, and what every sampler of it must do.

use expanse_domain::{Matrix, Provenance, Seed};
use expanse_sampling::{Control, Output, Report, Request, SamplingError, Unattended};

use crate::*;

pub(crate) type Sampler =
    dyn Fn(&Request<'_>, Output<'_>, &dyn Control) -> Result<Report, SamplingError> + Sync;

pub(crate) fn with_svm_smote(params: SvmSmoteParams) -> Box<Sampler> {
    let params = SvmSmote::try_from(params).unwrap();
    Box::new(move |request, output, control| svm_smote(request, &params, output, control))
}

pub(crate) fn with_svm_balance(params: SvmBalanceParams) -> Box<Sampler> {
    let params = SvmBalance::try_from(params).unwrap();
    Box::new(move |request, output, control| svm_balance(request, &params, output, control))
}

pub(crate) fn with_kmeans_smote(params: KmeansSmoteParams) -> Box<Sampler> {
    let params = KmeansSmote::try_from(params).unwrap();
    Box::new(move |request, output, control| kmeans_smote(request, &params, output, control))
}

fn every() -> Vec<Box<Sampler>> {
    vec![
        with_svm_smote(SvmSmoteParams::default()),
        with_svm_smote(SvmSmoteParams { svm_rows: 20, ..SvmSmoteParams::default() }),
        with_svm_balance(SvmBalanceParams::default()),
        with_kmeans_smote(KmeansSmoteParams::default()),
    ]
}

#[derive(Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) rows: Matrix,
    pub(crate) labels: Vec<u32>,
    pub(crate) provenance: Vec<Provenance>,
    pub(crate) report: Report,
}

pub(crate) fn make(
    rows: &[Vec<f32>],
    labels: &[u32],
    wanted: &[u64],
    sampler: &Sampler,
) -> Result<Made, SamplingError> {
    let features = Matrix::new(rows.concat(), rows.len(), rows[0].len()).unwrap();
    let total = wanted.iter().sum::<u64>() as usize;
    let mut made = Matrix::zeros(total, features.cols());
    let (mut made_labels, mut provenance) = (vec![u32::MAX; total], vec![Provenance::default(); total]);
    let cols = features.cols();
    let output = Output::new(made.as_mut_slice(), cols, cols, &mut made_labels, &mut provenance).unwrap();
    let request = Request { features: features.view(), labels, wanted, seed: Seed(4) };
    let report = sampler(&request, output, &Unattended)?;
    Ok(Made { rows: made, labels: made_labels, provenance, report })
}

/// 60, 14 and 7 overlapping rows of 3 columns, some of them equal.
fn imbalanced() -> (Vec<Vec<f32>>, Vec<u32>) {
    let mut rng = Seed(6).rng();
    let labels = [vec![0; 60], vec![1; 14], vec![2; 7]].concat();
    let value = |rng: &mut expanse_domain::Rng, label: u32| (rng.index(9) + label as usize) as f32 / 3.0;
    let rows = labels.iter().map(|&label| (0..3).map(|_| value(&mut rng, label)).collect()).collect();
    (rows, labels)
}

#[test]
fn counts_are_exact_rows_lie_at_their_provenance_and_threads_do_not_matter() {
    let (rows, labels) = imbalanced();
    for (number, sampler) in every().iter().enumerate() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| make(&rows, &labels, &[0, 300, 41], &**sampler).unwrap())
        };
        let made = on(1);
        assert_eq!(made, on(3), "sampler {number}");
        assert_eq!(made.labels, [vec![1; 300], vec![2; 41]].concat(), "sampler {number}");
        for (row, from) in made.provenance.iter().enumerate() {
            assert_eq!(labels[from.base as usize], made.labels[row], "sampler {number}");
            // What steps away from a partner tells its base alone.
            if from.partner == from.base {
                assert!(number < 2 && from.r == 0.0, "sampler {number}");
                continue;
            }
            let ends = rows[from.base as usize].iter().zip(&rows[from.partner as usize]);
            let expected: Vec<f32> = ends.map(|(base, partner)| base + from.r * (partner - base)).collect();
            assert_eq!(made.rows.row(row), expected, "sampler {number}");
            assert!((0.0..1.0).contains(&from.r), "sampler {number}");
        }
    }
}

#[test]
fn equal_rows_and_single_samples_are_no_panic() {
    let equal = vec![vec![1.0, 2.0]; 12];
    for sampler in every() {
        let made = make(&equal, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1], &[0, 9], &*sampler).unwrap();
        assert!(made.rows.as_slice().chunks(2).all(|row| row == [1.0, 2.0]));
        let single = make(&equal, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[0, 9], &*sampler).unwrap_err();
        assert!(matches!(single, SamplingError::SingleSample { class: 1, .. }), "{single}");
        assert_eq!(make(&equal, &[0; 12], &[0], &*sampler).unwrap().labels, [0; 0]);
    }
}

#[test]
fn cancelling_is_heard() {
    struct Impatient;
    impl Control for Impatient {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let (rows, labels) = imbalanced();
    for sampler in every() {
        let impatient: Box<Sampler> =
            Box::new(move |request, output, _| sampler(request, output, &Impatient));
        assert_eq!(make(&rows, &labels, &[0, 30, 4], &*impatient), Err(SamplingError::Cancelled));
    }
}

#[test]
fn options_out_of_range_are_named() {
    let svm = |params: SvmSmoteParams| SvmSmote::try_from(params).unwrap_err().to_string();
    let params = SvmSmoteParams::default;
    assert_eq!(
        svm(SvmSmoteParams { out_step: 1.5, ..params() }),
        "out_step of svm-smote is 1.5; it must be above 0 and at most 1"
    );
    assert!(svm(SvmSmoteParams { svm_rows: 3, ..params() }).starts_with("svm_rows of svm-smote is 3"));
    assert!(svm(SvmSmoteParams { svm_c: f64::NAN, ..params() }).starts_with("svm_c of svm-smote"));
    let kmeans = |json| KmeansSmote::try_from(serde_json::from_str::<KmeansSmoteParams>(json).unwrap());
    assert!(kmeans(r#"{"cluster_balance_threshold": "auto", "density_exponent": 2}"#).is_ok());
    let refused = kmeans(r#"{"cluster_balance_threshold": 2}"#).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cluster_balance_threshold of kmeans-smote is 2; it must be in [0, 1], or `auto`"
    );
    let error = serde_json::from_str::<KmeansSmoteParams>(r#"{"density_exponent": "x"}"#).unwrap_err();
    assert!(error.to_string().contains("expected a number or `auto`"), "{error}");
}
