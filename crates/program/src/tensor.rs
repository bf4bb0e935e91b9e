use crate::DType;

/// A named tensor that is handed to a program for one call.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Name of the port it is meant for.
    pub name: &'a str,
    /// Length of each dimension.
    pub shape: &'a [usize],
    /// The values in row-major order.
    pub data: TensorData<'a>,
}

/// The values of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum TensorData<'a> {
    /// 32-bit floating point.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

impl TensorData<'_> {
    /// Type of the values.
    pub fn dtype(&self) -> DType {
        match self {
            TensorData::F32(_) => DType::F32,
            TensorData::I64(_) => DType::I64,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            TensorData::F32(values) => values.len(),
            TensorData::I64(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
