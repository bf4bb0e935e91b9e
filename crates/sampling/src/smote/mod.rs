mod params;

pub use params::{Smote, SmoteParams, SmoteParamsError};

use rayon::prelude::*;

use crate::{Control, Meter, Output, Report, Request, SamplingError, Within, fill_between};

/// SMOTE: synthetic = base + r · (neighbour − base), all of one class.
///
/// For each row a sample of the class is drawn uniformly with replacement, one of its K nearest neighbours
/// *within the class* uniformly (itself excluded by row number), and r uniformly from [0, 1). Source: Chawla,
/// Bowyer, Hall, Kegelmeyer, *SMOTE: Synthetic Minority Over-sampling Technique*, JAIR 16 (2002), as in
/// imbalanced-learn.
///
/// For a class of n ≤ K samples K is lowered to n − 1, which the report notes.
///
/// # Errors
///
/// The request or the output does not fit, rows are wanted of a class with one sample, or the caller
/// cancelled.
pub fn smote(
    request: &Request<'_>,
    params: &Smote,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, request.samples(&members) + request.total());
    let (k_neighbors, index) = (params.k_neighbors(), params.neighbors());
    let within = Within { sampler: "smote", option: "k_neighbors", k_neighbors, index };
    let mut notes = Vec::new();
    let mut bases = vec![Vec::new(); members.len()];
    // Classes side by side: many are too small to keep all cores busy.
    let classes: Vec<usize> = request.classes().collect();
    let found = classes.par_iter().map(|&class| {
        let (samples, mut notes) = (&members[class][..], Vec::new());
        (within.bases(request, (class, samples, samples), &meter, &mut notes), notes)
    });
    for (&class, (of_class, of_notes)) in classes.iter().zip(found.collect::<Vec<_>>()) {
        bases[class] = of_class?;
        notes.extend(of_notes);
    }
    let enemy_share = fill_between(request, "smote", &bases, output, &meter)?;
    Ok(Report { notes, enemy_share })
}

#[cfg(test)]
mod tests;
