//! The product of a block of queries with all candidates, and the look at every score, in vector registers.
//!
//! A score is never stored unless it is low enough: `n` queries and `m` candidates take `n · m` multiplications and
//! additions per column, but no memory for `n · m` numbers.

use pulp::{Simd, WithSimd};

/// Queries that one pass over a panel takes together: with two vectors of candidates, their sums fill sixteen
/// registers.
pub(crate) const QUERIES: usize = 8;

/// Candidates in one panel: what [`QUERIES`] queries meet in one pass over its columns.
pub(crate) fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES * vectors::<S>()
        }
    }
    dispatch(Width)
}

/// A block of queries against panels of candidates.
pub(crate) struct Sweep<'a, F> {
    /// Columns of a row.
    pub columns: usize,
    /// `f32[panels, columns, panel width]`.
    pub panels: &'a [f32],
    /// What is added to the product of each candidate, `f32[panels, panel width]`.
    pub floors: &'a [f32],
    /// `f32[groups, columns, QUERIES]`.
    pub queries: &'a [f32],
    /// By query: scores up to here are told; `f32[groups, QUERIES]`.
    pub limits: &'a mut [f32],
    /// Is told query, candidate and score, and answers the query's limit from then on.
    pub found: F,
}

impl<F: FnMut(usize, usize, f32) -> f32> Sweep<'_, F> {
    /// Tells every score that does not exceed the limit of its query, by panel, then by query.
    pub(crate) fn run(self) {
        dispatch(Run { sweep: self, aside: Nothing });
    }
}

/// The same products, looked at from the candidates, for which each query is a candidate, too.
pub(crate) struct Mirror<'a, F> {
    /// What is added to the product of each query, `f32[groups, QUERIES]`.
    pub floors: &'a [f32],
    /// By candidate: scores up to here are told; `f32[panels, panel width]`.
    pub limits: &'a mut [f32],
    /// Is told candidate, query and score, and answers the candidate's limit from then on.
    pub found: F,
}

/// What is done with the products of a group of queries and a panel besides.
trait Aside {
    fn look<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        place: (usize, usize),
        products: &[[S::f32s; V]; QUERIES],
    );
}

/// Nothing.
struct Nothing;

impl Aside for Nothing {
    #[inline(always)]
    fn look<S: Simd, const V: usize>(&mut self, _: S, _: (usize, usize), _: &[[S::f32s; V]; QUERIES]) {}
}

impl<F: FnMut(usize, usize, f32) -> f32> Aside for Mirror<'_, F> {
    #[inline(always)]
    fn look<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        (group, panel): (usize, usize),
        products: &[[S::f32s; V]; QUERIES],
    ) {
        let Self { floors, limits, found } = self;
        let floors = &floors.as_chunks::<QUERIES>().0[group];
        let width = S::F32_LANES * V;
        let limits = &mut limits[panel * width..][..width];
        let score =
            |query: usize, v: usize| simd.add_f32s(products[query][v], simd.splat_f32s(floors[query]));
        let low = |scores, limits: &[f32], v: usize| {
            bits::<S>(simd.less_than_or_equal_f32s(scores, S::as_simd_f32s(limits).0[v]))
        };
        let any = (0..V).fold(0, |any, v| {
            let least = (1..QUERIES).fold(score(0, v), |least, query| simd.min_f32s(least, score(query, v)));
            any | low(least, limits, v)
        });
        if any != 0 {
            for query in 0..QUERIES {
                for v in 0..V {
                    let scores = score(query, v);
                    let low = low(scores, limits, v);
                    if low != 0 {
                        let place = (group * QUERIES + query, panel * width + v * S::F32_LANES);
                        let limits = &mut limits[v * S::F32_LANES..][..S::F32_LANES];
                        let scores = bytemuck::cast_slice::<S::f32s, f32>(std::slice::from_ref(&scores));
                        tell_mirrored(place, (scores, low), limits, found);
                    }
                }
            }
        }
    }
}

impl<F: FnMut(usize, usize, f32) -> f32> Sweep<'_, F> {
    /// Tells every score that does not exceed the limit of its query, and every score the other way round that does
    /// not exceed the limit of its candidate.
    pub(crate) fn run_mirrored<G: FnMut(usize, usize, f32) -> f32>(self, mirror: Mirror<'_, G>) {
        dispatch(Run { sweep: self, aside: mirror });
    }
}

struct Run<'a, F, A> {
    sweep: Sweep<'a, F>,
    aside: A,
}

