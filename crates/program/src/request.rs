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
