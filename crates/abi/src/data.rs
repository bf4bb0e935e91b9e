use abi_stable::{
    StableAbi,
    std_types::{RSlice, RSliceMut, RStr},
};

/// Code of `f32` in [`TensorRef::dtype`].
pub const DTYPE_F32: u8 = 0;
/// Code of `i64` in [`TensorRef::dtype`].
pub const DTYPE_I64: u8 = 1;

/// A row-major `f32` matrix to read; the starts of two rows are `stride` values apart.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct MatrixRef<'a> {
    /// The values.
    pub data: RSlice<'a, f32>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Distance between the starts of two rows, in values.
    pub stride: usize,
}

/// A row-major `f32` matrix, allocated by the host, to write.
#[repr(C)]
#[derive(StableAbi)]
pub struct MatrixMut<'a> {
    /// The values.
    pub data: RSliceMut<'a, f32>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Distance between the starts of two rows, in values.
    pub stride: usize,
}

/// A named tensor to read.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct TensorRef<'a> {
    /// Name of the port it is meant for.
    pub name: RStr<'a>,
    /// [`DTYPE_F32`] or [`DTYPE_I64`].
    pub dtype: u8,
    /// Length of each dimension.
    pub shape: RSlice<'a, usize>,
    /// The values in row-major order, native endianness, aligned for their type.
    pub data: RSlice<'a, u8>,
}

/// A named `f32` tensor, allocated by the host, to write.
#[repr(C)]
#[derive(StableAbi)]
pub struct TensorMut<'a> {
    /// Name of the port it is filled from.
    pub name: RStr<'a>,
    /// The values in row-major order.
    pub data: RSliceMut<'a, f32>,
}

/// What a sampler is asked to do.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct SampleRequest<'a> {
    /// One sample a row.
    pub features: MatrixRef<'a>,
    /// The class of each row, below `wanted.len()`.
    pub labels: RSlice<'a, u32>,
    /// How many synthetic rows to make of each class.
    pub wanted: RSlice<'a, u64>,
    /// The root of every random choice.
    pub seed: u64,
}

/// Where a sampler puts what it makes: as many rows as `wanted` sums to.
#[repr(C)]
#[derive(StableAbi)]
pub struct SampleOutput<'a> {
    /// One synthetic sample a row.
    pub features: MatrixMut<'a>,
    /// The class of each synthetic row.
    pub labels: RSliceMut<'a, u32>,
    /// Where each synthetic row comes from.
    pub sources: RSliceMut<'a, SyntheticSource>,
}

/// Where a synthetic row comes from: `base + r · (partner − base)`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq)]
pub struct SyntheticSource {
    /// Row that the step starts from.
    pub base: u64,
    /// Row that the step leads to.
    pub partner: u64,
    /// Class of the partner.
    pub partner_class: u32,
    /// Length of the step, in `[0, 1]`.
    pub r: f32,
}
