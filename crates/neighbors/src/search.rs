use std::ops::{ControlFlow, Range};

use expanse_domain::MatrixView;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Neighbors, NeighborsError,
    best::measure_into,
    comparison::compare,
    graph,
    lanes::{Lanes, WithLanes, dispatch},
};

/// What to search, and how. `Search { itself, ..Search::of(points) }` names only what differs from the
/// default.
#[derive(Clone)]
pub struct Search<'a> {
    /// The rows, `f32[rows, cols]`.
    pub points: MatrixView<'a>,
    /// The rows that may be neighbours, in any order; `None` is every row.
    pub candidates: Option<&'a [usize]>,
    /// The columns that count.
    pub columns: Range<usize>,
    /// Whether a query is among its own neighbours.
    pub itself: Itself,
    /// Whether some neighbours may be missed.
    pub index: Index,
    /// Told, from several threads, how many queries have just been answered; breaking cancels the search.
    pub watch: &'a (dyn Fn(usize) -> ControlFlow<()> + Sync),
}

/// Whether a query is among its own neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Itself {
    /// Left out by its row number; another row of the same values stays.
    Excluded,
    /// A candidate like the others, and so first unless a row of the same values has a lower number.
    Included,
}

/// How neighbours are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Index {
    /// Every row is compared, and none is missed.
    #[default]
    Exact,
    /// A graph leads to most of them, for so many rows that comparing all takes too long.
    Approximate,
}

impl<'a> Search<'a> {
    /// All rows and columns of `points`, a query itself excluded, exactly, unwatched.
    pub fn of(points: MatrixView<'a>) -> Self {
        let columns = 0..points.cols();
        let watch = &|_| ControlFlow::Continue(());
        Self { points, candidates: None, columns, itself: Itself::Excluded, index: Index::Exact, watch }
    }

    /// The rows that may be neighbours of a query, in order of (squared distance, row).
    pub(crate) fn measured(&self, query: usize, rows: impl Iterator<Item = u32>) -> Vec<(f64, u32)> {
        let rows = rows.filter(|&row| !(self.itself == Itself::Excluded && row as usize == query));
        let mut measured = Vec::new();
        measure_into(&mut measured, rows, |rows| self.squared_distances(query, rows));
        measured
    }

    /// Σⱼ (aⱼ − bⱼ)² over the columns that count, in `f64`, from the first to the last, for several b at once: each sum waits
    /// for its last term, but not for those of the others.
    pub(crate) fn squared_distances(&self, a: usize, b: [u32; TOGETHER]) -> [f64; TOGETHER] {
        let values = |row| &self.points.row(row)[self.columns.clone()];
        dispatch(SquaredDistances { a: values(a), b: b.map(|row| values(row as usize)) })
    }
}

/// Rows that are measured together.
pub(crate) const TOGETHER: usize = 8;

struct SquaredDistances<'a> {
    a: &'a [f32],
    b: [&'a [f32]; TOGETHER],
}

impl WithLanes for SquaredDistances<'_> {
    type Output = [f64; TOGETHER];

    #[inline(always)]
    fn with<L: Lanes>(self, _: L) -> [f64; TOGETHER] {
        let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b));
        let mut sums = [0.0; TOGETHER];
        let (chunks, rest) = self.a.as_chunks::<8>();
        for (chunk, a) in chunks.iter().enumerate() {
            // The squares of a row side by side in vectors; the sums in order.
            let mut squares = [[0.0; 8]; TOGETHER];
            for (squares, b) in squares.iter_mut().zip(self.b) {
                let columns = a.iter().zip(&b.as_chunks::<8>().0[chunk]);
                squares.iter_mut().zip(columns).for_each(|(to, (&a, &b))| *to = square(a, b));
            }
            for column in 0..8 {
                sums.iter_mut().zip(&squares).for_each(|(sum, squares)| *sum += squares[column]);
            }
        }
        for (column, &a) in (self.a.len() - rest.len()..).zip(rest) {
            sums.iter_mut().zip(self.b).for_each(|(sum, b)| *sum += square(a, b[column]));
        }
        sums
    }
}

/// The `k` rows nearest to each of the rows `queries`, in ascending order of (Σⱼ (aⱼ − bⱼ)², row number).
///
/// With [`Index::Approximate`], and unless the candidates are so few that it is not worth its while, some rows may be
/// others that are further away; [`Neighbors::recall`] then tells how many were found.
///
/// The result does not depend on the number of threads. Work is one product of queries and candidates, rounded to 16
/// bits, of which no score is stored that cannot matter, and little more than k direct distances per query. Memory is that
/// of the candidates once more, in 16 bits, and of the answer.
///
/// # Errors
///
/// `k` is 0 or more than the candidates that each query has; a row or column does not exist; a value of a
/// query or a candidate is not finite; or [`Search::watch`] broke off.
pub fn nearest(search: &Search<'_>, queries: &[usize], k: usize) -> Result<Neighbors, NeighborsError> {
    let candidates = check(search, queries, k)?;
    match search.index {
        Index::Approximate if candidates.len() >= graph::FEWEST => {
            graph::nearest(search, candidates, queries, k)
        }
        _ => compare(search, candidates, queries, k),
    }
}

/// The candidates in ascending order, once each, if the search can be answered.
fn check(search: &Search<'_>, queries: &[usize], k: usize) -> Result<Vec<usize>, NeighborsError> {
    let (points, Range { start, end }) = (search.points, search.columns.clone());
    let rows = points.rows();
    if k == 0 {
        return Err(NeighborsError::NoneAsked);
    }
    if start >= end || end > points.cols() {
        return Err(NeighborsError::Columns { start, end, cols: points.cols() });
    }
    if u32::try_from(rows).is_err() {
        return Err(NeighborsError::TooManyRows { rows });
    }
    let mut candidates = search.candidates.map_or_else(|| (0..rows).collect(), <[usize]>::to_vec);
    candidates.sort_unstable();
    candidates.dedup();
    for (role, named) in [("query", queries), ("candidate", &candidates)] {
        if let Some(&row) = named.iter().find(|&&row| row >= rows) {
            return Err(NeighborsError::Row { role, row, rows });
        }
    }
    let is_candidate = |query| candidates.binary_search(query).is_ok();
    let left_out = search.itself == Itself::Excluded && queries.iter().any(is_candidate);
    let available = candidates.len() - usize::from(left_out);
    if k > available {
        return Err(NeighborsError::TooFew { k, available });
    }
    let not_finite = |&row: &usize| {
        let values = &points.row(row)[start..end];
        // All of them are looked at before the question is asked, so that it takes no branch for each.
        if values.iter().fold(true, |all, value| all & value.is_finite()) {
            return None;
        }
        let place = values.iter().position(|value| !value.is_finite())?;
        Some(NeighborsError::NotFinite { row, column: start + place, value: values[place] })
    };
    match candidates.par_iter().chain(queries).find_map_first(not_finite) {
        Some(error) => Err(error),
        None => Ok(candidates),
    }
}

#[cfg(test)]
mod tests;
