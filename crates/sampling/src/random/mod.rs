mod params;

use expanse_domain::Provenance;
pub use params::{Random, RandomParams, RandomParamsError};

use crate::{Control, Meter, Output, Place, Report, Request, SamplingError, draws::gaussian, fill};

/// Random over-sampling: copies of samples of the class, drawn uniformly with replacement.
///
/// With a `shrinkage` each value is scattered by Gaussian noise (smoothed bootstrap; Menardi, Torelli, 2014,
/// *Training and assessing classification rules with imbalanced data*): the noise of column j has the standard
/// deviation h σⱼ, where σⱼ is that of the class (divisor: its samples) and
/// h = shrinkage · (4 / ((d + 2) n))^(1 / (d + 4)) for d columns and n rows *of all classes*, as in
/// imbalanced-learn. Such a row does not lie at its provenance but around it.
///
/// # Errors
///
/// The request or the output does not fit, or the caller cancelled.
pub fn random(
    request: &Request<'_>,
    params: &Random,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let meter = Meter::new(control, request.total());
    let mut widths = vec![Vec::new(); members.len()];
    if let Some(shrinkage) = params.shrinkage() {
        let h = f64::from(shrinkage) * rule_of_thumb(request.features.rows(), request.features.cols());
        for class in request.classes() {
            widths[class] = deviations(request, &members[class]).into_iter().map(|sigma| h * sigma).collect();
        }
    }
    let enemy_share = fill(request, "random", output, &meter, |Place { class, .. }, rng, row| {
        let base = members[class][rng.index(members[class].len())];
        row.copy_from_slice(request.features.row(base));
        for (to, width) in row.iter_mut().zip(&widths[class]) {
            let scattered = f64::from(*to) + width * gaussian(rng);
            *to = scattered.clamp(f32::MIN.into(), f32::MAX.into()) as f32;
        }
        Provenance { base: base as u64, partner: base as u64, partner_class: class as u32, r: 0.0 }
    })?;
    Ok(Report { notes: Vec::new(), enemy_share })
}

/// (4 / ((d + 2) n))^(1 / (d + 4)), the width of a Gaussian kernel for `n` rows of `d` columns (Silverman's
/// rule).
fn rule_of_thumb(n: usize, d: usize) -> f64 {
    let (n, d) = (n as f64, d as f64);
    (4.0 / ((d + 2.0) * n)).powf(1.0 / (d + 4.0))
}

/// The standard deviation of every column over the rows `members`, with their number as the divisor.
fn deviations(request: &Request<'_>, members: &[usize]) -> Vec<f64> {
    let n = members.len() as f64;
    let values = |column: usize| members.iter().map(move |&row| f64::from(request.features.row(row)[column]));
    let deviation = |column| {
        let mean = values(column).sum::<f64>() / n;
        (values(column).map(|value| (value - mean) * (value - mean)).sum::<f64>() / n).sqrt()
    };
    (0..request.features.cols()).map(deviation).collect()
}

#[cfg(test)]
mod tests;
