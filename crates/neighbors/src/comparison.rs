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
    grid::{Grid, Panels, Queries, Rounded},
    tile::{Finds, Found, Least, Mirror, NO_CANDIDATE, NO_QUERY, QUERIES, Sweep, panel_width},
};

/// Queries of one pass over the candidates, and of one task: a panel stays in the nearest cache for all of them.
const BLOCK: usize = 128;

/// Queries that are answered together, and so meet one another once. It bounds the memory.
const PART: usize = 128 * BLOCK;

/// One of so many panels is a sample of all.
const SAMPLED: usize = 32;

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
    grid: Grid,
    /// The candidates in the order in which they are looked at: the place of a candidate is where it stands here.
    order: Vec<u32>,
    panels: Panels,
    /// Panels from which the first limits are found.
    sample: Vec<usize>,
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
    /// What is added to their products where they are candidates, `i32[groups, QUERIES]`.
    norms: Vec<i32>,
    best: Vec<Best>,
    /// The limit of each; below everything beyond the last.
    limits: Vec<i32>,
}

impl<'a> Comparison<'a> {
    fn new(search: &'a Search<'a>, candidates: Vec<usize>, queries: &[usize], k: usize) -> Self {
        let grid = Grid::fit(search.points, search.columns.clone(), &candidates);
        let mut sorted = queries.to_vec();
        sorted.sort_unstable();
        // Both ascend, so that one walk along both tells the candidates that are no queries.
        let mut unmet = sorted.iter().peekable();
        let is_other = |&row: &usize| unmet.next_if(|&&query| query == row).is_none();
        let others: Vec<u32> = candidates.iter().copied().filter(is_other).map(|row| row as u32).collect();
        let mutual = unmet.peek().is_none() && sorted.is_sorted_by(|a, b| a < b);
        let mut asked: Vec<u32> = (0..queries.len() as u32).collect();
        // Looked at in random order, few candidates are nearer than all before them, however the rows are
        // sorted.
        let mut rng = Seed(0).derive("neighbors", &[]).rng();
        let order = if mutual {
            let mut others = others;
            rng.shuffle(&mut asked);
            rng.shuffle(&mut others);
            asked.iter().map(|&query| queries[query as usize] as u32).chain(others).collect()
        } else {
            let mut order: Vec<u32> = candidates.into_iter().map(|row| row as u32).collect();
            rng.shuffle(&mut order);
            order
        };
        let panels = grid.candidates(search.points, &order);
        let sample = sample(&panels, order.len(), k);
        Self { search, k, grid, order, panels, sample, asked, mutual }
    }

    /// The queries of a part, block by block.
    fn blocks(&self, part: Range<usize>, queries: &[usize]) -> Vec<Mutex<Block>> {
        let block = |start: usize| {
            let asked = start..part.end.min(start + BLOCK);
            let rows: Vec<usize> =
                self.asked[asked.clone()].iter().map(|&query| queries[query as usize]).collect();
            let packed = self.grid.queries(self.search.points, &rows);
            let best = |&query: &Rounded| Best::new(self.k, query, &self.candidates());
            let mut best: Vec<Best> = packed.rounded.iter().map(best).collect();
            self.leave_out(&packed, &mut best);
            let padded = rows.len().next_multiple_of(QUERIES.max(panel_width()));
            let mut limits: Vec<i32> = best.iter().map(Best::limit).collect();
            limits.resize(padded, NO_QUERY);
            let mut norms = Vec::new();
            if self.mutual {
                norms.extend_from_slice(&self.panels.norms[asked.clone()]);
                norms.resize(padded, NO_CANDIDATE);
            }
            Mutex::new(Block { asked, rows, packed, norms, best, limits })
        };
        part.clone().into_par_iter().step_by(BLOCK).map(block).collect()
    }

    /// Finds first limits: in a sample, the least scores at different places in a panel are those of different
    /// candidates, of which a query itself may be one.
    fn leave_out(&self, queries: &Queries, best: &mut [Best]) {
        if self.sample.is_empty() {
            return;
        }
        let mut least = vec![0; best.len().next_multiple_of(QUERIES) * panel_width()];
        Least {
            pairs: self.grid.pairs(),
            panels: &self.panels.values,
            norms: &self.panels.norms,
            among: &self.sample,
            queries: &queries.values,
            least: &mut least,
        }
        .run();
        for (best, least) in best.iter_mut().zip(least.chunks_exact_mut(panel_width())) {
            let score = *least.select_nth_unstable(self.k).1;
            best.leave_out(score, &self.candidates());
        }
    }