impl<F: FnMut(usize, usize, f32) -> f32, A: Aside> WithSimd for Run<'_, F, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match vectors::<S>() {
            1 => sweep::<S, F, A, 1>(simd, self),
            _ => sweep::<S, F, A, 2>(simd, self),
        }
    }
}

/// Vectors of candidates in a panel. Where there are but sixteen registers, one leaves room for the sums.
fn vectors<S: Simd>() -> usize {
    if S::F32_LANES == 8 || S::F32_LANES == 1 { 1 } else { 2 }
}

#[inline(always)]
fn sweep<S: Simd, F: FnMut(usize, usize, f32) -> f32, A: Aside, const V: usize>(simd: S, run: Run<'_, F, A>) {
    let Run { sweep, mut aside } = run;
    let Sweep { columns, panels, floors, queries, limits, mut found } = sweep;
    let panels = S::as_simd_f32s(panels).0.as_chunks::<V>().0.chunks_exact(columns);
    let floors = S::as_simd_f32s(floors).0.as_chunks::<V>().0;
    let groups = queries.as_chunks::<QUERIES>().0;
    let limits = limits.as_chunks_mut::<QUERIES>().0;
    for (panel, (rows, floors)) in panels.zip(floors).enumerate() {
        for (group, (queries, limits)) in groups.chunks_exact(columns).zip(&mut *limits).enumerate() {
            let mut sums = [[simd.splat_f32s(0.0); V]; QUERIES];
            for (row, query) in rows.iter().zip(queries) {
                for (sums, &value) in sums.iter_mut().zip(query) {
                    let value = simd.splat_f32s(value);
                    for (sum, &candidates) in sums.iter_mut().zip(row) {
                        *sum = simd.mul_add_f32s(value, candidates, *sum);
                    }
                }
            }
            aside.look(simd, (group, panel), &sums);
            for (query, (sums, limit)) in sums.into_iter().zip(limits).enumerate() {
                let scores: [S::f32s; V] = std::array::from_fn(|v| simd.add_f32s(sums[v], floors[v]));
                let least = scores.into_iter().reduce(|a, b| simd.min_f32s(a, b)).unwrap_or(scores[0]);
                let low = simd.less_than_or_equal_f32s(least, simd.splat_f32s(*limit));
                if bits::<S>(low) != 0 {
                    let limits = simd.splat_f32s(*limit);
                    let low = scores.map(|scores| bits::<S>(simd.less_than_or_equal_f32s(scores, limits)));
                    let low = low.iter().rev().fold(0, |lanes, low| lanes << S::F32_LANES | low);
                    let scores = bytemuck::cast_slice::<S::f32s, f32>(&scores);
                    let place = panel * scores.len();
                    tell((group * QUERIES + query, place), (scores, low), limit, &mut found);
                }
            }
        }
    }
}

/// The lanes of a mask as bits, the first one lowest.
#[inline(always)]
fn bits<S: Simd>(mask: S::m32s) -> u64 {
    let bytes = bytemuck::bytes_of(&mask);
    match *bytes {
        [one] => u64::from(one),
        [low, high] => u64::from(u16::from_le_bytes([low, high])),
        _ => bytes.chunks_exact(4).rev().fold(0, |bits, lane| bits << 1 | u64::from(lane[0] & 1)),
    }
}

/// Tells the scores of the lanes `low`, as long as they do not exceed the limit.
#[cold]
#[inline(never)]
fn tell(
    (query, place): (usize, usize),
    (scores, mut low): (&[f32], u64),
    limit: &mut f32,
    found: &mut impl FnMut(usize, usize, f32) -> f32,
) {
    while low != 0 {
        let lane = low.trailing_zeros() as usize;
        low &= low - 1;
        if scores[lane] <= *limit {
            *limit = found(query, place + lane, scores[lane]);
        }
    }
}

#[cold]
#[inline(never)]
fn tell_mirrored(
    (query, place): (usize, usize),
    (scores, mut low): (&[f32], u64),
    limits: &mut [f32],
    found: &mut impl FnMut(usize, usize, f32) -> f32,
) {
    while low != 0 {
        let lane = low.trailing_zeros() as usize;
        low &= low - 1;
        limits[lane] = found(place + lane, query, scores[lane]);
    }
}

/// Runs with the widest vectors that the machine has.
fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    // `Arch` would leave out what no feature of pulp asks for; asking here keeps its features those of others.
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Simd::vectorize(simd, op);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Simd::vectorize(simd, op);
        }
    }
    pulp::Arch::new().dispatch(op)
}
