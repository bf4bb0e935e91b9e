//! Mixup of phase 1: images as mixtures of two, with a loss that is mixed in the same shares.
//!
//! Source: Zhang, Cisse, Dauphin, Lopez-Paz, *mixup: Beyond Empirical Risk Minimization* (ICLR 2018), as in their published
//! code: one share for a batch, whose partners are the images of the batch in another order.

use expanse_domain::Seed;
use expanse_sampling::symmetric_beta;

/// How the images of one batch are mixed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mixture {
    /// λ, of the image itself.
    pub share: f32,
    /// The image that has the rest, for each.
    pub partners: Vec<usize>,
}

impl Mixture {
    /// λ from Beta(α, α), and partners in a random order. It depends on the seed, the epoch, and the number of the batch in
    /// it, and so not on whether the epoch was interrupted.
    pub fn draw(alpha: f64, images: usize, seed: Seed, epoch: u64, batch: usize) -> Self {
        let mut rng = seed.derive("mixup", &[epoch, batch as u64]).rng();
        let share = symmetric_beta(alpha, &mut rng) as f32;
        let mut partners: Vec<usize> = (0..images).collect();
        rng.shuffle(&mut partners);
        Self { share, partners }
    }

    /// x ← λ · x + (1 − λ) · x of the partner, for the values of all images in a row.
    pub fn mix(&self, images: &mut [f32]) {
        let before = images.to_vec();
        let values = images.len() / self.partners.len().max(1);
        for (image, &partner) in images.chunks_exact_mut(values.max(1)).zip(&self.partners) {
            for (value, other) in image.iter_mut().zip(&before[partner * values..]) {
                *value = self.share * *value + (1.0 - self.share) * other;
            }
        }
    }

    /// The labels of the partners.
    pub fn labels(&self, labels: &[i64]) -> Vec<i64> {
        self.partners.iter().map(|&partner| labels[partner]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_labels_are_mixed_in_pairs() {
        let mixture = Mixture { share: 0.75, partners: vec![2, 1, 0] };
        let mut images = [0.0, 1.0, 10.0, 11.0, 100.0, 101.0];
        mixture.mix(&mut images);
        assert_eq!(images, [25.0, 26.0, 10.0, 11.0, 75.0, 76.0]);
        assert_eq!(mixture.labels(&[7, 8, 9]), [9, 8, 7]);
    }

    #[test]
    fn what_is_drawn_follows_from_seed_epoch_and_batch() {
        let draw = |seed, epoch, batch| Mixture::draw(0.4, 50, Seed(seed), epoch, batch);
        let first = draw(1, 1, 0);
        assert_eq!(draw(1, 1, 0), first);
        for other in [draw(2, 1, 0), draw(1, 2, 0), draw(1, 1, 1)] {
            assert!(other.share != first.share && other.partners != first.partners);
        }
        let mut partners = first.partners;
        partners.sort_unstable();
        assert_eq!(partners, (0..50).collect::<Vec<_>>());
        // A larger α mixes more evenly.
        let unevenness = |alpha| {
            let shares = (0..500).map(|batch| Mixture::draw(alpha, 1, Seed(1), 1, batch).share);
            shares.map(|share| (share - 0.5).abs()).sum::<f32>() / 500.0
        };
        assert!(unevenness(0.2) > unevenness(1.0) + 0.05 && unevenness(1.0) > unevenness(8.0) + 0.05);
    }
}
