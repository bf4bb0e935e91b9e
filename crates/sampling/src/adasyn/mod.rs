mod params;

pub use params::{Adasyn, AdasynParams, AdasynParamsError};

use crate::{
    Control, Meter, Note, Output, Place, Report, Request, SamplingError, Surroundings, Within, apportion,
    fill_steps,
};

/// ADASYN: SMOTE in which a sample is the base of more rows the more enemies surround it.
///
/// Of the K nearest neighbours of sample i among the samples of all classes, eᵢ are of another class. Sample i is the
/// base of gᵢ = n eᵢ / Σe of the n rows wanted of its class, in whole numbers (see [`apportion`]); the partner is one
/// of its K nearest neighbours *within the class*, drawn uniformly, and r uniform in [0, 1). Source: He, Bai, Garcia,
/// Li, *ADASYN: Adaptive Synthetic Sampling Approach for Imbalanced Learning*, IJCNN 2008, as in imbalanced-learn,
/// which makes the sum of the rounded gᵢ and not n rows.
///
/// K is lowered where there are fewer samples. In a class where no sample has an enemy near, which imbalanced-learn
/// refuses, every sample is the base of as many rows. The report notes both.
///
/// # Errors
///
/// The request or the output does not fit, rows are wanted of a class with one sample, or the caller cancelled.
pub fn adasyn(
    request: &Request<'_>,
    params: &Adasyn,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, 2 * request.samples(&members) + request.total());
    let (option, asked, index) = ("n_neighbors", params.n_neighbors(), params.neighbors());
    let within = Within { sampler: "adasyn", option, k_neighbors: asked, index };
    let mut notes = Vec::new();
    let mut bases = vec![Vec::new(); members.len()];
    // By class: the number of the first row that each base does not make.
    let mut ends: Vec<Vec<u64>> = vec![Vec::new(); members.len()];
    for class in request.classes() {
        let samples = &members[class];
        bases[class] = within.bases(request, (class, samples, samples), &meter, &mut notes)?;
        let around = Surroundings::of(request, (class, samples), (option, asked, index), &meter, &mut notes)?;
        let mut shares: Vec<f64> = around.enemies().iter().map(|&enemies| enemies as f64).collect();
        if shares.iter().all(|&share| share == 0.0) {
            let message = "no sample has an enemy near, so every sample is a base of as many rows";
            notes.push(Note::new(class, message));
            shares.fill(1.0);
        }
        let mut end = 0;
        let counts = apportion(&shares, request.wanted[class]).into_iter();
        ends[class] = counts
            .map(|count| {
                end += count;
                end
            })
            .collect();
    }
    let enemy_share = fill_steps(request, "adasyn", output, &meter, |Place { class, number }, rng| {
        let base = ends[class].partition_point(|&end| end <= number);
        bases[class][base].step(rng, |rng| rng.unit_f32())
    })?;
    Ok(Report { notes, enemy_share })
}

#[cfg(test)]
mod tests;
