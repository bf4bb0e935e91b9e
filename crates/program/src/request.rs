use serde::{Deserialize, Serialize};

/// What a backbone is recorded for: images `[batch, channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackboneRequest {
    /// Images in a batch.
    pub batch: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
}

/// What a head is recorded for: embeddings `[batch, features]` to logits `[batch, classes]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadRequest {
    /// Embeddings in a batch.
    pub batch: usize,
    /// Length of an embedding.
    pub features: usize,
    /// Number of classes.
    pub classes: usize,
}

/// What a loss is recorded for: logits `[batch, classes]`, targets `[batch]`, class weights `[classes]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossRequest {
    /// Samples in a batch.
    pub batch: usize,
    /// Number of classes.
    pub classes: usize,
    /// Training samples of each class.
    pub class_counts: Vec<u64>,
}

/// Stochastic gradient descent as in PyTorch: g ← g + λ·p; v ← μ·v + g (v = g at first); p ← p − η·v.
///
/// The learning rate η is given at each step. Source: Sutskever et al., *On the importance of initialization
/// and momentum in deep learning* (ICML 2013), in PyTorch's form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// μ, in `[0, 1)`.
    pub momentum: f64,
    /// λ, at least 0; applied to every trainable parameter.
    pub weight_decay: f64,
}
