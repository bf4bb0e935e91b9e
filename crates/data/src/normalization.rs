use crate::ImageSet;

/// Per channel, a mean and a standard deviation of `pixel / 255`.
///
/// A value becomes `(pixel / 255 − mean) / std`, computed in `f32` in this order, as torchvision's `ToTensor` and
/// `Normalize` do.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// These are no means and standard deviations.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NormalizationError {
    /// There must be one of each for each channel.
    #[error("there are {means} means and {stds} standard deviations; give one of each for each channel")]
    Lengths {
        /// Means given.
        means: usize,
        /// Standard deviations given.
        stds: usize,
    },
    /// A value would divide by zero or yield no number.
    #[error(
        "channel {channel} has mean {mean} and standard deviation {std}; both must be finite, the latter above 0"
    )]
    Value {
        /// The channel.
        channel: usize,
        /// Its mean.
        mean: f32,
        /// Its standard deviation.
        std: f32,
    },
}

impl Normalization {
    /// Takes values that are already known, one mean and one standard deviation above 0 for each channel.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Result<Self, NormalizationError> {
        if mean.len() != std.len() {
            return Err(NormalizationError::Lengths { means: mean.len(), stds: std.len() });
        }
        let good = |(mean, std): (&f32, &f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        match mean.iter().zip(&std).position(|pair| !good(pair)) {
            Some(channel) => {
                Err(NormalizationError::Value { channel, mean: mean[channel], std: std[channel] })
            }
            None => Ok(Self { mean, std }),
        }
    }

    /// The mean and population standard deviation of all pixels of `set`, by channel.
    ///
    /// Both follow from integer sums, and are rounded once. A channel that never varies gets a standard deviation of
    /// 1, a set without images a mean of 0 besides.
    pub fn of(set: &ImageSet) -> Self {
        let plane = set.shape.height * set.shape.width;
        let mut histograms = vec![[0u64; 256]; set.shape.channels];
        for image in set.pixels().chunks_exact(set.shape.values()) {
            for (histogram, values) in histograms.iter_mut().zip(image.chunks_exact(plane)) {
                for &value in values {
                    histogram[usize::from(value)] += 1;
                }
            }
        }
        let (mean, std) = histograms.iter().map(mean_and_std).unzip();
        Self { mean, std }
    }

    /// The means, by channel.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviations, by channel.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// What each of the 256 stored values becomes, by channel.
    pub(crate) fn tables(&self) -> Vec<[f32; 256]> {
        let table = |(mean, std)| std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std);
        self.mean.iter().zip(&self.std).map(table).collect()
    }
}

/// With n values v: mean Σv / (255 n), and standard deviation √(n Σv² − (Σv)²) / (255 n).
fn mean_and_std(histogram: &[u64; 256]) -> (f32, f32) {
    let moment = |power| (0u128..).zip(histogram).map(|(v, &n)| v.pow(power) * u128::from(n)).sum::<u128>();
    let [n, sum, squares] = [0, 1, 2].map(moment);
    let scale = 255.0 * n.max(1) as f64;
    let deviation = ((n * squares - sum * sum) as f64).sqrt() / scale;
    ((sum as f64 / scale) as f32, if deviation > 0.0 { deviation as f32 } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageShape;

    fn set(pixels: &[u8]) -> ImageSet {
        let shape = ImageShape { channels: 2, height: 1, width: 2 };
        ImageSet::new(shape, pixels.to_vec(), vec![0; pixels.len() / 4], vec!["only".into()]).unwrap()
    }

    #[test]
    fn channels_are_measured_apart() {
        // The first channel holds 0, 255, 255, 0; the second is 51 throughout.
        let normalization = Normalization::of(&set(&[0, 255, 51, 51, 255, 0, 51, 51]));
        assert_eq!((normalization.mean(), normalization.std()), (&[0.5, 0.2][..], &[0.5, 1.0][..]));
        let tables = normalization.tables();
        assert_eq!((tables[0][0], tables[0][255], tables[1][51]), (-1.0, 1.0, 0.0));
    }

    #[test]
    fn without_images_values_are_only_scaled() {
        let normalization = Normalization::of(&set(&[]));
        assert_eq!((normalization.mean(), normalization.std()), (&[0.0, 0.0][..], &[1.0, 1.0][..]));
    }

    #[test]
    fn values_that_cannot_normalise_are_refused() {
        assert!(Normalization::new(vec![0.5], vec![0.1]).is_ok());
        let lengths = NormalizationError::Lengths { means: 1, stds: 2 };
        assert_eq!(Normalization::new(vec![0.5], vec![0.1, 0.1]), Err(lengths));
        for (mean, std) in [(0.5, 0.0), (0.5, -1.0), (0.5, f32::NAN), (f32::INFINITY, 1.0)] {
            let refused = Normalization::new(vec![0.5, mean], vec![0.1, std]);
            assert!(matches!(refused, Err(NormalizationError::Value { channel: 1, .. })));
        }
    }
}
