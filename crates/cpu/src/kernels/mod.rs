//! What runs: each file is one operation with its derivative.

pub(crate) mod blocks;
pub(crate) mod elementwise;
pub(crate) mod grouped;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pack;
pub(crate) mod pool;
pub(crate) mod reduce;
pub mod simd;
pub(crate) mod slide;
pub(crate) mod stencil;
pub(crate) mod strided;
pub(crate) mod update;
pub(crate) mod weights;
pub(crate) mod winograd;
