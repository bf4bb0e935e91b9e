//! The words everyone uses: [`ClassCounts`], [`Matrix`], [`Seed`], [`Provenance`].
//!
//! This crate knows nothing of files, plugins or tensors.

mod counts;
mod half;
mod hash;
mod matrix;
mod provenance;
mod seed;

pub use counts::ClassCounts;
pub use half::{bfloat16_to_f32, half_to_f32};
pub use hash::{hex, sha256};
pub use matrix::{Matrix, MatrixView, ShapeError};
pub use provenance::Provenance;
pub use seed::{Rng, Seed};
