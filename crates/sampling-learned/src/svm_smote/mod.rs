mod params;

use expanse_sampling::{
    Base, Control, Meter, Note, Output, Place, Report, Request, SamplingError, Surroundings, Within,
    fill_steps, symmetric_beta,
};
pub use params::{SvmSmote, SvmSmoteParams};

use crate::{
    points::points,
    svm::{Machine, scale_gamma, thin},
};

/// SVM-SMOTE: SMOTE from the support vectors of a class.
///
/// A support vector machine (RBF kernel, γ = 1 / (columns · variance)) is trained on the class with each other class,
/// one against one; the samples of the class that are a support vector of any of them are kept, save *noise*, those
/// whose M nearest neighbours among all samples are all of another class. The *danger* among them, with at least half
/// of their M neighbours of another class, step towards one of their K nearest neighbours within the class, r uniform
/// in [0, 1); the others, which are safe, step away from it, r uniform in (−`out_step`, 0]. A share f of the rows comes
/// from those in danger, f drawn from Beta(10, 10) once a class. Source: Nguyen, Cooper, Kamei, *Borderline
/// over-sampling for imbalanced data classification*, IJKESDP 2011, as in imbalanced-learn.
///
/// Where none is in danger, or none safe, the others make all rows. Where all support vectors are noise, which
/// imbalanced-learn refuses, every sample of the class is a base as in SMOTE. A pair of classes with more than
/// `svm_rows` samples is thinned before training. M and K are lowered where there are fewer samples. All of this is
/// noted in the report. The provenance of a row that steps away names its base alone.
///
/// # Errors
///
/// The request or the output does not fit, rows are wanted of a class with one sample or of the only class, a machine
/// cannot be trained, or the caller cancelled.
pub fn svm_smote(
    request: &Request<'_>,
    params: &SvmSmote,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let present = members.iter().filter(|members| !members.is_empty()).count();
    let pairs = request.classes().count() * present.saturating_sub(1);
    let meter = Meter::new(control, pairs as u64 + request.total());
    let gamma = scale_gamma(request.features);
    let mut notes = Vec::new();
    let mut bases = Vec::new();
    for class in 0..members.len() {
        bases.push(match request.wanted[class] {
            0 => Bases::default(),
            _ => bases_of(request, params, (&members, class, gamma), &meter, &mut notes)?,
        });
    }
    let enemy_share = fill_steps(request, NAME, output, &meter, |Place { class, number }, rng| {
        let Bases { danger, safe, from_danger } = &bases[class];
        if number < *from_danger {
            danger[rng.index(danger.len())].step(rng, |rng| rng.unit_f32())
        } else {
            safe[rng.index(safe.len())].step(rng, |rng| -params.out_step() * rng.unit_f32())
        }
    })?;
    Ok(Report { notes, enemy_share })
}

const NAME: &str = "svm-smote";

/// What the rows of a class start from: the first `from_danger` of them step from `danger`, the others from `safe`.
#[derive(Default)]
struct Bases {
    danger: Vec<Base>,
    safe: Vec<Base>,
    from_danger: u64,
}

fn bases_of(
    request: &Request<'_>,
    params: &SvmSmote,
    (members, class, gamma): (&[Vec<usize>], usize, f64),
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Bases, SamplingError> {
    let own = &members[class];
    if own.len() < 2 {
        return Err(SamplingError::SingleSample { class: class as u32, sampler: NAME });
    }
    let support = support_vectors(request, params, (members, class, gamma), meter, notes)?;
    let uncounted = meter.uncounted();
    let index = params.neighbors();
    let around_option = ("m_neighbors", params.m_neighbors(), index);
    let around = Surroundings::of(request, (class, &support), around_option, &uncounted, notes)?;
    let kept = |in_danger: bool| -> Vec<usize> {
        let places = (0..support.len()).filter(|&place| !around.is_noise(place));
        places.filter(|&place| around.in_danger(place) == in_danger).map(|place| support[place]).collect()
    };
    let (mut danger, safe) = (kept(true), kept(false));
    if danger.is_empty() && safe.is_empty() {
        notes.push(Note::new(class, "all support vectors are noise, so every sample is a base, as in smote"));
        danger = own.clone();
    }
    let wanted = request.wanted[class];
    let share = symmetric_beta(10.0, &mut request.seed.derive("svm-smote-share", &[class as u64]).rng());
    let from_danger = match (danger.is_empty(), safe.is_empty()) {
        (false, false) => ((share * (wanted + 1) as f64) as u64).min(wanted),
        (false, true) => wanted,
        (true, _) => 0,
    };
    let within = Within { sampler: NAME, option: "k_neighbors", k_neighbors: params.k_neighbors(), index };
    let danger = within.bases(request, (class, own, &danger), &uncounted, notes)?;
    // What is to note of the class has been noted.
    let safe = within.bases(request, (class, own, &safe), &uncounted, &mut Vec::new())?;
    Ok(Bases { danger, safe, from_danger })
}

/// The samples of the class that are a support vector against any other class, in ascending order.
fn support_vectors(
    request: &Request<'_>,
    params: &SvmSmote,
    (members, class, gamma): (&[Vec<usize>], usize, f64),
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<usize>, SamplingError> {
    let others: Vec<usize> =
        (0..members.len()).filter(|&other| other != class && !members[other].is_empty()).collect();
    if others.is_empty() {
        return Err(SamplingError::SingleClass { class: class as u32, sampler: NAME });
    }
    let most = params.svm_rows();
    let mut support = Vec::new();
    let mut thinned = 0;
    for other in others {
        meter.advance(1)?;
        let seed = request.seed.derive("svm-smote-pair", &[class as u64, other as u64]);
        let (own, theirs) = thin(&members[class], &members[other], most, seed);
        thinned += usize::from(members[class].len() + members[other].len() > most);
        // As in LIBSVM, the class with the lower label is the first.
        let rows = if class < other { [&own[..], &theirs] } else { [&theirs[..], &own] };
        let first = (0..own.len() + theirs.len()).map(|place| place < rows[0].len()).collect();
        let rows = rows.concat();
        let points = points(request.features, &rows);
        let machine = Machine::train((points, first), (params.svm_c(), gamma), (class, NAME))?;
        let own_rows = machine.support().map(|place| rows[place]);
        support.extend(own_rows.filter(|&row| request.labels[row] as usize == class));
    }
    if thinned > 0 {
        let message =
            format!("{thinned} of its machines were trained on {most} samples of their two classes");
        notes.push(Note::new(class, message));
    }
    support.sort_unstable();
    support.dedup();
    Ok(support)
}

#[cfg(test)]
mod tests;
