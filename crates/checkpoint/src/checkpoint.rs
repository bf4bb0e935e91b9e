use crate::Element;

/// The tensors of a model, as a file holds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// In the order of the file; no name occurs twice.
    pub tensors: Vec<Tensor>,
    /// What Expanse has written besides; PyTorch does not see it.
    pub about: Option<About>,
}

/// What a file of Expanse tells of its model: a JSON object with classes, image, normalisation, backbone and head.
pub type About = serde_json::Map<String, serde_json::Value>;

/// A named tensor that owns its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// PyTorch's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// Length of each dimension; none for a single number.
    pub shape: Vec<usize>,
    /// What the file keeps the values as.
    pub stored: Element,
    /// The values in row-major order.
    pub values: Values,
}

/// The values of a tensor: numbers with a point become `f32`, all others `i64`.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Weights and running statistics.
    F32(Vec<f32>),
    /// Counters, such as `num_batches_tracked`.
    I64(Vec<i64>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Little-endian bytes, in the type in which they are held.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// The type in which they are held, and written.
    pub(crate) fn element(&self) -> Element {
        match self {
            Self::F32(_) => Element::F32,
            Self::I64(_) => Element::I64,
        }
    }
}
