//! Heads that are balanced after phase 1 without any synthesis: the cheap controls that over-sampling should beat.
//!
//! Source of all but the last: Kang, Xie, Rohrbach, Yan, Gordo, Feng, Kalantidis, *Decoupling Representation and Classifier
//! for Long-Tailed Recognition* (ICLR 2020).

use expanse_config::{HeadMethod, Schedule};
use expanse_domain::{ClassCounts, Matrix, Seed};
use expanse_program::{NamedTensor, TensorData, TensorView, tensors_from_bytes, tensors_to_bytes};

use crate::{PipelineError, model::Parts, phases};

/// A head whose logits are W · x + b.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Affine {
    /// W, of `[classes, features]`.
    weight: NamedTensor,
    /// b, of `[classes]`, if the head has one.
    bias: Option<NamedTensor>,
}

impl Affine {
    /// Of a head's parameters as safetensors; `None` if they cannot be those of such a head.
    fn read(parameters: &[u8], classes: usize, features: usize) -> Result<Option<Self>, PipelineError> {
        let mut tensors = tensors_from_bytes(parameters)?;
        let mut take = |shape: &[usize]| {
            let at = tensors.iter().position(|tensor| tensor.shape == shape)?;
            Some(tensors.swap_remove(at))
        };
        let (weight, bias) = (take(&[classes, features]), take(&[classes]));
        Ok(weight.filter(|_| tensors.is_empty()).map(|weight| Self { weight, bias }))
    }

    /// The parameters as safetensors.
    fn write(self) -> Result<Vec<u8>, PipelineError> {
        Ok(tensors_to_bytes(&[self.weight].into_iter().chain(self.bias).collect::<Vec<_>>())?)
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.weight.values.chunks_exact(self.weight.shape[1].max(1))
    }

    fn logits(&self, embedding: &[f32]) -> Vec<f64> {
        let bias = |class: usize| self.bias.as_ref().map_or(0.0, |bias| f64::from(bias.values[class]));
        self.rows().enumerate().map(|(class, row)| bias(class) + dot(row, embedding)).collect()
    }
}

/// Refuses a head that the method cannot balance: those that change W and b need a head that is made of them, and the
/// nearest mean a b.
pub(crate) fn check(method: HeadMethod, head: &str, parts: &Parts<'_>) -> Result<(), PipelineError> {
    let wants_bias = match method {
        HeadMethod::OverSampled | HeadMethod::Crt => return Ok(()),
        HeadMethod::Lws | HeadMethod::TauNorm => false,
        HeadMethod::Ncm => true,
    };
    // What a head computes is seen by what it computes: of first values on an embedding that is drawn.
    let (request, seed) = (parts.head_request(1), Seed(1));
    let initial = parts.head.initialize(&request, seed)?;
    let classes = parts.class_counts.len();
    let affine = Affine::read(&initial, classes, parts.features)?;
    let mut rng = seed.derive("affine", &[]).rng();
    let embedding: Vec<f32> = (0..parts.features).map(|_| rng.unit_f32()).collect();
    let shape = [1, parts.features];
    let input = TensorView { name: "embedding", shape: &shape, data: TensorData::F32(&embedding) };
    let mut logits = vec![f32::NAN; classes];
    parts.head.evaluate(&request, seed, &[input], &mut logits)?;
    let is_affine = affine.as_ref().is_some_and(|affine| {
        let expected = affine.logits(&embedding);
        logits.iter().zip(expected).all(|(found, expected)| (f64::from(*found) - expected).abs() < 1e-3)
    });
    let has_bias = affine.is_some_and(|affine| affine.bias.is_some());
    if is_affine && (has_bias || !wants_bias) {
        return Ok(());
    }
    Err(PipelineError::NotAffine { head: head.into(), method: method.name() })
}

/// τ-normalisation: w_c / ‖w_c‖^τ, and no bias.
pub(crate) fn tau_norm(parts: &Parts<'_>, head: &[u8], tau: f64) -> Result<Vec<u8>, PipelineError> {
    let mut affine = affine(parts, head)?;
    let features = parts.features.max(1);
    for row in affine.weight.values.chunks_exact_mut(features) {
        let length = dot(row, row).sqrt();
        // A row of zeros has no direction, and stays.
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * length.powf(-tau)) as f32);
        }
    }
    if let Some(bias) = &mut affine.bias {
        bias.values.fill(0.0);
    }
    affine.write()
}

