//! The product of a block of queries with candidates, and the look at every score, in vector registers.
//!
//! A score is never stored unless it is low enough: `n` queries and `m` candidates take `n · m` multiplications and
//! additions per column, but no memory for `n · m` numbers.

use crate::lanes::{Lanes, WithLanes, dispatch};

/// Queries that one pass over a panel takes together: with two vectors of candidates, their sums fill sixteen
/// registers.
pub(crate) const QUERIES: usize = 8;

/// Candidates in one panel: what [`QUERIES`] queries meet in one pass over its columns.
pub(crate) fn panel_width() -> usize {
    struct Width;
    impl WithLanes for Width {
        type Output = usize;
        #[inline(always)]
        fn with<L: Lanes>(self, _: L) -> usize {
            L::LANES * L::VECTORS
        }
    }
    dispatch(Width)
}

/// What is added to the product of a candidate that is none: more than any score.
pub(crate) const NO_CANDIDATE: i32 = 900_000_000;

/// The limit of a query that leaves nothing out.
pub(crate) const UNLIMITED: i32 = NO_CANDIDATE - 1;

/// The limit of a query that is none: less than any score.
pub(crate) const NO_QUERY: i32 = -300_000_000;

/// A score that does not exceed the limit that its query had.
#[derive(Clone, Copy, Default)]
pub(crate) struct Found {
    pub query: u32,
    /// Where the candidate stands in the panels.
    pub place: u32,
    pub score: i32,
}

/// A block of queries against panels of candidates.
pub(crate) struct Sweep<'a, F: FnMut(&[Found], &mut [i32])> {
    /// Pairs of columns of a row.
    pub pairs: usize,
    /// `i16[panels, pairs, vectors, 2 · lanes]`.
    pub panels: &'a [i16],
    /// What is added to the product of each candidate, `i32[panels, panel width]`.
    pub norms: &'a [i32],
    /// `i16[groups, pairs, QUERIES, 2]`.
    pub queries: &'a [i16],
    /// By query: scores up to here are told; `i32[groups, QUERIES]`.
    pub limits: &'a mut [i32],
    /// Is told what was found, panel by panel, and lowers the limits.
    pub take: F,
    /// Empty.
    pub finds: &'a mut Finds,
}

impl<F: FnMut(&[Found], &mut [i32])> Sweep<'_, F> {
    /// Tells every score that does not exceed the limit of its query.
    pub(crate) fn run(self) {
        dispatch(Run { sweep: self, aside: Nothing });
    }

    /// Tells every score that does not exceed the limit of its query, and every score the other way round that does
    /// not exceed the limit of its candidate.
    pub(crate) fn run_mirrored<G: FnMut(&[Found], &mut [i32])>(self, mirror: Mirror<'_, G>) {
        dispatch(Run { sweep: self, aside: mirror });
    }
}

/// The same products, looked at from the candidates, for which each query is a candidate, too.
pub(crate) struct Mirror<'a, F: FnMut(&[Found], &mut [i32])> {
    /// What is added to the product of each query, `i32[groups, QUERIES]`.
    pub norms: &'a [i32],
    /// By candidate: scores up to here are told; `i32[panels, panel width]`.
    pub limits: &'a mut [i32],
    /// Is told what was found, with the parts of query and candidate exchanged, and lowers the limits.
    pub take: F,
    /// Empty.
    pub finds: &'a mut Finds,
}

/// What was found and not yet told: so little that it stays in the nearest cache.
pub(crate) struct Finds {
    found: [Found; 512],
    count: usize,
}

impl Default for Finds {
    fn default() -> Self {
        Self { found: [Found::default(); 512], count: 0 }
    }
}

impl Finds {
    /// Whether all scores of a panel and a group of queries find room.
    #[inline(always)]
    fn has_room(&self, width: usize) -> bool {
        self.count + QUERIES * width <= self.found.len()
    }

    /// Adds the scores of the lanes `low`.
    #[inline(always)]
    fn add(&mut self, scores: &[i32], mut low: u64, found: impl Fn(usize, i32) -> Found) {
        while low != 0 {
            let lane = low.trailing_zeros() as usize;
            low &= low - 1;
            self.found[self.count] = found(lane, scores[lane]);
            self.count += 1;
        }
    }

