//! Exact k nearest neighbours, Euclidean, of the rows of a matrix.
//!
//! [`nearest`] answers a [`Search`] with [`Neighbors`]. Exact means: the answer is that of comparing every
//! pair directly, in order of (squared distance, row number), with the squared distance Σⱼ (aⱼ − bⱼ)² summed
//! in `f64` from the first column to the last. A blocked `f32` product in vector registers only says which pairs need
//! no comparing.
//!
//! This crate knows nothing of classes.

mod best;
mod error;
mod scores;
mod search;
mod tile;

pub use error::NeighborsError;
pub use search::{Itself, Search, nearest};

/// The neighbours of some rows: for each query exactly `k` row numbers, nearest first, ties by row number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbors {
    rows: Vec<u32>,
    k: usize,
}

impl Neighbors {
    /// The number of neighbours of each query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.rows.len() / self.k
    }

    /// Whether there was no query.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The `k` row numbers nearest to query number `query` (its place in the list of queries).
    pub fn row(&self, query: usize) -> &[u32] {
        &self.rows[query * self.k..][..self.k]
    }
}
