mod params;

use expanse_neighbors::{Search, nearest};
pub use params::{Smote, SmoteParams, SmoteParamsError};

use crate::{
    Control, Note, Output, Report, Request, SamplingError,
    control::Meter,
    fill::{Base, fill_between},
};

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
    let searched: usize = request.classes().map(|class| members[class].len()).sum();
    let meter = Meter::new(control, searched as u64 + request.total());
    let mut notes = Vec::new();
    let mut bases = vec![Vec::new(); members.len()];
    for class in request.classes() {
        bases[class] = bases_within(request, params, (class as u32, &members[class]), &meter, &mut notes)?;
    }
    let enemy_share = fill_between(request, "smote", (&bases, 1.0), output, &meter)?;
    Ok(Report { notes, enemy_share })
}

/// Every sample of the class, with its nearest neighbours in the class.
fn bases_within(
    request: &Request<'_>,
    params: &Smote,
    (class, members): (u32, &[usize]),
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Base>, SamplingError> {
    if members.len() < 2 {
        return Err(SamplingError::SingleSample { class });
    }
    let asked = params.k_neighbors();
    let k = asked.min(members.len() - 1);
    if k < asked {
        let message = format!("k_neighbors was lowered from {asked} to {k}: the class has {} samples", k + 1);
        notes.push(Note { class, message });
    }
    let watch = |answered| meter.watch(answered);
    let search = Search { candidates: Some(members), watch: &watch, ..Search::of(request.features) };
    let neighbors = nearest(&search, members, k)?;
    let base = |(place, &row): (usize, &usize)| Base { row, partners: neighbors.row(place).to_vec() };
    Ok(members.iter().enumerate().map(base).collect())
}

#[cfg(test)]
mod tests;
