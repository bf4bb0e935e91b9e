use std::{
    io::{self, Write},
    path::Path,
};

use expanse_domain::{Matrix, Provenance, bfloat16_to_f32, half_to_f32};

use super::EmbeddingsError;

/// An array as it was read.
pub(super) struct Array {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// In row-major order, little-endian.
    pub bytes: Vec<u8>,
}

/// The types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Dtype {
    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

impl Array {
    /// The array as features, `f32[rows, cols]`.
    pub(super) fn matrix(&self, path: &Path) -> Result<Matrix, EmbeddingsError> {
        let [rows, cols] = self.shape[..] else {
            return Err(self.shape_error(path, "[rows, columns]"));
        };
        let bytes = &self.bytes;
        let values: Vec<f32> = match self.dtype {
            Dtype::F32 => each(bytes, f32::from_le_bytes),
            Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F16 => each(bytes, |bytes| half_to_f32(u16::from_le_bytes(bytes))),
            Dtype::Bf16 => each(bytes, |bytes| bfloat16_to_f32(u16::from_le_bytes(bytes))),
            _ => return Err(self.type_error(path, "floating-point numbers of 16, 32 or 64 bits")),
        };
        Matrix::new(values, rows, cols).map_err(|_| self.shape_error(path, "[rows, columns]"))
    }

    /// The array as labels, `[rows]`.
    pub(super) fn integers(&self, path: &Path) -> Result<Vec<i64>, EmbeddingsError> {
        if self.shape.len() != 1 {
            return Err(self.shape_error(path, "[rows]"));
        }
        let bytes = &self.bytes;
        Ok(match self.dtype {
            Dtype::I8 => each(bytes, |bytes| i8::from_le_bytes(bytes).into()),
            Dtype::I16 => each(bytes, |bytes| i16::from_le_bytes(bytes).into()),
            Dtype::I32 => each(bytes, |bytes| i32::from_le_bytes(bytes).into()),
            Dtype::I64 => each(bytes, i64::from_le_bytes),
            Dtype::U8 => each(bytes, |bytes| u8::from_le_bytes(bytes).into()),
            Dtype::U16 => each(bytes, |bytes| u16::from_le_bytes(bytes).into()),
            Dtype::U32 => each(bytes, |bytes| u32::from_le_bytes(bytes).into()),
            Dtype::U64 => each(bytes, |bytes| u64::from_le_bytes(bytes) as i64),
            _ => return Err(self.type_error(path, "whole numbers")),
        })
    }

    fn shape_error(&self, path: &Path, allowed: &'static str) -> EmbeddingsError {
        let (path, name, shape) = (path.into(), self.name.clone(), self.shape.clone());
        EmbeddingsError::Shape { path, name, shape, allowed }
    }

    fn type_error(&self, path: &Path, allowed: &'static str) -> EmbeddingsError {
        let (path, name, dtype) =
            (path.into(), self.name.clone(), format!("{:?}", self.dtype).to_lowercase());
        EmbeddingsError::Type { path, name, dtype, allowed }
    }
}

fn each<const SIZE: usize, T>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
}

/// Values to write.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// One part after the other.
    F32([&'a [f32]; 2]),
    I64(&'a [i64]),
    /// The lengths of steps.
    R(&'a [Provenance]),
}

impl Values<'_> {
    /// Writes all values, little-endian.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::F32(parts) => {
                parts.iter().copied().flatten().try_for_each(|value| out.write_all(&value.to_le_bytes()))
            }
            Self::I64(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
            Self::R(sources) => sources.iter().try_for_each(|from| out.write_all(&from.r.to_le_bytes())),
        }
    }

    /// Bytes that all values take.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(parts) => 4 * (parts[0].len() + parts[1].len()),
            Self::I64(values) => 8 * values.len(),
            Self::R(sources) => 4 * sources.len(),
        }
    }
}
