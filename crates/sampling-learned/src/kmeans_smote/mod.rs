mod params;

use std::collections::HashSet;

use expanse_sampling::{
    Base, Control, Index, Meter, Note, Output, Place, Report, Request, SamplingError, Within, apportion,
    fill_steps,
};
use linfa::{
    DatasetBase,
    traits::{Fit, Predict},
};
use linfa_clustering::KMeans;
pub use params::{Auto, Automatic, KmeansSmote, KmeansSmoteParams};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rayon::prelude::*;

use crate::points::points;

/// k-means-SMOTE: SMOTE within clusters, more rows in those where the class is sparse.
///
/// All samples are clustered by k-means (Lloyd, from one k-means++ start). A cluster takes part in the over-sampling of
/// a class if the share of the class among its samples is at least `cluster_balance_threshold`, and if it has more than
/// K samples of the class. With n of them at a mean distance of D from one another, its sparsity is D^e / n, and its
/// rows are in proportion to that; e is `density_exponent`, by default 0.16 (ln n / ln 1.6)^1.8. Each row is one of
/// SMOTE among the samples of the class in the cluster. Source: Douzas, Bacao, Last, *Improving imbalanced learning
/// through a heuristic oversampling method based on k-means and SMOTE*, Information Sciences 465 (2018), as in
/// imbalanced-learn, whose clusters are those of mini-batches and whose rounding makes some rows more.
///
/// The threshold is by default half the share that the class has of all rows wanted, as in imbalanced-learn: so it
/// depends on what is wanted of other classes. Of a class for which no cluster takes part, which imbalanced-learn
/// refuses, rows are made as by SMOTE; K is lowered for tiny classes as there. The report notes both.
///
/// # Errors
///
/// The request or the output does not fit, rows are wanted of a class with one sample, the samples cannot be clustered,
/// or the caller cancelled.
pub fn kmeans_smote(
    request: &Request<'_>,
    params: &KmeansSmote,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, request.samples(&members) + request.total());
    let mut notes = Vec::new();
    let mut groups: Vec<Groups> = members.iter().map(|_| Groups::default()).collect();
    if let Some(single) = request.classes().find(|&class| members[class].len() < 2) {
        return Err(SamplingError::SingleSample { class: single as u32, sampler: NAME });
    }
    if let Some(first) = request.classes().next() {
        let clusters = clusters(request, params, first)?;
        for class in request.classes() {
            groups[class] =
                groups_of(request, params, (&clusters, class, &members[class]), &meter, &mut notes)?;
            meter.advance(members[class].len())?;
        }
    }
    let enemy_share = fill_steps(request, NAME, output, &meter, |Place { class, number }, rng| {
        let Groups { bases, ends } = &groups[class];
        let bases = &bases[ends.partition_point(|&end| end <= number)];
        bases[rng.index(bases.len())].step(rng, |rng| rng.unit_f32())
    })?;
    Ok(Report { notes, enemy_share })
}

const NAME: &str = "kmeans-smote";

/// The samples of a class by cluster, with the number of the first row that each cluster does not make.
#[derive(Default)]
struct Groups {
    bases: Vec<Vec<Base>>,
    ends: Vec<u64>,
}

