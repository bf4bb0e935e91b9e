mod params;

pub use params::{Borderline, BorderlineKind, BorderlineParams, BorderlineParamsError};

use crate::{
    Base, Control, Meter, Note, Output, Place, Report, Request, SamplingError, Surroundings, Within,
    fill_steps, surroundings::nearest_of_all, within::bases,
};

/// Borderline-SMOTE: SMOTE from the samples *in danger* alone.
///
/// A sample is in danger if at least half, but not all, of its M nearest neighbours among the samples of all classes
/// are of another class. For each row a sample in danger is drawn uniformly with replacement, one of its K nearest
/// neighbours uniformly, and
///
/// - `borderline-1`: the neighbours are those within the class, and r is uniform in [0, 1);
/// - `borderline-2`: the neighbours are those of all classes, and r is uniform in [0, 1) towards one of the class,
///   but u · v with u uniform in [0, 1) and v in [0, 0.5) towards one of another class.
///
/// Source: Han, Wang, Mao, *Borderline-SMOTE: A New Over-Sampling Method in Imbalanced Data Sets Learning*, ICIC
/// 2005, as in imbalanced-learn.
///
/// M and K are lowered where there are fewer samples. Of a class without a sample in danger, of which
/// imbalanced-learn makes no rows, every sample is a base. The report notes both.
///
/// # Errors
///
/// The request or the output does not fit, rows are wanted of a class with one sample (`borderline-2`: of the only
/// sample), or the caller cancelled.
pub fn borderline_smote(
    request: &Request<'_>,
    params: &Borderline,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, request.samples(&members) + request.total());
    let mut notes = Vec::new();
    let mut bases = vec![Vec::new(); members.len()];
    for class in request.classes() {
        bases[class] = bases_of(request, params, (class, &members[class]), &meter, &mut notes)?;
    }
    let halved = |class, partner: usize| {
        params.kind() == BorderlineKind::Borderline2 && request.labels[partner] as usize != class
    };
    let enemy_share = fill_steps(request, NAME, output, &meter, |Place { class, .. }, rng| {
        let mut step = bases[class][rng.index(bases[class].len())].step(rng, |rng| rng.unit_f32());
        if halved(class, step.partner) {
            step.r *= 0.5 * rng.unit_f32();
        }
        step
    })?;
    Ok(Report { notes, enemy_share })
}

const NAME: &str = "borderline-smote";

/// The samples in danger with the neighbours to step to.
fn bases_of(
    request: &Request<'_>,
    params: &Borderline,
    (class, members): (usize, &[usize]),
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Base>, SamplingError> {
    let (k_neighbors, index) = (params.k_neighbors(), params.neighbors());
    let within = Within { sampler: NAME, option: "k_neighbors", k_neighbors, index };
    let all_classes = params.kind() == BorderlineKind::Borderline2;
    let single = SamplingError::SingleSample { class: class as u32, sampler: NAME };
    if members.len() == 1 && !all_classes {
        return Err(single);
    }
    let around = Surroundings::of(
        request,
        (class, members),
        ("m_neighbors", params.m_neighbors(), index),
        meter,
        notes,
    )?;
    let in_danger = (0..members.len()).filter(|&sample| around.in_danger(sample));
    let mut samples: Vec<usize> = in_danger.map(|sample| members[sample]).collect();
    if samples.is_empty() {
        notes.push(Note::new(class, "no sample is in danger, so every sample is a base, as in smote"));
        samples = members.to_vec();
    }
    // The searches for partners are short, and how many there will be is not known beforehand: they do not count.
    let uncounted = meter.uncounted();
    if !all_classes {
        return within.bases(request, (class, members, &samples), &uncounted, notes);
    }
    let asked = ("k_neighbors", k_neighbors, index);
    let neighbors = nearest_of_all(request, (class, &samples), asked, &uncounted, notes)?;
    neighbors.map(|neighbors| bases(&samples, &neighbors)).ok_or(single)
}

#[cfg(test)]
mod tests;
