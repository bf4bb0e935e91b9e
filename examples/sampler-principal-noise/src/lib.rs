//! principal-noise: a sample of the class, moved by Gaussian noise along the principal components of the class.
//!
//! x' = x + s · Σ_c √λ_c · g_c · v_c, with the c-th principal component v_c of the class, the variance λ_c along it,
//! and g_c drawn from the standard normal distribution. With all components the noise has s² times the covariance of
//! the class: it goes where the class already varies, and nowhere else.

mod components;

use components::{Component, principal_components};
use expanse_sdk::{Error, Host, Note, Output, Plugin, Provenance, Report, Request, Sampler, options};

options! {
    /// Options of `principal-noise`.
    pub struct PrincipalNoiseOptions {
        /// How many principal components the noise lies along; fewer where a class has fewer.
        #[schemars(range(min = 1, max = 1024))]
        pub components: usize = 8,
        /// Standard deviation of the noise, as a share of that of the class.
        #[schemars(range(min = 0.0, max = 10.0))]
        pub scale: f32 = 0.5,
    }
}

struct PrincipalNoise(PrincipalNoiseOptions);

impl Plugin for PrincipalNoise {
    const NAME: &'static str = "principal-noise";
    const SUMMARY: &'static str = "samples with Gaussian noise along the principal components of their class";
    type Options = PrincipalNoiseOptions;

    fn new(options: PrincipalNoiseOptions) -> Result<Self, Error> {
        let PrincipalNoiseOptions { components, scale } = options;
        if !(1..=1024).contains(&components) {
            let message = format!("{components} components are not in 1 to 1024");
            return Err(Error::option("components", message));
        }
        if !(0.0..=10.0).contains(&scale) {
            return Err(Error::option("scale", format!("a scale of {scale} is not in 0 to 10")));
        }
        Ok(Self(options))
    }
}

impl Sampler for PrincipalNoise {
    fn resample(&self, request: &Request<'_>, mut output: Output<'_>, host: &Host) -> Result<Report, Error> {
        let members = request.members(&output)?;
        let mut report = Report::default();
        let (mut row, total) = (0, output.rows() as u64);
        for class in request.classes() {
            if host.cancelled() {
                return Err(Error::Cancelled);
            }
            let samples: Vec<&[f32]> = members[class].iter().map(|&row| request.features.row(row)).collect();
            let components = principal_components(&samples, self.0.components);
            if components.is_empty() {
                note(&mut report, class as u32, "its samples are all the same: they are copied");
            }
            for number in 0..request.wanted[class] {
                let mut rng = request.seed.derive("principal-noise", &[class as u64, number]).rng();
                let base = members[class][rng.index(members[class].len())];
                let mut values = request.features.row(base).to_vec();
                for Component { direction, deviation } in &components {
                    let step = self.0.scale * deviation * normal(rng.unit_f32(), rng.unit_f32());
                    values.iter_mut().zip(direction).for_each(|(value, along)| *value += step * along);
                }
                if values.iter().any(|value| !value.is_finite()) {
                    let message = format!("class {class}: its noise leaves the range of f32; lower `scale`");
                    return Err(Error::input(message));
                }
                // It lies on no line between two samples: base and partner are the one that it comes from.
                let base = base as u64;
                let source = Provenance { base, partner: base, partner_class: class as u32, r: 0.0 };
                output.write(row, &values, class as u32, source);
                row += 1;
            }
            host.progress(row as u64, total);
        }
        Ok(report)
    }
}

/// Keeps a remark with the run.
fn note(report: &mut Report, class: u32, message: &str) {
    report.notes.push(Note { class, message: message.into() });
}

/// A standard normal number from two uniform ones in [0, 1) (Box and Muller, 1958).
fn normal(u: f32, v: f32) -> f32 {
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

expanse_sdk::export_sampler!(PrincipalNoise);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut rng = expanse_sdk::Seed(1).rng();
        let drawn: Vec<f32> = (0..20_000).map(|_| normal(rng.unit_f32(), rng.unit_f32())).collect();
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert!(drawn.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let options = PrincipalNoiseOptions::default;
        assert!(PrincipalNoise::new(PrincipalNoiseOptions { components: 0, ..options() }).is_err());
        assert!(PrincipalNoise::new(PrincipalNoiseOptions { scale: f32::NAN, ..options() }).is_err());
    }
}
