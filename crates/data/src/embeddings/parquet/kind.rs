//! The types of columns, as far as they are told apart.

use std::fmt::{Debug, Display, Formatter, Result};

use parquet::{
    basic::{ConvertedType, LogicalType, Type},
    schema::types::ColumnDescriptor,
};

/// What a column is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Features,
    Labels,
}

impl Use {
    /// The types that serve, for messages.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Features => "numbers",
            Self::Labels => "whole numbers or texts",
        }
    }

    pub(super) fn takes(self, kind: &Kind) -> bool {
        match kind {
            Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64 => true,
            Kind::F16 | Kind::F32 | Kind::F64 => self == Self::Features,
            Kind::Bool | Kind::Text => self == Self::Labels,
            Kind::Other(_) => false,
        }
    }
}

/// The type of the values of a column; those with fewer bits than 32 are stored with as many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    F32,
    F64,
    I32,
    U32,
    I64,
    U64,
    Bool,
    Text,
    /// Any other type, by its name.
    Other(String),
}

impl Kind {
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        let (physical, logical) = (column.physical_type(), column.logical_type_ref());
        // Files of before 2019 tell the meaning of a type by this alone.
        let converted = column.converted_type();
        let signed = match (logical, converted) {
            (Some(LogicalType::Integer(integer)), _) => Some(integer.is_signed),
            (Some(_), _) => None,
            (None, ConvertedType::NONE | ConvertedType::INT_8 | ConvertedType::INT_16) => Some(true),
            (None, ConvertedType::INT_32 | ConvertedType::INT_64) => Some(true),
            (None, ConvertedType::UINT_8 | ConvertedType::UINT_16) => Some(false),
            (None, ConvertedType::UINT_32 | ConvertedType::UINT_64) => Some(false),
            (None, _) => None,
        };
        match (physical, logical, signed) {
            (Type::FLOAT, None, _) => Self::F32,
            (Type::DOUBLE, None, _) => Self::F64,
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), _) => Self::F16,
            (Type::INT32, _, Some(true)) => Self::I32,
            (Type::INT32, _, Some(false)) => Self::U32,
            (Type::INT64, _, Some(true)) => Self::I64,
            (Type::INT64, _, Some(false)) => Self::U64,
            (Type::BOOLEAN, None, _) => Self::Bool,
            (Type::BYTE_ARRAY, Some(LogicalType::String), _) => Self::Text,
            (Type::BYTE_ARRAY, None, _) if converted == ConvertedType::UTF8 => Self::Text,
            (_, Some(logical), _) => Self::other(logical),
            (_, None, _) if converted == ConvertedType::NONE => Self::other(&physical),
            (_, None, _) => Self::other(&converted),
        }
    }

    /// `Timestamp(TimestampType { .. })` → `timestamp`.
    fn other(told: &impl Debug) -> Self {
        let told = format!("{told:?}").to_lowercase();
        Self::Other(told.split(['(', ' ']).next().unwrap_or_default().to_owned())
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Other(name) => f.write_str(name),
            kind => write!(f, "{}", format!("{kind:?}").to_lowercase()),
        }
    }
}