fn groups_of(
    request: &Request<'_>,
    params: &KmeansSmote,
    (clusters, class, members): (&[Vec<usize>], usize, &[usize]),
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Groups, SamplingError> {
    let (k_neighbors, index) = (params.k_neighbors(), Index::Exact);
    let within = Within { sampler: NAME, option: "k_neighbors", k_neighbors, index };
    let k = params.k_neighbors().min(members.len() - 1);
    let threshold = params.threshold(request.wanted[class] as f64 / request.total() as f64);
    let of_class = |cluster: &Vec<usize>| -> Vec<usize> {
        cluster.iter().copied().filter(|&row| request.labels[row] as usize == class).collect()
    };
    let takes_part = |(all, own): &(usize, Vec<usize>)| {
        !own.is_empty() && own.len() as f64 / *all as f64 >= threshold && own.len() > k
    };
    let candidates = clusters.iter().map(|cluster| (cluster.len(), of_class(cluster)));
    let mut taking_part: Vec<Vec<usize>> = candidates.filter(takes_part).map(|(_, own)| own).collect();
    if taking_part.is_empty() {
        notes.push(Note::new(class, "no cluster holds enough of the class, so rows are made as by smote"));
        taking_part = vec![members.to_vec()];
    }
    let sparsities: Vec<f64> =
        taking_part.iter().map(|own| log_sparsity(request, own, params.density_exponent())).collect();
    let counts = apportion(&proportions(&sparsities), request.wanted[class]);
    let mut end = 0;
    let mut groups = Groups::default();
    for (own, count) in taking_part.iter().zip(counts) {
        end += count;
        groups.ends.push(end);
        // The same is to note of every cluster.
        let notes = if groups.bases.is_empty() { &mut *notes } else { &mut Vec::new() };
        groups.bases.push(within.bases(request, (class, own, own), &meter.uncounted(), notes)?);
    }
    Ok(groups)
}

/// The rows of each cluster that has any.
fn clusters(
    request: &Request<'_>,
    params: &KmeansSmote,
    first: usize,
) -> Result<Vec<Vec<usize>>, SamplingError> {
    let features = request.features;
    let bits = |row: usize| features.row(row).iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    // More clusters than different rows would be the same ones again.
    let mut different = HashSet::new();
    let enough = (0..features.rows()).any(|row| {
        different.insert(bits(row));
        different.len() >= params.clusters()
    });
    let count = if enough { params.clusters() } else { different.len() };
    let rows: Vec<usize> = (0..features.rows()).collect();
    let rng = ChaCha8Rng::seed_from_u64(request.seed.derive("kmeans-smote-clusters", &[]).0);
    let model = KMeans::params_with_rng(count, rng).n_runs(1).max_n_iterations(300).tolerance(1e-4);
    let dataset = DatasetBase::from(points(features, &rows));
    let model = model.fit(&dataset).map_err(|error| SamplingError::Model {
        class: first as u32,
        model: "clustering",
        sampler: NAME,
        message: error.to_string(),
    })?;
    let mut clusters = vec![Vec::new(); count];
    for (row, &cluster) in model.predict(&dataset).iter().enumerate() {
        clusters[cluster].push(row);
    }
    clusters.retain(|rows| !rows.is_empty());
    Ok(clusters)
}

/// ln (D^e / n) for n rows at a mean distance of D from one another; −∞ where they are all equal.
fn log_sparsity(request: &Request<'_>, rows: &[usize], exponent: Option<f64>) -> f64 {
    let n = rows.len() as f64;
    let distance = |a: usize, b: usize| {
        let pairs = request.features.row(a).iter().zip(request.features.row(b));
        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
    };
    let to_others = |&row: &usize| rows.iter().map(|&other| distance(row, other)).sum::<f64>();
    // Summed in the order of rows, so that the number of threads does not matter.
    let sums: Vec<f64> = rows.par_iter().map(to_others).collect();
    let mean = sums.iter().sum::<f64>() / (n * (n - 1.0));
    let exponent = exponent.unwrap_or_else(|| 0.16 * (n.ln() / 1.6_f64.ln()).powf(1.8));
    if mean > 0.0 { exponent * mean.ln() - n.ln() } else { f64::NEG_INFINITY }
}

/// Numbers in proportion to the exponentials of `logs`, which alone could leave the range of a number; all alike where
/// every one is 0.
fn proportions(logs: &[f64]) -> Vec<f64> {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let part = |&log: &f64| if largest.is_finite() { (log - largest).exp() } else { 1.0 };
    logs.iter().map(part).collect()
}

#[cfg(test)]
mod tests;
