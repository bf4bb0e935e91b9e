use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng},
};
use sha2::{Digest, Sha256};

/// The root of every random choice. Nothing is drawn from a seed directly: each purpose derives its own.
///
/// `derive(purpose, indices)` is the first eight bytes, little-endian, of
/// SHA-256(seed ‖ purpose ‖ 0 ‖ indices), so that what one purpose draws never moves what another draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of `purpose`, for the given indices (an epoch, a class, a sample).
    pub fn derive(self, purpose: &str, indices: &[u64]) -> Seed {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        hash.update(purpose.as_bytes());
        hash.update([0]);
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        let digest = hash.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Seed(u64::from_le_bytes(first))
    }

    /// A generator (ChaCha8) that starts from this seed.
    pub fn rng(self) -> Rng {
        Rng(ChaCha8Rng::seed_from_u64(self.0))
    }
}

/// A named generator with the few distributions that Expanse draws from, each defined here once.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// A uniform integer below `n` (Lemire's multiplication, without bias).
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "an integer below 0 does not exist");
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(n);
            // The threshold is below n, and dividing for it takes longer than all the rest.
            if product as u64 >= n || product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// A uniform index below `n`, for slices.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A uniform number in `[0, 1)` with 24 bits, exact in `f32`.
    pub fn unit_f32(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// `count` distinct indices below `n`, in random order.
    ///
    /// # Panics
    ///
    /// If `count` exceeds `n`.
    pub fn choose(&mut self, n: usize, count: usize) -> Vec<usize> {
        assert!(count <= n, "{count} distinct indices below {n} do not exist");
        let mut all: Vec<usize> = (0..n).collect();
        for place in 0..count {
            let from = place + self.index(n - place);
            all.swap(place, from);
        }
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_indices_are_independent_and_stable() {
        let seed = Seed(7);
        assert_ne!(seed.derive("order", &[0]), seed.derive("order", &[1]));
        assert_ne!(seed.derive("order", &[0]), seed.derive("crop", &[0]));
        // A change of these values would change every result that users have recorded.
        assert_eq!(Seed(0).derive("order", &[1, 2]).0, ORDER_1_2_OF_SEED_0);
        let mut rng = Seed(0).rng();
        let drawn: Vec<u64> = (0..4).map(|_| rng.below(1000)).collect();
        assert_eq!(drawn, DRAWN_BY_SEED_0);
    }

    const ORDER_1_2_OF_SEED_0: u64 = 0x713072033e924084;
    const DRAWN_BY_SEED_0: [u64; 4] = [709, 465, 699, 60];

    #[test]
    fn draws_stay_in_range_and_choose_is_distinct() {
        let mut rng = Seed(3).rng();
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.unit_f32())));
        let mut chosen = rng.choose(50, 20);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 20);
    }
}