    /// Lets a block meet itself, and half of the others, so that every two blocks meet once.
    fn meet(&self, number: usize, blocks: &[Mutex<Block>]) {
        let count = blocks.len();
        let mut finds = [Finds::default(), Finds::default()];
        {
            let mut block = lock(&blocks[number]);
            let places = block.asked.clone();
            self.sweep(&mut block, places, &mut finds[0]);
        }
        for step in 1..=count / 2 {
            let other = (number + step) % count;
            if 2 * step == count && other < number {
                continue;
            }
            // In this order everywhere, or two threads might wait for each other.
            let (mut first, mut second) =
                (lock(&blocks[number.min(other)]), lock(&blocks[number.max(other)]));
            self.sweep_mutually(&mut first, &mut second, &mut finds);
        }
    }

    /// The `k` nearest rows of each query of a block, which has met the candidates at the places `met` already.
    fn answer(&self, mut block: Block, met: Range<usize>) -> Vec<u32> {
        let mut finds = Finds::default();
        self.sweep(&mut block, 0..met.start, &mut finds);
        self.sweep(&mut block, met.end..self.order.len(), &mut finds);
        let candidates = self.candidates();
        let queries = block.best.into_iter().zip(block.rows);
        let nearest = queries.flat_map(|(best, query)| {
            best.into_rows(&candidates, move |rows| self.search.squared_distances(query, rows))
        });
        nearest.collect()
    }

    /// Offers the candidates at some places to the queries of a block.
    fn sweep(&self, block: &mut Block, places: Range<usize>, finds: &mut Finds) {
        if places.is_empty() {
            return;
        }
        let Block { rows, packed, best, limits, .. } = block;
        let (first, panels, norms) = self.panels_of(&places);
        Sweep {
            pairs: self.grid.pairs(),
            panels,
            norms,
            queries: &packed.values,
            limits,
            take: |found, limits| self.offer((best, rows), (&places, first), found, limits),
            finds,
        }
        .run();
    }

    /// Offers the queries of two blocks to each other.
    fn sweep_mutually(&self, block: &mut Block, other: &mut Block, [finds, mirrored]: &mut [Finds; 2]) {
        let places = (block.asked.clone(), other.asked.clone());
        let Block { rows, packed, norms: own_norms, best, limits, .. } = block;
        let Block { rows: other_rows, best: other_best, limits: other_limits, .. } = other;
        let (_, panels, norms) = self.panels_of(&places.1);
        let sweep = Sweep {
            pairs: self.grid.pairs(),
            panels,
            norms,
            queries: &packed.values,
            limits,
            take: |found, limits| self.offer((best, rows), (&places.1, places.1.start), found, limits),
            finds,
        };
        sweep.run_mirrored(Mirror {
            norms: own_norms,
            limits: other_limits,
            take: |found, limits| {
                self.offer((other_best, other_rows), (&places.0, places.0.start), found, limits)
            },
            finds: mirrored,
        });
    }

    /// Offers queries the candidates that were found for them, if they are at one of `places`, and sets their limits.
    fn offer(
        &self,
        (best, rows): (&mut [Best], &[usize]),
        (places, first): (&Range<usize>, usize),
        found: &[Found],
        limits: &mut [i32],
    ) {
        let candidates = self.candidates();
        for &Found { query, place, score } in found {
            let (query, place) = (query as usize, first + place as usize);
            // Since it was found, the limit may have been lowered.
            if score > limits[query] || !places.contains(&place) {
                continue;
            }
            let row = rows[query];
            if self.search.itself == Itself::Excluded && self.order[place] as usize == row {
                continue;
            }
            let measure = |rows| self.search.squared_distances(row, rows);
            limits[query] = best[query].offer((place as u32, score), &candidates, measure);
        }
    }

    fn candidates(&self) -> Candidates<'_> {
        Candidates { grid: &self.grid, panels: &self.panels, rows: &self.order }
    }

    /// The panels that hold some places: their first place, their values and their norms.
    fn panels_of(&self, places: &Range<usize>) -> (usize, &[i16], &[i32]) {
        let (width, values) = (panel_width(), 2 * self.grid.pairs());
        let (first, end) = (places.start / width * width, places.end.next_multiple_of(width));
        (first, &self.panels.values[first * values..end * values], &self.panels.norms[first..end])
    }
}

/// A share of the panels that hold `count` candidates, without those with a row that was drawn in far; none for many
/// neighbours.
fn sample(panels: &Panels, count: usize, k: usize) -> Vec<usize> {
    let width = panel_width();
    if k >= width / 2 {
        return Vec::new();
    }
    let is_near = |panel: &usize| (panel * width..(panel + 1) * width).all(|place| panels.is_near(place));
    (0..count / width).skip(SAMPLED / 2).step_by(SAMPLED).filter(is_near).collect()
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}
