//! Every query against every candidate; against one another, where queries are candidates, once for both.

use std::{
    ops::{ControlFlow, Range},
    sync::{Mutex, MutexGuard, PoisonError},
};

use expanse_domain::Seed;
use rayon::prelude::*;

use crate::{
    Itself, Neighbors, NeighborsError, Search,
    best::{Best, Candidates},
    scores::{Frame, Panels, Queries},
    tile::{Mirror, QUERIES, Sweep, panel_width},
};

/// Queries of one pass over the candidates, and of one task: a panel stays in the nearest cache for all of them.
const BLOCK: usize = 128;

/// Queries that are answered together, and so meet one another once. It bounds the memory.
const PART: usize = 128 * BLOCK;

/// The `k` nearest candidates of every query, by comparing all of them.
pub(crate) fn compare(
    search: &Search<'_>,
    candidates: Vec<usize>,
    queries: &[usize],
    k: usize,
) -> Result<Neighbors, NeighborsError> {
    let comparison = Comparison::new(search, candidates, queries, k);
    let watch = |answered| match (search.watch)(answered) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(NeighborsError::Cancelled),
    };
    let mut rows = vec![0; queries.len() * k];
    for start in (0..queries.len()).step_by(PART) {
        let part = start..queries.len().min(start + PART);
        let blocks = comparison.blocks(part.clone(), queries);
        let met = if comparison.mutual { part } else { 0..0 };
        if comparison.mutual {
            (0..blocks.len()).into_par_iter().try_for_each(|block| {
                comparison.meet(block, &blocks);
                watch(0)
            })?;
        }
        let answers = blocks.into_par_iter().map(|block| {
            let block = block.into_inner().unwrap_or_else(PoisonError::into_inner);
            let answer = (block.asked.clone(), comparison.answer(block, met.clone()));
            watch(answer.0.len())?;
            Ok(answer)
        });
        for (asked, nearest) in answers.collect::<Result<Vec<_>, NeighborsError>>()? {
            for (&query, nearest) in comparison.asked[asked].iter().zip(nearest.chunks_exact(k)) {
                rows[query as usize * k..][..k].copy_from_slice(nearest);
            }
        }
    }
    Ok(Neighbors { rows, k, sampled: Vec::new() })
}

/// The candidates, ready to be compared with blocks of queries.
struct Comparison<'a> {
    search: &'a Search<'a>,
    k: usize,
    frame: Frame,
    /// The candidates in the order in which they are looked at: the place of a candidate is where it stands here.
    order: Vec<u32>,
    panels: Panels,
    /// The queries in the order in which they are answered.
    asked: Vec<u32>,
    /// Whether every query is a candidate, no two the same one, so that the first places are those of the queries.
    mutual: bool,
}

/// Some queries, and what has been found of their neighbours.
struct Block {
    /// Their numbers in the order in which they are answered.
    asked: Range<usize>,
    rows: Vec<usize>,
    packed: Queries,
    /// What is added to their products where they are candidates, `f32[groups, QUERIES]`; infinite beyond the last.
    floors: Vec<f32>,
    best: Vec<Best>,
    /// The limit of each; below everything beyond the last.
    limits: Vec<f32>,
}

impl<'a> Comparison<'a> {
    fn new(search: &'a Search<'a>, mut candidates: Vec<usize>, queries: &[usize], k: usize) -> Self {
        let count = candidates.len();
        candidates.extend_from_slice(queries);
        let frame = Frame::fit(search.points, search.columns.clone(), &candidates);
        candidates.truncate(count);
        let mut sorted = queries.to_vec();
        sorted.sort_unstable();
        let mutual = sorted.is_sorted_by(|a, b| a < b)
            && sorted.iter().all(|query| candidates.binary_search(query).is_ok());
        let mut asked: Vec<u32> = (0..queries.len() as u32).collect();
        let mut order: Vec<u32> = candidates.into_iter().map(|row| row as u32).collect();
        // Looked at in random order, few candidates are nearer than all before them, however the rows are
        // sorted.
        let mut rng = Seed(0).derive("neighbors", &[]).rng();
        if mutual {
            order.retain(|&row| sorted.binary_search(&(row as usize)).is_err());
            rng.shuffle(&mut asked);
        }
        rng.shuffle(&mut order);
        if mutual {
            let others = std::mem::take(&mut order);
            order = asked.iter().map(|&query| queries[query as usize] as u32).chain(others).collect();
        }
        let panels = frame.candidates(search.points, &order);
        Self { search, k, frame, order, panels, asked, mutual }
    }

