use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A named `f32` tensor that owns its values.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// PyTorch's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: Vec<f32>,
}

/// Bytes are no set of named `f32` tensors.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are no safetensors file, or it is cut short.
    #[error("these bytes are no complete safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor has another type.
    #[error("tensor `{name}` holds {dtype:?}; only F32 is read")]
    DType {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
    },
}

/// Named tensors as safetensors, sorted by name: the same tensors always give the same bytes.
pub fn tensors_to_bytes(tensors: &[NamedTensor]) -> Result<Vec<u8>, CheckpointError> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?;
            Ok::<_, CheckpointError>((tensor.name.as_str(), view))
        })
        .collect();
    Ok(safetensors::serialize(views?, None)?)
}

/// The named tensors of safetensors bytes, sorted by name.
pub fn tensors_from_bytes(bytes: &[u8]) -> Result<Vec<NamedTensor>, CheckpointError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(CheckpointError::DType { name, dtype: view.dtype() });
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        let values = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        tensors.push(NamedTensor { name, shape: view.shape().to_vec(), values });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_round_trip_bit_for_bit_and_truncations_are_refused() {
        let tensor = |name: &str, values: Vec<f32>| NamedTensor {
            name: name.into(),
            shape: vec![1, values.len()],
            values,
        };
        let tensors = [tensor("a.weight", vec![1.5, -0.0, f32::MIN_POSITIVE]), tensor("b", vec![])];
        let bytes = tensors_to_bytes(&tensors).unwrap();
        assert_eq!(tensors_from_bytes(&bytes).unwrap(), tensors);
        assert!((0..bytes.len()).all(|length| tensors_from_bytes(&bytes[..length]).is_err()));
    }
}
