//! The k nearest neighbours, Euclidean, of the rows of a matrix.
//!
//! [`nearest`] answers a [`Search`] with [`Neighbors`]. Exact means: the answer is that of comparing every
//! pair directly, in order of (squared distance, row number), with the squared distance Σⱼ (aⱼ − bⱼ)² summed
//! in `f64` from the first column to the last. A blocked product of whole numbers of 16 bits in vector registers only says
//! which pairs need no comparing.
//!
//! For so many rows that this takes too long there is [`Index::Approximate`], a graph that is walked along, which tells its recall.
//!
//! This crate knows nothing of classes.

use std::ops::Range;

mod best;
mod comparison;
mod error;
mod frame;
mod graph;
mod grid;
mod lanes;
mod search;
mod tile;

pub use error::NeighborsError;
pub use search::{Index, Itself, Search, nearest};

/// The neighbours of some rows: for each query exactly `k` row numbers, nearest first, ties by row number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbors {
    rows: Vec<u32>,
    k: usize,
    /// Queries (by place, ascending) for which it is known how many of the nearest are among their neighbours.
    sampled: Vec<(usize, usize)>,
}

/// How many of the nearest rows a search has found, of some of its queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// Queries that were also answered exactly.
    pub queries: usize,
    /// Of their nearest rows, those that were found.
    pub found: usize,
    /// Their nearest rows.
    pub of: usize,
}

impl Recall {
    /// The share found; 1 where there was nothing to find.
    pub fn share(&self) -> f64 {
        if self.of == 0 { 1.0 } else { self.found as f64 / self.of as f64 }
    }
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

    /// The recall among the queries of those places, if the search may have missed any and has asked about some of them.
    pub fn recall(&self, queries: Range<usize>) -> Option<Recall> {
        let sampled = self.sampled.iter().filter(|(query, _)| queries.contains(query));
        let (queries, found) = sampled.fold((0, 0), |(queries, sum), (_, found)| (queries + 1, sum + found));
        (queries > 0).then_some(Recall { queries, found, of: queries * self.k })
    }
}
