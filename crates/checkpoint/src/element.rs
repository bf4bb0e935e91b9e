use std::fmt;

use expanse_domain::{bfloat16_to_f32, half_to_f32};

use crate::Values;

/// The type in which a file keeps the values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The values that lie in little-endian bytes at these places, counted in values.
    ///
    /// A place outside of the bytes has no value.
    pub(crate) fn values(self, bytes: &[u8], places: impl Iterator<Item = usize>) -> Values {
        match self {
            Self::F64 => Values::F32(pick(bytes, places, |bytes| f64::from_le_bytes(bytes) as f32)),
            Self::F32 => Values::F32(pick(bytes, places, f32::from_le_bytes)),
            Self::F16 => Values::F32(pick(bytes, places, |bytes| half_to_f32(u16::from_le_bytes(bytes)))),
            Self::BF16 => {
                Values::F32(pick(bytes, places, |bytes| bfloat16_to_f32(u16::from_le_bytes(bytes))))
            }
            Self::I64 => Values::I64(pick(bytes, places, i64::from_le_bytes)),
            Self::I32 => Values::I64(pick(bytes, places, |bytes| i32::from_le_bytes(bytes).into())),
            Self::I16 => Values::I64(pick(bytes, places, |bytes| i16::from_le_bytes(bytes).into())),
            Self::I8 => Values::I64(pick(bytes, places, |bytes| i8::from_le_bytes(bytes).into())),
            Self::U8 | Self::Bool => {
                Values::I64(pick(bytes, places, |bytes| u8::from_le_bytes(bytes).into()))
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

fn pick<const SIZE: usize, T>(
    bytes: &[u8],
    places: impl Iterator<Item = usize>,
    value: impl Fn([u8; SIZE]) -> T,
) -> Vec<T> {
    let all = bytes.as_chunks().0;
    places.filter_map(|place| all.get(place)).map(|&bytes| value(bytes)).collect()
}
