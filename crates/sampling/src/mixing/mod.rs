//! Mixup and Remix as over-samplers.

mod params;

use expanse_domain::Rng;
pub use params::{Mixup, MixupParams, MixupParamsError, Remix, RemixParams, RemixParamsError};

use crate::{
    Control, Meter, Note, Output, Place, Report, Request, SamplingError, Step, draws::symmetric_beta,
    fill_steps,
};

/// Mixup: synthetic = λ · base + (1 − λ) · partner with λ from Beta(α, α), of the class that has the greater share.
///
/// For each row a sample of the class is drawn uniformly with replacement, a partner uniformly among all other samples
/// of whatever class, and λ from Beta(α, α), mirrored into [0.5, 1], so that the base has the greater share and its
/// class is the label. In provenance r = 1 − λ; so the soft label of mixup has 1 − r on the class of the row and r
/// on that of the partner. Source: Zhang, Cisse, Dauphin, Lopez-Paz, *mixup: Beyond Empirical Risk Minimization*,
/// ICLR 2018.
///
/// # Errors
///
/// The request or the output does not fit, there is a single sample in all, or the caller cancelled.
pub fn mixup(
    request: &Request<'_>,
    params: &Mixup,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, request.total());
    let rows = request.features.rows();
    if rows < 2 && request.total() > 0 {
        return Err(SamplingError::NoPair { sampler: "mixup" });
    }
    let enemy_share = fill_steps(request, "mixup", output, &meter, |Place { class, .. }, rng| {
        let base = members[class][rng.index(members[class].len())];
        let other = rng.index(rows - 1);
        Step { base, partner: other + usize::from(other >= base), r: lesser_share(params.alpha(), rng) }
    })?;
    Ok(Report { notes: Vec::new(), enemy_share })
}

/// Remix: mixup whose label goes to the smaller class although it has the lesser share.
///
/// Let the base be of a class of n samples, the partner of one of m, and λ the share of the base. Remix labels the
/// mixture with the base's class alone if m/n ≥ κ and 1 − λ < τ, with the partner's class alone if n/m ≥ κ and λ < τ,
/// and as mixup does otherwise. Here partners are drawn uniformly among all other samples, save those of classes κ
/// times smaller, whose mixtures would be theirs; λ from Beta(α, α), drawn again where the label would not be the
/// base's: against a class κ times larger r = 1 − λ lies below max(τ, 0.5), against others it is mirrored into
/// [0, 0.5]. Source: Chou, Chang, Pan, Wei, Juan, *Remix: Rebalanced Mixup*, ECCV workshops 2020.
///
/// Where every other sample is of a class κ times smaller, partners are drawn among all, which the report notes.
///
/// # Errors
///
/// The request or the output does not fit, there is a single sample in all, or the caller cancelled.
pub fn remix(
    request: &Request<'_>,
    params: &Remix,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, request.total());
    if request.features.rows() < 2 && request.total() > 0 {
        return Err(SamplingError::NoPair { sampler: "remix" });
    }
    let larger = |a: usize, b: usize| members[a].len() as f64 >= params.kappa() * members[b].len() as f64;
    let mut notes = Vec::new();
    let mut partners: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    for class in request.classes() {
        let eligible = |&row: &usize| !larger(class, request.labels[row] as usize);
        partners[class] = (0..request.features.rows()).filter(eligible).collect();
        // The class itself is eligible, and a sample is no partner of its own.
        if partners[class].len() < 2 {
            notes.push(Note::new(
                class,
                "all other classes are kappa times smaller, so partners are of any class",
            ));
            partners[class] = (0..request.features.rows()).collect();
        }
    }
    let enemy_share = fill_steps(request, "remix", output, &meter, |Place { class, .. }, rng| {
        let base = members[class][rng.index(members[class].len())];
        let partner = other_than(base, &partners[class], rng);
        let r = if larger(request.labels[partner] as usize, class) {
            let limit = params.tau().max(0.5);
            // At least every other draw is taken: the distribution is symmetric, and the limit not below 0.5.
            loop {
                let r = symmetric_beta(params.alpha().into(), rng) as f32;
                if r < limit {
                    break r;
                }
            }
        } else {
            lesser_share(params.alpha(), rng)
        };
        Step { base, partner, r }
    })?;
    Ok(Report { notes, enemy_share })
}

/// min(λ, 1 − λ) for λ from Beta(α, α).
fn lesser_share(alpha: f32, rng: &mut Rng) -> f32 {
    let lambda = symmetric_beta(alpha.into(), rng);
    lambda.min(1.0 - lambda) as f32
}

/// One of the rows, which ascend, but not `base`, uniformly.
fn other_than(base: usize, rows: &[usize], rng: &mut Rng) -> usize {
    match rows.binary_search(&base) {
        Ok(place) => {
            let other = rng.index(rows.len() - 1);
            rows[other + usize::from(other >= place)]
        }
        Err(_) => rows[rng.index(rows.len())],
    }
}

#[cfg(test)]
mod tests;
