use crate::{
    grid::{Grid, Panels, Rounded},
    search::TOGETHER,
    tile::UNLIMITED,
};

/// The candidates of one query that may be among its `k` nearest.
///
/// Scores alone decide while they can: those that are certainly further away than `k` others are let go. Where that
/// leaves too many, because they are equal or nearly so, they are measured, and the `k` best of those measured are kept.
pub(crate) struct Best {
    k: usize,
    query: Rounded,
    /// Candidates not yet measured, with their scores.
    held: Vec<(i32, u32)>,
    /// The `k` lowest scores of all that were drawn in by nothing but rounding, in order.
    lowest: Vec<i32>,
    /// What is between the last of them and the limit, at most.
    margin: i32,
    /// The nearest of those measured, in order of (squared distance, row); `k` at most.
    measured: Vec<(f64, u32)>,
    limit: i32,
}

/// What is known of all candidates of a search.
pub(crate) struct Candidates<'a> {
    /// What their scores mean.
    pub grid: &'a Grid,
    /// By place.
    pub panels: &'a Panels,
    /// By place: its row.
    pub rows: &'a [u32],
}

/// The squared distances of a query to some rows.
pub(crate) trait Measure: Fn([u32; TOGETHER]) -> [f64; TOGETHER] {}

impl<F: Fn([u32; TOGETHER]) -> [f64; TOGETHER]> Measure for F {}

impl Best {
    pub(crate) fn new(k: usize, query: Rounded, candidates: &Candidates<'_>) -> Self {
        let (held, lowest) = (Vec::with_capacity(most_held(k)), vec![UNLIMITED; k]);
        let mut best = Self { k, query, held, lowest, margin: 0, measured: Vec::new(), limit: UNLIMITED };
        best.leave_out(UNLIMITED, candidates);
        best
    }

    /// Leaves out what is certain to be further away than `k` candidates whose scores are at most this, and that were
    /// drawn in by nothing but rounding.
    pub(crate) fn leave_out(&mut self, score: i32, candidates: &Candidates<'_>) {
        let limit = candidates.grid.limit_of_score(score, &self.query, candidates.panels.rounding);
        self.limit = self.limit.min(limit);
        // The lower a score, the less lies between it and its limit.
        self.margin = limit.saturating_sub(score);
    }

    /// Takes a candidate whose score does not exceed the limit, and answers the limit from then on.
    #[inline(always)]
    pub(crate) fn offer(
        &mut self,
        (place, score): (u32, i32),
        candidates: &Candidates<'_>,
        measure: impl Measure,
    ) -> i32 {
        self.held.push((score, place));
        if candidates.panels.is_near(place as usize) {
            let mut before = i32::MIN;
            for lowest in &mut self.lowest {
                let own = *lowest;
                *lowest = own.min(score).max(before);
                before = own;
            }
            let last = self.lowest[self.k - 1];
            self.limit = self.limit.min(last.saturating_add(self.margin));
        }
        if self.held.len() == most_held(self.k) {
            self.make_room(candidates, measure);
        }
        self.limit
    }

    /// Scores beyond this are of no use.
    pub(crate) fn limit(&self) -> i32 {
        self.limit
    }

    /// The `k` nearest rows, nearest first.
    pub(crate) fn into_rows(
        mut self,
        candidates: &Candidates<'_>,
        measure: impl Measure,
    ) -> impl Iterator<Item = u32> {
        self.thin(candidates);
        self.measure(candidates, measure);
        self.measured.into_iter().map(|(_, row)| row)
    }

    #[inline(never)]
    fn make_room(&mut self, candidates: &Candidates<'_>, measure: impl Measure) {
        self.thin(candidates);
        if self.held.len() > (most_held(self.k) + self.k) / 2 {
            self.measure(candidates, measure);
        }
    }

    /// Lets go what is certain to be further away than `k` others.
    fn thin(&mut self, candidates: &Candidates<'_>) {
        self.leave_out(self.lowest[self.k - 1], candidates);
        let limit = self.limit;
        self.held.retain(|&(score, _)| score <= limit);
    }

    /// Measures what is held and keeps the `k` best of all measured.
    fn measure(&mut self, candidates: &Candidates<'_>, measure: impl Measure) {
        let full = (self.measured.len() == self.k).then(|| self.measured.last().copied()).flatten();
        // At the best of all distances, 0, it would not get in. This spares measuring duplicates without end.
        let may_enter = |row: &u32| full.is_none_or(|(distance, last)| distance > 0.0 || *row < last);
        let rows = self.held.iter().map(|&(_, place)| candidates.rows[place as usize]).filter(may_enter);
        self.measured.reserve(self.held.len());
        measure_into(&mut self.measured, rows, measure);
        self.held.clear();
        self.measured.truncate(self.k);
        if let (true, Some(&(distance, _))) = (self.measured.len() == self.k, self.measured.last()) {
            let limit = candidates.grid.limit_of_distance(distance, &self.query, candidates.panels.rounding);
            self.limit = self.limit.min(limit);
        }
    }
}

/// Adds the rows, measured, and puts all in order of (squared distance, row).
pub(crate) fn measure_into(
    measured: &mut Vec<(f64, u32)>,
    mut rows: impl Iterator<Item = u32>,
    measure: impl Measure,
) {
    while let Some(first) = rows.next() {
        let mut together = [first; TOGETHER];
        let more = together[1..].iter_mut().zip(&mut rows).map(|(to, row)| *to = row).count();
        measured.extend(measure(together).into_iter().zip(together).take(1 + more));
    }
    measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
}

/// So many candidates are held before they are thinned out.
fn most_held(k: usize) -> usize {
    k + (k / 2).max(16)
}
