//! Label-distribution-aware margins: cross-entropy of s · (cos − m_y at the target), with
//! m_c = m_max · (n_c / min n)^(−1/4), weighted as Σᵢ w_yᵢ · ℓᵢ / Σᵢ w_yᵢ.
//!
//! Source: Cao, Wei, Gaidon, Arechiga, Ma, *Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss*
//! (NeurIPS 2019).

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use expanse_sdk::{Error, Loss, LossRequest, Meaning, Plugin, options};

options! {
    /// Options of `ldam`.
    pub struct LdamOptions {
        /// The margin m_max of the smallest class.
        #[schemars(range(min = 0.0, max = 1.0))]
        pub max_margin: f64 = 0.5,
        /// The scale s of the cosines.
        #[schemars(range(min = 1.0, max = 1000.0))]
        pub scale: f64 = 30.0,
    }
}

struct Ldam(LdamOptions);

impl Plugin for Ldam {
    const NAME: &'static str = "ldam";
    const SUMMARY: &'static str =
        "cross-entropy of cosines with larger margins for smaller classes (Cao et al. 2019)";
    type Options = LdamOptions;

    fn new(options: LdamOptions) -> Result<Self, Error> {
        let LdamOptions { max_margin, scale } = options;
        if !(0.0..=1.0).contains(&max_margin) {
            let message = format!("a max_margin of {max_margin} is not in [0, 1]");
            return Err(Error::option("max_margin", message));
        }
        if !(1.0..=1000.0).contains(&scale) {
            return Err(Error::option("scale", format!("a scale of {scale} is not in [1, 1000]")));
        }
        Ok(Self(options))
    }
}

impl Loss for Ldam {
    fn takes(&self) -> Option<Meaning> {
        Some(Meaning::cosines("use the head `cosine` with head.scale = 1"))
    }

    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        let classes = request.classes;
        // Row c holds the margin of c at c and 0 elsewhere.
        let mut table = vec![0f32; classes * classes];
        for (class, margin) in margins(&request.class_counts, self.0.max_margin)?.into_iter().enumerate() {
            table[class * (classes + 1)] = margin as f32;
        }
        let table = Tensor::<2>::from_data(TensorData::new(table, [classes, classes]), &logits.device());
        // The first softmax changes nothing but the size of the numbers: of logits far from 0, f32 would lose what is subtracted.
        let with_margins = (log_softmax(logits, 1) - table.select(0, targets.clone())) * self.0.scale;
        let rows = targets.clone().reshape([request.batch, 1]);
        let target = log_softmax(with_margins, 1).gather(1, rows).reshape([request.batch]);
        let weights = class_weights.select(0, targets);
        Ok((target.neg() * weights.clone()).sum() / weights.sum())
    }
}

/// m_c = m_max · (n_c / min n)^(−1/4).
fn margins(counts: &[u64], max_margin: f64) -> Result<Vec<f64>, Error> {
    if let Some(class) = counts.iter().position(|&count| count == 0) {
        let message = format!("class {class} has no samples, so its margin has no end");
        return Err(Error::input(format!("{message}; keep a sample of it, or use another loss")));
    }
    let least = counts.iter().copied().min().unwrap_or(1) as f64;
    Ok(counts.iter().map(|&count| max_margin * (count as f64 / least).powf(-0.25)).collect())
}

expanse_sdk::export_loss!(Ldam);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_the_published_ones() {
        let found = margins(&[5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 0.5).unwrap();
        let published = [0.1581, 0.1797, 0.2042, 0.2321, 0.2638, 0.2998, 0.3407, 0.3872, 0.4405, 0.5];
        for (found, published) in found.iter().zip(published) {
            assert!((found - published).abs() <= 0.5e-4, "{found}, not {published}");
        }
        assert!(margins(&[3, 0], 0.5).unwrap_err().to_string().contains("class 1 has no samples"));
    }
}