    /// The queries of a part, block by block.
    fn blocks(&self, part: Range<usize>, queries: &[usize]) -> Vec<Mutex<Block>> {
        let block = |start: usize| {
            let asked = start..part.end.min(start + BLOCK);
            let rows: Vec<usize> =
                self.asked[asked.clone()].iter().map(|&query| queries[query as usize]).collect();
            let packed = self.frame.queries(self.search.points, &rows);
            let best = packed.norms.iter().map(|&norm| Best::new(self.k, norm)).collect();
            let padded = rows.len().next_multiple_of(QUERIES.max(panel_width()));
            let mut limits = vec![f32::NEG_INFINITY; padded];
            limits[..rows.len()].fill(f32::INFINITY);
            let mut floors = Vec::new();
            if self.mutual {
                floors.extend_from_slice(&self.panels.floors[asked.clone()]);
                floors.resize(padded, f32::INFINITY);
            }
            Mutex::new(Block { asked, rows, packed, floors, best, limits })
        };
        part.clone().into_par_iter().step_by(BLOCK).map(block).collect()
    }

    /// Lets a block meet itself, and half of the others, so that every two blocks meet once.
    fn meet(&self, number: usize, blocks: &[Mutex<Block>]) {
        let count = blocks.len();
        {
            let mut block = lock(&blocks[number]);
            let places = block.asked.clone();
            self.sweep(&mut block, places);
        }
        for step in 1..=count / 2 {
            let other = (number + step) % count;
            if 2 * step == count && other < number {
                continue;
            }
            // In this order everywhere, or two threads might wait for each other.
            let (mut first, mut second) =
                (lock(&blocks[number.min(other)]), lock(&blocks[number.max(other)]));
            self.sweep_mutually(&mut first, &mut second);
        }
    }

    /// The `k` nearest rows of each query of a block, which has met the candidates at the places `met` already.
    fn answer(&self, mut block: Block, met: Range<usize>) -> Vec<u32> {
        self.sweep(&mut block, 0..met.start);
        self.sweep(&mut block, met.end..self.order.len());
        let candidates = self.candidates();
        let queries = block.best.into_iter().zip(block.rows);
        let nearest = queries.flat_map(|(best, query)| {
            best.into_rows(&candidates, move |rows| self.search.squared_distances(query, rows))
        });
        nearest.collect()
    }

    /// Offers the candidates at some places to the queries of a block.
    fn sweep(&self, block: &mut Block, places: Range<usize>) {
        if places.is_empty() {
            return;
        }
        let Block { rows, packed, best, limits, .. } = block;
        let (first, panels, floors) = self.panels_of(&places);
        Sweep {
            columns: self.search.columns.len(),
            panels,
            floors,
            queries: &packed.values,
            limits,
            found: |query, place, score| {
                self.offer((&mut best[query], rows[query]), &places, (first + place, score))
            },
        }
        .run();
    }

    /// Offers the queries of two blocks to each other.
    fn sweep_mutually(&self, block: &mut Block, other: &mut Block) {
        let places = (block.asked.clone(), other.asked.clone());
        let Block { rows, packed, floors: own_floors, best, limits, .. } = block;
        let Block { rows: other_rows, best: other_best, limits: other_limits, .. } = other;
        let (_, panels, floors) = self.panels_of(&places.1);
        let sweep = Sweep {
            columns: self.search.columns.len(),
            panels,
            floors,
            queries: &packed.values,
            limits,
            found: |query, place, score| {
                self.offer((&mut best[query], rows[query]), &places.1, (places.1.start + place, score))
            },
        };
        sweep.run_mirrored(Mirror {
            floors: own_floors,
            limits: other_limits,
            found: |candidate, query, score| {
                let own = (&mut other_best[candidate], other_rows[candidate]);
                self.offer(own, &places.0, (places.0.start + query, score))
            },
        });
    }

    /// Offers a query the candidate at a place, if that is one of `places`, and answers the limit of the query.
    #[inline(always)]
    fn offer(
        &self,
        (best, query): (&mut Best, usize),
        places: &Range<usize>,
        (place, score): (usize, f32),
    ) -> f32 {
        let itself = || self.search.itself == Itself::Excluded && self.order[place] as usize == query;
        if !places.contains(&place) || itself() {
            return best.limit();
        }
        best.offer((place, score), &self.candidates(), |rows| self.search.squared_distances(query, rows))
    }

    fn candidates(&self) -> Candidates<'_> {
        Candidates { frame: &self.frame, floors: &self.panels.floors, rows: &self.order }
    }

    /// The panels that hold some places: their first place, their values and their floors.
    fn panels_of(&self, places: &Range<usize>) -> (usize, &[f32], &[f32]) {
        let (width, columns) = (panel_width(), self.search.columns.len());
        let (first, end) = (places.start / width * width, places.end.next_multiple_of(width));
        (first, &self.panels.values[first * columns..end * columns], &self.panels.floors[first..end])
    }
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}
