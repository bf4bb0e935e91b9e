use std::ops::{ControlFlow, Range};

use expanse_domain::{MatrixView, Seed};
use ndarray::Array2;
use rayon::prelude::*;

use crate::{
    Neighbors, NeighborsError,
    best::Best,
    scores::{Frame, Packed},
};

/// Queries of one matrix product, and of one task.
const QUERY_BLOCK: usize = 128;
/// Candidates of one matrix product.
const TILE: usize = 1024;

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
/// The result does not depend on the number of threads. Work is one `f32` product of queries and candidates,
/// and about k (1 + ln(n / k)) direct distances per query.
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
    for &row in candidates.iter().chain(queries) {
        let values = &points.row(row)[start..end];
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(NeighborsError::NotFinite { row, column: start + place, value: values[place] });
        }
    }
    Ok(candidates)
}

/// The candidates, ready to be compared with blocks of queries.
struct Index<'a> {
    search: &'a Search<'a>,
    frame: Frame,
    /// The candidates in the order in which they are looked at.
    order: Vec<u32>,
    packed: Packed,
}

impl<'a> Index<'a> {
    fn new(search: &'a Search<'a>, mut candidates: Vec<usize>, queries: &[usize]) -> Self {
        let taking_part = [&candidates, queries].concat();
        let frame = Frame::fit(search.points, search.columns.clone(), &taking_part);
        // Looked at in random order, few candidates are nearer than all before them, however the rows are
        // sorted.
        Seed(0).derive("neighbors", &[]).rng().shuffle(&mut candidates);
        let packed = frame.pack(search.points, candidates.iter().copied());
        let order = candidates.iter().map(|&row| row as u32).collect();
        Self { search, frame, order, packed }
    }

    /// Writes the `k` nearest rows of each of a block of queries.
    fn rank(&self, queries: &[usize], k: usize, rows: &mut [u32]) {
        let packed = self.frame.pack(self.search.points, queries.iter().copied());
        let mut best: Vec<Best> = queries.iter().map(|_| Best::new(k)).collect();
        let mut products = Array2::zeros((queries.len(), TILE));
        for start in (0..self.order.len()).step_by(TILE) {
            let tile = start..self.order.len().min(start + TILE);
            let products = self.packed.products(&packed, tile.clone(), &mut products);
            for (place, products) in products.rows().into_iter().enumerate() {
                let query = (queries[place], packed.floors[place]);
                self.compare(query, products.iter().copied(), tile.clone(), &mut best[place]);
            }
        }
        for (rows, best) in rows.chunks_mut(k).zip(best) {
            rows.iter_mut().zip(best.into_rows()).for_each(|(to, row)| *to = row);
        }
    }

    /// Offers to `best` the candidates of a tile, save those whose product with the query proves them too
    /// far.
    fn compare(
        &self,
        (query, query_floor): (usize, f32),
        products: impl Iterator<Item = f32>,
        tile: Range<usize>,
        best: &mut Best,
    ) {
        let mut limit = self.frame.limit(best.worst(), query_floor);
        let candidates = self.order[tile.clone()].iter().zip(&self.packed.floors[tile]);
        for (product, (&row, floor)) in products.zip(candidates) {
            if floor - 2.0 * product > limit {
                continue;
            }
            let itself = self.search.itself == Itself::Excluded && row as usize == query;
            if itself || !best.admits(row) {
                continue;
            }
            best.offer(self.squared_distance(query, row as usize), row);
            limit = self.frame.limit(best.worst(), query_floor);
        }
    }

    /// Σⱼ (aⱼ − bⱼ)² over the columns that count, in `f64`, from the first to the last.
    fn squared_distance(&self, a: usize, b: usize) -> f64 {
        let values = |row| &self.search.points.row(row)[self.search.columns.clone()];
        values(a).iter().zip(values(b)).fold(0.0, |sum, (&a, &b)| {
            let difference = f64::from(a) - f64::from(b);
            sum + difference * difference
        })
    }
}

#[cfg(test)]
mod tests;
