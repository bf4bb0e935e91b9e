//! What every sampler must do, and must refuse.

mod approximate;
mod every_sampler;
mod refusals;

use expanse_domain::{Matrix, Provenance, Seed};

use crate::*;

pub(crate) type Sampler =
    dyn Fn(&Request<'_>, Output<'_>, &dyn Control) -> Result<Report, SamplingError> + Sync;

pub(crate) struct Example {
    pub(crate) features: Matrix,
    pub(crate) labels: Vec<u32>,
    pub(crate) wanted: Vec<u64>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) rows: Vec<Vec<f32>>,
    pub(crate) labels: Vec<u32>,
    pub(crate) provenance: Vec<Provenance>,
    pub(crate) report: Report,
}

impl Example {
    pub(crate) fn new<const COLS: usize>(rows: &[[f32; COLS]], labels: &[u32], wanted: &[u64]) -> Self {
        let features = Matrix::new(rows.concat(), rows.len(), COLS).unwrap();
        Self { features, labels: labels.to_vec(), wanted: wanted.to_vec() }
    }

    /// 60, 12 and 6 overlapping rows of 3 columns, some of them equal.
    fn imbalanced() -> Self {
        let mut rng = Seed(5).rng();
        let rows: Vec<[f32; 3]> =
            (0..78).map(|_| std::array::from_fn(|_| rng.index(9) as f32 / 3.0)).collect();
        let mut labels = [vec![0; 60], vec![1; 12], vec![2; 6]].concat();
        rng.shuffle(&mut labels);
        Self::new(&rows, &labels, &[0, 700, 55])
    }

    pub(crate) fn make(&self, sampler: &Sampler) -> Result<Made, SamplingError> {
        self.make_watched(sampler, &Unattended)
    }

    fn make_watched(&self, sampler: &Sampler, control: &dyn Control) -> Result<Made, SamplingError> {
        let (rows, cols) = (self.wanted.iter().sum::<u64>() as usize, self.features.cols());
        let stride = cols + 2;
        let mut features = vec![PADDING; rows * stride + 1];
        let (mut labels, mut provenance) = (vec![u32::MAX; rows], vec![Provenance::default(); rows]);
        let output = Output::new(&mut features, cols, stride, &mut labels, &mut provenance).unwrap();
        let (features_in, labels_in) = (self.features.view(), &self.labels[..]);
        let request =
            Request { features: features_in, labels: labels_in, wanted: &self.wanted, seed: Seed(9) };
        let report = sampler(&request, output, control)?;
        let rows = features.chunks_exact(stride).map(|row| row[..cols].to_vec()).collect();
        let mut between = features.chunks(stride).flat_map(|row| row.iter().skip(cols));
        assert!(between.all(|&value| value == PADDING) && *features.last().unwrap() == PADDING);
        Ok(Made { rows, labels, provenance, report })
    }
}

const PADDING: f32 = -12345.0;

pub(crate) fn with_eos(params: EosParams) -> Box<Sampler> {
    let params = Eos::try_from(params).unwrap();
    Box::new(move |request, output, control| eos(request, &params, output, control))
}

pub(crate) fn with_smote(params: SmoteParams) -> Box<Sampler> {
    let params = Smote::try_from(params).unwrap();
    Box::new(move |request, output, control| smote(request, &params, output, control))
}

pub(crate) fn with_random(params: RandomParams) -> Box<Sampler> {
    let params = Random::try_from(params).unwrap();
    Box::new(move |request, output, control| random(request, &params, output, control))
}

pub(crate) fn with_borderline(params: BorderlineParams) -> Box<Sampler> {
    let params = Borderline::try_from(params).unwrap();
    Box::new(move |request, output, control| borderline_smote(request, &params, output, control))
}

pub(crate) fn with_adasyn(params: AdasynParams) -> Box<Sampler> {
    let params = Adasyn::try_from(params).unwrap();
    Box::new(move |request, output, control| adasyn(request, &params, output, control))
}

pub(crate) fn with_mixup(params: MixupParams) -> Box<Sampler> {
    let params = Mixup::try_from(params).unwrap();
    Box::new(move |request, output, control| mixup(request, &params, output, control))
}

pub(crate) fn with_remix(params: RemixParams) -> Box<Sampler> {
    let params = Remix::try_from(params).unwrap();
    Box::new(move |request, output, control| remix(request, &params, output, control))
}

/// Every sampler whose rows lie where their provenance says.
fn between() -> Vec<Box<Sampler>> {
    vec![
        with_eos(EosParams::default()),
        with_eos(EosParams { compat: true, ..EosParams::default() }),
        with_eos(EosParams { r_max: 0.3, k_neighbors: 3, ..EosParams::default() }),
        with_eos(EosParams { enemy_weights: EnemyWeights::Distance, ..EosParams::default() }),
        with_smote(SmoteParams::default()),
        with_borderline(BorderlineParams::default()),
        with_borderline(BorderlineParams {
            kind: BorderlineKind::Borderline2,
            ..BorderlineParams::default()
        }),
        with_adasyn(AdasynParams::default()),
        with_mixup(MixupParams::default()),
        with_remix(RemixParams { tau: 0.7, ..RemixParams::default() }),
        with_random(RandomParams::default()),
    ]
}

fn every() -> Vec<Box<Sampler>> {
    let mut samplers = between();
    samplers.push(with_random(RandomParams { shrinkage: Some(0.5) }));
    samplers
}
