//! What samplers draw: rows, and numbers of other distributions than the uniform one.

use expanse_domain::{Rng, Seed};

/// `count` of the rows, all different, in the order in which they are listed.
///
/// # Panics
///
/// If there are fewer rows.
pub fn draw_rows(rows: &[usize], count: usize, seed: Seed) -> Vec<usize> {
    let mut places = seed.rng().choose(rows.len(), count);
    places.sort_unstable();
    places.into_iter().map(|place| rows[place]).collect()
}

/// A draw from the standard normal distribution: √(−2 ln u) cos 2πv for uniform u in (0, 1] and v in [0, 1)
/// (Box and Muller, 1958), with the sine of the same pair left unused. As u has 24 bits, no draw lies beyond
/// ±5.8.
pub fn gaussian(rng: &mut Rng) -> f64 {
    let u = 1.0 - f64::from(rng.unit_f32());
    let v = f64::from(rng.unit_f32());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A draw from the symmetric beta distribution Beta(α, α), as x / (x + y) for x and y from the gamma distribution
/// of shape α; in [0, 1].
pub fn symmetric_beta(alpha: f64, rng: &mut Rng) -> f64 {
    // With logarithms, because for a small α both x and y may be too small for a number.
    let (x, y) = (ln_gamma_draw(alpha, rng), ln_gamma_draw(alpha, rng));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a draw from the gamma distribution of shape `alpha` (Marsaglia and Tsang, *A simple method for
/// generating gamma variables*, 2000; for α below 1 a draw of shape α + 1 times u^(1/α)).
fn ln_gamma_draw(alpha: f64, rng: &mut Rng) -> f64 {
    let uniform = |rng: &mut Rng| 1.0 - f64::from(rng.unit_f32());
    let (shape, boost) = if alpha < 1.0 { (alpha + 1.0, uniform(rng).ln() / alpha) } else { (alpha, 0.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = gaussian(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && uniform(rng).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d.ln() + v.ln() + boost;
        }
    }
}

#[cfg(test)]
mod tests {
    use expanse_domain::Seed;

    use super::*;

    #[test]
    fn beta_draws_have_the_moments_of_the_distribution() {
        for alpha in [0.02, 0.2, 1.0, 4.0, 10.0] {
            let mut rng = Seed(8).rng();
            let draws: Vec<f64> = (0..20_000).map(|_| symmetric_beta(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)), "α = {alpha}");
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.015, "α = {alpha}: the mean is {mean}");
            assert!((variance / expected - 1.0).abs() < 0.04, "α = {alpha}: {variance}, not {expected}");
        }
    }
}