/// The nearest class mean: with m_c the mean embedding of class c the logits are m_c · x − ‖m_c‖² / 2, which is −‖x − m_c‖² / 2
/// up to what all classes share.
///
/// Source: Mensink, Verbeek, Perronnin, Csurka, *Distance-Based Image Classification: Generalizing to New Classes at
/// Near-Zero Cost* (TPAMI 2013).
pub(crate) fn nearest_mean(
    parts: &Parts<'_>,
    head: &[u8],
    embeddings: &Matrix,
    labels: &[u32],
) -> Result<Vec<u8>, PipelineError> {
    let mut affine = affine(parts, head)?;
    let counts = ClassCounts::of(labels, parts.class_counts.len());
    for (class, row) in affine.weight.values.chunks_exact_mut(parts.features.max(1)).enumerate() {
        let mut mean = vec![0.0f64; row.len()];
        for (at, _) in labels.iter().enumerate().filter(|(_, label)| **label as usize == class) {
            mean.iter_mut().zip(embeddings.row(at)).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let count = counts.as_slice()[class].max(1) as f64;
        row.iter_mut().zip(&mean).for_each(|(value, sum)| *value = (sum / count) as f32);
        if let Some(bias) = &mut affine.bias {
            bias.values[class] = (-dot(row, row) / 2.0) as f32;
        }
    }
    affine.write()
}

/// Learnable weight scaling: one factor s_c for each class, of w_c and of its bias, which are those of phase 1.
pub(crate) struct Scaling<'a> {
    start: Affine,
    scales: Vec<f64>,
    moments: Vec<[f64; 2]>,
    steps: u64,
    schedule: &'a Schedule,
}

impl<'a> Scaling<'a> {
    /// All factors are 1.
    pub fn new(parts: &Parts<'_>, head: &[u8], schedule: &'a Schedule) -> Result<Self, PipelineError> {
        let classes = parts.class_counts.len();
        let (scales, moments) = (vec![1.0; classes], vec![[0.0; 2]; classes]);
        Ok(Self { start: affine(parts, head)?, scales, moments, steps: 0, schedule })
    }

    /// The head as it stands.
    pub fn head(&self) -> Result<Vec<u8>, PipelineError> {
        let mut head = self.start.clone();
        let features = head.weight.shape[1].max(1);
        for (row, scale) in head.weight.values.chunks_exact_mut(features).zip(&self.scales) {
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
        for (value, scale) in head.bias.iter_mut().flat_map(|bias| &mut bias.values).zip(&self.scales) {
            *value = (f64::from(*value) * scale) as f32;
        }
        head.write()
    }

    /// A step of the optimiser; `gradients` are those of a loss by the head as it stands. Of a factor s_c it is
    /// ⟨∂/∂W_c, w_c⟩ + ∂/∂b_c · b_c, by the chain rule.
    pub fn step(&mut self, gradients: &[u8], learning_rate: f64) -> Result<(), PipelineError> {
        let mut gradients = tensors_from_bytes(gradients)?;
        gradients.retain(|tensor| {
            tensor.name == self.start.weight.name
                || self.start.bias.as_ref().is_some_and(|bias| bias.name == tensor.name)
        });
        let shape = &self.start.weight.shape;
        let Some(gradient) = Affine::read(&tensors_to_bytes(&gradients)?, shape[0], shape[1])? else {
            return Err(PipelineError::NoPort { program: "the head".into(), port: "gradient of W" });
        };
        let by_weight = self.start.rows().zip(gradient.rows()).map(|(row, gradient)| dot(row, gradient));
        let biases = self.start.bias.as_ref().zip(gradient.bias.as_ref());
        let by_bias = |class: usize| {
            biases.map_or(0.0, |(b, g)| f64::from(b.values[class]) * f64::from(g.values[class]))
        };
        let slopes: Vec<f64> = by_weight.enumerate().map(|(class, slope)| slope + by_bias(class)).collect();
        self.steps += 1;
        let optimizer = phases::optimizer(self.schedule);
        let clipped = optimizer.clipped(slopes.iter().map(|slope| slope * slope).sum::<f64>().sqrt());
        for ((scale, slope), moments) in self.scales.iter_mut().zip(slopes).zip(&mut self.moments) {
            *scale += optimizer.way(self.steps, learning_rate, *scale, slope * clipped, moments);
        }
        Ok(())
    }
}

/// Rows of an epoch of class-balanced batches: for each a class is drawn, and then one of its rows, with replacement.
pub(crate) fn class_balanced_order(labels: &[u32], classes: usize, seed: Seed, epoch: u64) -> Vec<usize> {
    let mut members = vec![Vec::new(); classes];
    for (row, label) in labels.iter().enumerate() {
        members[*label as usize].push(row);
    }
    members.retain(|rows| !rows.is_empty());
    let mut rng = seed.derive("class-balanced", &[epoch]).rng();
    let draw = |_| {
        let rows = &members[rng.index(members.len())];
        rows[rng.index(rows.len())]
    };
    (0..labels.len()).map(draw).collect()
}

fn affine(parts: &Parts<'_>, head: &[u8]) -> Result<Affine, PipelineError> {
    let affine = Affine::read(head, parts.class_counts.len(), parts.features)?;
    // The rehearsal has looked at the head.
    affine.ok_or_else(|| PipelineError::NoPort { program: "the head".into(), port: "weight" })
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use expanse_config::{Sources, resolve};

    use super::*;

    fn tensor(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.into(), values: values.into() }
    }