    #[inline(always)]
    fn tell(&mut self, take: &mut impl FnMut(&[Found], &mut [i32]), limits: &mut [i32]) {
        if self.count > 0 {
            take(&self.found[..self.count], limits);
            self.count = 0;
        }
    }
}

/// What is done with the products of a group of queries and a panel besides.
trait Aside {
    fn look<L: Lanes, const V: usize>(
        &mut self,
        lanes: L,
        place: (usize, usize),
        products: &[[L::Sums; V]; QUERIES],
    );

    /// After the last group.
    fn tell(&mut self);
}

/// Nothing.
struct Nothing;

impl Aside for Nothing {
    #[inline(always)]
    fn look<L: Lanes, const V: usize>(&mut self, _: L, _: (usize, usize), _: &[[L::Sums; V]; QUERIES]) {}

    #[inline(always)]
    fn tell(&mut self) {}
}

impl<F: FnMut(&[Found], &mut [i32])> Aside for Mirror<'_, F> {
    #[inline(always)]
    fn look<L: Lanes, const V: usize>(
        &mut self,
        lanes: L,
        (group, panel): (usize, usize),
        products: &[[L::Sums; V]; QUERIES],
    ) {
        let Self { norms, limits, take, finds } = self;
        let norms = &norms.as_chunks::<QUERIES>().0[group];
        let width = L::LANES * V;
        let score = |query: usize, v: usize| lanes.add(products[query][v], lanes.splat(norms[query]));
        let of_panel: [L::Sums; V] = std::array::from_fn(|v| {
            vectors::<L::Sums, i32>(&limits[panel * width + v * L::LANES..][..L::LANES])[0]
        });
        let any = (0..V).fold(0, |any, v| {
            let least = (1..QUERIES).fold(score(0, v), |least, query| lanes.min(least, score(query, v)));
            any | lanes.at_most(least, of_panel[v])
        });
        if any != 0 {
            if !finds.has_room(width) {
                finds.tell(take, limits);
            }
            for query in 0..QUERIES {
                let scores: [L::Sums; V] = std::array::from_fn(|v| score(query, v));
                let low =
                    (0..V).fold(0, |all, v| all | lanes.at_most(scores[v], of_panel[v]) << (v * L::LANES));
                finds.add(bytemuck::cast_slice(&scores), low, |lane, score| Found {
                    query: (panel * width + lane) as u32,
                    place: (group * QUERIES + query) as u32,
                    score,
                });
            }
        }
    }

    #[inline(always)]
    fn tell(&mut self) {
        let Self { limits, take, finds, .. } = self;
        finds.tell(take, limits);
    }
}

struct Run<'a, F: FnMut(&[Found], &mut [i32]), A> {
    sweep: Sweep<'a, F>,
    aside: A,
}

impl<F: FnMut(&[Found], &mut [i32]), A: Aside> WithLanes for Run<'_, F, A> {
    type Output = ();

    #[inline(always)]
    fn with<L: Lanes>(self, lanes: L) {
        match L::VECTORS {
            1 => sweep::<L, F, A, 1>(lanes, self),
            _ => sweep::<L, F, A, 2>(lanes, self),
        }
    }
}

#[inline(always)]
fn sweep<L: Lanes, F: FnMut(&[Found], &mut [i32]), A: Aside, const V: usize>(lanes: L, run: Run<'_, F, A>) {
    let Run { sweep, mut aside } = run;
    let Sweep { pairs, panels, norms, queries, limits, mut take, finds } = sweep;
    let panels = vectors::<L::Pairs, i16>(panels).as_chunks::<V>().0.chunks_exact(pairs);
    let norms = vectors::<L::Sums, i32>(norms).as_chunks::<V>().0;
    let queries = queries.as_chunks::<2>().0.as_chunks::<QUERIES>().0;
    let width = L::LANES * V;
    for (panel, (rows, norms)) in panels.zip(norms).enumerate() {
        for (group, queries) in queries.chunks_exact(pairs).enumerate() {
            let sums = products(lanes, rows, queries);
            aside.look(lanes, (group, panel), &sums);
            let of_group = &limits.as_chunks::<QUERIES>().0[group];
            // What is at most 0 exceeds no limit.
            let beyond = |query: usize, v: usize| lanes.add(sums[query][v], lanes.splat(-of_group[query]));
            let any = (0..V).fold(0, |any, v| {
                let least =
                    (1..QUERIES).fold(beyond(0, v), |least, query| lanes.min(least, beyond(query, v)));
                any | lanes.at_most(lanes.add(least, norms[v]), lanes.splat(0))
            });
            if any != 0 {
                for (query, sums) in sums.iter().enumerate() {
                    let limit = lanes.splat(of_group[query]);
                    let scores: [L::Sums; V] = std::array::from_fn(|v| lanes.add(sums[v], norms[v]));
                    let low =
                        (0..V).fold(0, |all, v| all | lanes.at_most(scores[v], limit) << (v * L::LANES));
                    finds.add(bytemuck::cast_slice(&scores), low, |lane, score| Found {
                        query: (group * QUERIES + query) as u32,
                        place: (panel * width + lane) as u32,
                        score,
                    });
                }
                if !finds.has_room(width) {
                    finds.tell(&mut take, limits);
                }
            }
        }
        finds.tell(&mut take, limits);
        aside.tell();
    }
}

