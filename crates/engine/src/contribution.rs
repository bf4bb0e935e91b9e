//! What devices tell each other of their parts of a batch.
//!
//! Burn's collective operations reduce over devices of NVIDIA alone, and on one machine; here the values go by way of the
//! host, so that any devices can share a batch. A ResNet-32 has 2 MB of them.

use burn_backend::{Backend, TensorData as BurnData, TensorMetadata, tensor::FloatTensor};

use crate::{
    EngineError,
    frame::BatchStatistics,
    session::{Change, values},
};

/// The change that a part of a batch asks for, in the host's memory.
pub(crate) struct Contribution {
    /// Name and shape of each gradient.
    gradients: Vec<(String, Vec<usize>)>,
    statistics: Vec<Statistics>,
    /// The gradients one after another, then mean and variance of each batch norm.
    values: Vec<f32>,
}

struct Statistics {
    mean_slot: usize,
    variance_slot: usize,
    channels: usize,
    count: usize,
}

impl Contribution {
    /// Copies all of a change at once.
    pub fn download<B: Backend>(change: Change<B>) -> Result<Self, EngineError> {
        let mut flat = Vec::new();
        let mut push = |tensor: FloatTensor<B>| {
            let shape = tensor.shape();
            flat.push(B::float_reshape(tensor, [shape.num_elements()].into()));
            shape.to_vec()
        };
        let mut gradients = Vec::new();
        for (name, gradient) in change.gradients {
            gradients.push((name, push(gradient)));
        }
        let mut statistics = Vec::new();
        for BatchStatistics { mean_slot, variance_slot, mean, variance, count } in change.statistics {
            let channels = push(mean).iter().product();
            push(variance);
            statistics.push(Statistics { mean_slot, variance_slot, channels, count });
        }
        Ok(Self { gradients, statistics, values: values::<B>(B::float_cat(flat, 0))? })
    }

    /// The change on a device.
    pub fn upload<B: Backend>(&self, device: &B::Device) -> Change<B> {
        let data = BurnData::new(self.values.clone(), [self.values.len()]);
        let flat = B::float_from_data(data, device);
        let mut from = 0;
        let mut next = |shape: &[usize]| {
            let to = from + shape.iter().product::<usize>();
            let part = B::float_slice(flat.clone(), &[(from..to).into()]);
            from = to;
            B::float_reshape(part, shape.to_vec().into())
        };
        let gradients = self.gradients.iter().map(|(name, shape)| (name.clone(), next(shape))).collect();
        let statistics = self.statistics.iter().map(|batch| {
            let &Statistics { mean_slot, variance_slot, channels, count } = batch;
            let [mean, variance] = [next(&[channels]), next(&[channels])];
            BatchStatistics { mean_slot, variance_slot, mean, variance, count }
        });
        Change { gradients, statistics: statistics.collect() }
    }

    /// What equal parts of a batch ask for together: the mean of the gradients, and mean and variance over all parts,
    /// Var = E[Varᵢ + Meanᵢ²] − Mean². Always in the order of the parts.
    pub fn mean(mut parts: Vec<Self>) -> Option<Self> {
        let all: Vec<Vec<f32>> = parts.iter_mut().map(|part| std::mem::take(&mut part.values)).collect();
        let mut agreed = parts.into_iter().next()?;
        let count = all.len() as f64;
        let mean = |value: &dyn Fn(&[f32]) -> f64| all.iter().map(|part| value(part)).sum::<f64>() / count;
        let gradients: usize =
            agreed.gradients.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let mut values: Vec<f32> =
            (0..gradients).map(|at| mean(&|part| f64::from(part[at])) as f32).collect();
        for Statistics { channels, count, .. } in &mut agreed.statistics {
            let (means, variances) = (values.len(), values.len() + *channels);
            let of_mean = |at: usize| mean(&|part| f64::from(part[means + at]));
            let of_square = |at: usize| {
                mean(&|part| f64::from(part[variances + at]) + f64::from(part[means + at]).powi(2))
            };
            let both = (0..*channels).map(|at| (of_mean(at), of_square(at)));
            let (mean, variance): (Vec<f32>, Vec<f32>) =
                both.map(|(mean, square)| (mean as f32, (square - mean.powi(2)).max(0.0) as f32)).unzip();
            values.extend(mean);
            values.extend(variance);
            *count *= all.len();
        }
        agreed.values = values;
        Some(agreed)
    }
}
