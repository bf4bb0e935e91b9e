//! Approximate neighbours: a graph of the candidates, in which each is linked to some near it, and along which a query
//! walks towards its neighbours (hierarchical navigable small worlds; Malkov, Yashunin, IEEE TPAMI 2020).

use std::{
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicU32, Ordering},
};

use expanse_domain::Seed;
use instant_distance::{Builder, Heuristic, Hnsw, Point};
use rayon::prelude::*;

use crate::{Neighbors, NeighborsError, Search, comparison::compare, frame::Frame};

/// Fewer candidates than this are compared one by one, which is as fast, and exact.
pub(crate) const FEWEST: usize = 4096;

/// Candidates that are kept on the way, at least; more are kept where more neighbours are asked for.
const BREADTH: usize = 100;

/// Queries whose neighbours are also searched exactly, to tell the recall.
const SAMPLED: usize = 256;

/// Queries of one task.
const QUERY_BLOCK: usize = 128;

/// Distances between two looks at the wish to cancel.
const BEAT: u32 = 1 << 16;

/// Values that are summed side by side; rows are filled up with zeros to a multiple of it.
const LANES: usize = 16;

/// A packed row.
#[derive(Clone, Copy)]
struct Row<'a> {
    values: &'a [f32],
    number: u32,
    /// Told of every distance measured from this row.
    pulse: Option<&'a Pulse<'a>>,
}

/// Asks now and then whether to stop, from within a library that does not.
struct Pulse<'a> {
    watch: &'a (dyn Fn(usize) -> ControlFlow<()> + Sync),
    beats: AtomicU32,
}

/// What unwinds the library's stack when it is to stop.
struct Stopped;

impl Point for Row<'_> {
    /// The squared distance, which orders as the distance does.
    fn distance(&self, other: &Self) -> f32 {
        if let Some(pulse) = self.pulse {
            pulse.beat();
        }
        let mut sums = [0.0_f32; LANES];
        for (a, b) in self.values.as_chunks::<LANES>().0.iter().zip(other.values.as_chunks::<LANES>().0) {
            for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += (a - b) * (a - b);
            }
        }
        sums.iter().sum()
    }
}

impl Pulse<'_> {
    fn beat(&self) {
        // One thread builds, so nothing is lost between the two.
        let beats = self.beats.load(Ordering::Relaxed).wrapping_add(1);
        self.beats.store(beats, Ordering::Relaxed);
        if beats.is_multiple_of(BEAT) && (self.watch)(0).is_break() {
            panic::resume_unwind(Box::new(Stopped));
        }
    }
}

/// The `k` nearest of those candidates that a walk along the graph meets, and how many of the nearest are among them for
/// a sample of the queries.
pub(crate) fn nearest(
    search: &Search<'_>,
    candidates: Vec<usize>,
    queries: &[usize],
    k: usize,
) -> Result<Neighbors, NeighborsError> {
    let width = search.columns.len().next_multiple_of(LANES);
    let frame = Frame::fit(search.points, search.columns.clone(), &candidates);
    let pack = |row: usize, values: &mut [f32]| frame.pack(search.points, row, values);
    let mut packed = vec![0.0; candidates.len() * width];
    packed.par_chunks_mut(width).zip(&candidates).for_each(|(values, &row)| pack(row, values));
    let pulse = Pulse { watch: search.watch, beats: AtomicU32::new(0) };
    let rows = packed.chunks_exact(width).zip(&candidates);
    let rows = rows.map(|(values, &row)| Row { values, number: row as u32, pulse: Some(&pulse) });
    let graph = build(rows.collect(), k)?;

    let mut rows = vec![0; queries.len() * k];
    rows.par_chunks_mut(QUERY_BLOCK * k).zip(queries.par_chunks(QUERY_BLOCK)).try_for_each(
        |(rows, queries)| {
            let (mut walk, mut values) = (instant_distance::Search::default(), vec![0.0; width]);
            for (rows, &query) in rows.chunks_exact_mut(k).zip(queries) {
                pack(query, &mut values);
                let start = Row { values: &values, number: query as u32, pulse: None };
                let met = graph.search(&start, &mut walk).map(|item| item.point.number);
                let mut measured = search.measured(query, met);
                if measured.len() < k {
                    // A walk ends early among rows that are linked to one another alone.
                    measured = search.measured(query, candidates.iter().map(|&row| row as u32));
                }
                rows.iter_mut().zip(measured).for_each(|(to, (_, row))| *to = row);
            }
            match (search.watch)(queries.len()) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(NeighborsError::Cancelled),
            }
        },
    )?;
    let sampled = sample(search, candidates, queries, &rows)?;
    Ok(Neighbors { rows, k, sampled })
}

/// Links the rows, on one thread: with more, the links would depend on which of them arrives first.
fn build<'a>(rows: Vec<Row<'a>>, k: usize) -> Result<Hnsw<Row<'a>>, NeighborsError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| NeighborsError::NoThread { message: error.to_string() })?;
    let builder = Builder::default().seed(Seed(0).derive("neighbors-graph", &[]).0);
    // Links of one kind alone, those to rows that no nearer link leads to: with the others, too, the graph takes twice as
    // long, and finds hardly more.
    let links = Heuristic { extend_candidates: false, keep_pruned: false };
    let builder = builder.select_heuristic(Some(links));
    // One more than asked for, as a query may meet itself.
    let builder = builder.ef_construction(BREADTH).ef_search(BREADTH.max(2 * (k + 1)));
    let built = panic::catch_unwind(AssertUnwindSafe(|| pool.install(|| builder.build_hnsw(rows))));
    match built {
        Ok((graph, _)) => Ok(graph),
        Err(payload) if payload.is::<Stopped>() => Err(NeighborsError::Cancelled),
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// How many of the nearest were found, for queries at even distances among all.
fn sample(
    search: &Search<'_>,
    candidates: Vec<usize>,
    queries: &[usize],
    rows: &[u32],
) -> Result<Vec<(usize, usize)>, NeighborsError> {
    let (count, k) = (queries.len().min(SAMPLED), rows.len() / queries.len().max(1));
    let places: Vec<usize> = (0..count).map(|number| number * queries.len() / count).collect();
    let sampled: Vec<usize> = places.iter().map(|&place| queries[place]).collect();
    let exact = Search { watch: &|_| (search.watch)(0), ..search.clone() };
    let nearest = compare(&exact, candidates, &sampled, k)?;
    let found = |(number, &place): (usize, &usize)| {
        let found = &rows[place * k..][..k];
        (place, nearest.row(number).iter().filter(|row| found.contains(row)).count())
    };
    Ok(places.iter().enumerate().map(found).collect())
}