    #[test]
    fn a_factor_moves_by_the_products_of_weights_and_gradients() {
        let sources = Sources::<std::iter::Empty<_>> {
            config_folder: &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"),
            experiment: None,
            environment: std::iter::empty(),
            set: &["finetune.momentum=0".into(), "finetune.weight_decay=0.5".into()],
        };
        let schedule = resolve(sources).unwrap().experiment.finetune.schedule;
        let weight = tensor("w", &[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.0, 4.0]);
        let start = Affine { weight, bias: Some(tensor("b", &[2], &[0.5, -2.0])) };
        let (scales, moments) = (vec![1.0; 2], vec![[0.0; 2]; 2]);
        let mut scaling = Scaling { start, scales, moments, steps: 0, schedule: &schedule };
        let gradients = [
            tensor("b", &[2], &[2.0, 0.5]),
            tensor("loss", &[1], &[7.0]),
            tensor("w", &[2, 3], &[0.1, 0.2, 0.3, 1.0, 5.0, 0.25]),
        ];
        scaling.step(&tensors_to_bytes(&gradients).unwrap(), 0.1).unwrap();
        // By hand: 1.4 + 1 and 0 − 1, and half of the factor itself each.
        let expected = [1.0 - 0.1 * (2.4 + 0.5), 1.0 - 0.1 * (-1.0 + 0.5)];
        for (found, expected) in scaling.scales.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
        let head = tensors_from_bytes(&scaling.head().unwrap()).unwrap();
        let values = |name: &str| head.iter().find(|tensor| tensor.name == name).unwrap().values.clone();
        assert_eq!(values("b"), [0.5 * expected[0] as f32, -2.0 * scaling.scales[1] as f32]);
        assert_eq!(values("w")[5], (4.0 * scaling.scales[1]) as f32);
    }

    #[test]
    fn class_balanced_batches_have_every_class_as_often() {
        let labels: Vec<u32> = (0..9000).map(|row| if row < 8000 { 0 } else { 1 + row % 2 }).collect();
        let order = class_balanced_order(&labels, 3, Seed(1), 1);
        assert_eq!(order.len(), labels.len());
        let counts = ClassCounts::of(&order.iter().map(|&row| labels[row]).collect::<Vec<_>>(), 3);
        assert!(counts.as_slice().iter().all(|count| count.abs_diff(3000) < 150), "{counts:?}");
        assert_eq!(class_balanced_order(&labels, 3, Seed(1), 1), order);
        assert_ne!(class_balanced_order(&labels, 3, Seed(1), 2), order);
        // A class without rows cannot be drawn.
        assert_eq!(class_balanced_order(&[1, 1], 3, Seed(1), 1).len(), 2);
    }
}