/// The products of a panel and a group of queries.
#[inline(always)]
fn products<L: Lanes, const V: usize>(
    lanes: L,
    rows: &[[L::Pairs; V]],
    queries: &[[[i16; 2]; QUERIES]],
) -> [[L::Sums; V]; QUERIES] {
    let mut sums = [[lanes.splat(0); V]; QUERIES];
    for (row, query) in rows.iter().zip(queries) {
        for (sums, &pair) in sums.iter_mut().zip(query) {
            let pair = lanes.splat_pair(pair);
            for (sum, &candidates) in sums.iter_mut().zip(row) {
                *sum = lanes.multiply_add(pair, candidates, *sum);
            }
        }
    }
    sums
}

/// Numbers as vectors of them; those that fill none are left out.
#[inline(always)]
fn vectors<V: bytemuck::Pod, N: bytemuck::Pod>(numbers: &[N]) -> &[V] {
    let whole = size_of_val(numbers) / size_of::<V>() * (size_of::<V>() / size_of::<N>());
    bytemuck::cast_slice(&numbers[..whole])
}

/// The least scores of queries, over some panels: for each place in a panel that of the candidates that stand there.
pub(crate) struct Least<'a> {
    /// Pairs of columns of a row.
    pub pairs: usize,
    /// As those of a [`Sweep`].
    pub panels: &'a [i16],
    /// As those of a [`Sweep`].
    pub norms: &'a [i32],
    /// Which of the panels.
    pub among: &'a [usize],
    /// As those of a [`Sweep`].
    pub queries: &'a [i16],
    /// `i32[groups, QUERIES, panel width]`.
    pub least: &'a mut [i32],
}

impl Least<'_> {
    pub(crate) fn run(self) {
        dispatch(self);
    }
}

impl WithLanes for Least<'_> {
    type Output = ();

    #[inline(always)]
    fn with<L: Lanes>(self, lanes: L) {
        match L::VECTORS {
            1 => least::<L, 1>(lanes, self),
            _ => least::<L, 2>(lanes, self),
        }
    }
}

#[inline(always)]
fn least<L: Lanes, const V: usize>(lanes: L, of: Least<'_>) {
    let Least { pairs, panels, norms, among, queries, least } = of;
    let panels = vectors::<L::Pairs, i16>(panels).as_chunks::<V>().0;
    let norms = vectors::<L::Sums, i32>(norms).as_chunks::<V>().0;
    let queries = queries.as_chunks::<2>().0.as_chunks::<QUERIES>().0.chunks_exact(pairs);
    let width = L::LANES * V;
    for (queries, least) in queries.zip(least.chunks_exact_mut(QUERIES * width)) {
        let mut lowest = [[lanes.splat(i32::MAX); V]; QUERIES];
        for &panel in among {
            let sums = products(lanes, &panels[panel * pairs..][..pairs], queries);
            for (lowest, sums) in lowest.iter_mut().zip(sums) {
                for (v, (lowest, sum)) in lowest.iter_mut().zip(sums).enumerate() {
                    *lowest = lanes.min(*lowest, lanes.add(sum, norms[panel][v]));
                }
            }
        }
        for (least, lowest) in least.chunks_exact_mut(width).zip(&lowest) {
            least.copy_from_slice(bytemuck::cast_slice(lowest));
        }
    }
}
