use std::ops::{ControlFlow, Range};

use expanse_domain::{MatrixView, Seed};
use rayon::prelude::*;

use crate::{
    Neighbors, NeighborsError,
    best::{Best, Candidates},
    scores::{Frame, Panels},
    tile::{QUERIES, Sweep},
};

/// Queries of one pass over the candidates, and of one task: a panel stays in the nearest cache for all of them.
const QUERY_BLOCK: usize = 128;

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

impl<'a> Search<'a> {
    /// All rows and columns of `points`, a query itself excluded, unwatched.
    pub fn of(points: MatrixView<'a>) -> Self {
        let columns = 0..points.cols();
        let watch = &|_| ControlFlow::Continue(());
        Self { points, candidates: None, columns, itself: Itself::Excluded, watch }
    }
}

/// The `k` rows nearest to each of the rows `queries`, in ascending order of (Σⱼ (aⱼ − bⱼ)², row number).
///
/// The result does not depend on the number of threads. Work is one `f32` product of queries and candidates, of which
/// no score is stored that cannot matter, and little more than k direct distances per query. Memory is that of the
/// candidates once more, in `f32`, and of the answer.
///
/// # Errors
///
/// `k` is 0 or more than the candidates that each query has; a row or column does not exist; a value of a
/// query or a candidate is not finite; or [`Search::watch`] broke off.
pub fn nearest(search: &Search<'_>, queries: &[usize], k: usize) -> Result<Neighbors, NeighborsError> {
    let candidates = check(search, queries, k)?;
    let index = Index::new(search, candidates, queries);
    let mut rows = vec![0; queries.len() * k];
    rows.par_chunks_mut(QUERY_BLOCK * k).zip(queries.par_chunks(QUERY_BLOCK)).try_for_each(
        |(rows, queries)| {
            index.rank(queries, k, rows);
            match (search.watch)(queries.len()) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(NeighborsError::Cancelled),
            }
        },
    )?;
    Ok(Neighbors { rows, k })
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
        let place = values.iter().position(|value| !value.is_finite())?;
        Some(NeighborsError::NotFinite { row, column: start + place, value: values[place] })
    };
    match candidates.par_iter().chain(queries).find_map_first(not_finite) {
        Some(error) => Err(error),
        None => Ok(candidates),
    }
}

/// The candidates, ready to be compared with blocks of queries.
struct Index<'a> {
    search: &'a Search<'a>,
    frame: Frame,
    /// The candidates in the order in which they are looked at.
    order: Vec<u32>,
    panels: Panels,
}

impl<'a> Index<'a> {
    fn new(search: &'a Search<'a>, mut candidates: Vec<usize>, queries: &[usize]) -> Self {
        let count = candidates.len();
        candidates.extend_from_slice(queries);
        let frame = Frame::fit(search.points, search.columns.clone(), &candidates);
        candidates.truncate(count);
        let mut order: Vec<u32> = candidates.into_iter().map(|row| row as u32).collect();
        // Looked at in random order, few candidates are nearer than all before them, however the rows are
        // sorted.
        Seed(0).derive("neighbors", &[]).rng().shuffle(&mut order);
        let panels = frame.candidates(search.points, &order);
        Self { search, frame, order, panels }
    }

    /// Writes the `k` nearest rows of each of a block of queries.
    fn rank(&self, queries: &[usize], k: usize, rows: &mut [u32]) {
        let packed = self.frame.queries(self.search.points, queries);
        let candidates = Candidates { frame: &self.frame, floors: &self.panels.floors, rows: &self.order };
        let mut best: Vec<Best> = packed.norms.iter().map(|&norm| Best::new(k, norm)).collect();
        // Nothing is as low as the limit of a place without a query.
        let mut limits = vec![f32::NEG_INFINITY; queries.len().next_multiple_of(QUERIES)];
        limits[..queries.len()].fill(f32::INFINITY);
        let excluded = self.search.itself == Itself::Excluded;
        let sweep = Sweep {
            columns: self.search.columns.len(),
            panels: &self.panels.values,
            floors: &self.panels.floors,
            queries: &packed.values,
            limits: &mut limits,
            found: |query: usize, place: usize, score| {
                let best: &mut Best = &mut best[query];
                match self.order.get(place) {
                    Some(&row) if !(excluded && row as usize == queries[query]) => {
                        best.offer((place, score), &candidates, |rows| {
                            self.squared_distances(queries[query], rows)
                        })
                    }
                    _ => best.limit(),
                }
            },
        };
        sweep.run();
        for ((rows, best), &query) in rows.chunks_mut(k).zip(best).zip(queries) {
            let nearest = best.into_rows(&candidates, |rows| self.squared_distances(query, rows));
            rows.iter_mut().zip(nearest).for_each(|(to, row)| *to = row);
        }
    }

    /// Σⱼ (aⱼ − bⱼ)² over the columns that count, in `f64`, from the first to the last, for four b at once: each sum waits
    /// for its last term, but not for those of the others.
    fn squared_distances(&self, a: usize, b: [u32; 4]) -> [f64; 4] {
        let values = |row| &self.search.points.row(row)[self.search.columns.clone()];
        let a = values(a);
        let b = b.map(|row| &values(row as usize)[..a.len()]);
        let mut sums = [0.0; 4];
        for (column, &a) in a.iter().enumerate() {
            for (sum, b) in sums.iter_mut().zip(b) {
                let difference = f64::from(a) - f64::from(b[column]);
                *sum += difference * difference;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests;
