use crate::scores::Frame;

/// The candidates of one query that may be among its `k` nearest.
///
/// Scores alone decide while they can: the `k` with the least upper bounds leave no room for those whose lower bound is
/// higher. Where that leaves too many, because they are equal or nearly so, they are measured, and the `k` best of those
/// measured are kept. Both is done for many candidates at a time, which costs far less than to keep them in order.
pub(crate) struct Best {
    k: usize,
    query_norm: f64,
    /// Candidates not yet measured, as [`key`]s.
    held: Vec<u64>,
    /// The nearest of those measured, in order of (squared distance, row); `k` at most.
    measured: Vec<(f64, u32)>,
    limit: f32,
}

/// What is known of all candidates of a search.
pub(crate) struct Candidates<'a> {
    /// The frame of the scores.
    pub frame: &'a Frame,
    /// By place: its floor.
    pub floors: &'a [f32],
    /// By place: its row.
    pub rows: &'a [u32],
}

/// The squared distances of a query to four rows.
pub(crate) trait Measure: Fn([u32; 4]) -> [f64; 4] {}

impl<F: Fn([u32; 4]) -> [f64; 4]> Measure for F {}

impl Best {
    pub(crate) fn new(k: usize, query_norm: f64) -> Self {
        let held = Vec::with_capacity(most_held(k));
        Self { k, query_norm, held, measured: Vec::new(), limit: f32::INFINITY }
    }

    /// Takes a candidate whose score does not exceed the limit, and answers the limit from then on.
    #[inline(always)]
    pub(crate) fn offer(
        &mut self,
        (place, score): (usize, f32),
        candidates: &Candidates<'_>,
        measure: impl Measure,
    ) -> f32 {
        self.held.push(key(score, place as u32));
        if self.held.len() == most_held(self.k) {
            self.make_room(candidates, measure);
        }
        self.limit
    }

    /// Scores beyond this are of no use.
    pub(crate) fn limit(&self) -> f32 {
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

    /// Lets go what is certain to be further away than `k` others that are held.
    fn thin(&mut self, candidates: &Candidates<'_>) {
        if self.held.len() <= self.k {
            return;
        }
        self.held.select_nth_unstable(self.k - 1);
        let upper = |&key: &u64| {
            let width = candidates.frame.width(self.query_norm, candidates.floors[place(key) as usize]);
            f64::from(score(key)) + width
        };
        let farthest = self.held[..self.k].iter().map(upper).fold(f64::NEG_INFINITY, f64::max);
        self.limit = self.limit.min((farthest as f32).next_up());
        self.held.retain(|&key| score(key) <= self.limit);
    }

    /// Measures what is held and keeps the `k` best of all measured.
    fn measure(&mut self, candidates: &Candidates<'_>, measure: impl Measure) {
        let full = (self.measured.len() == self.k).then(|| self.measured.last().copied()).flatten();
        // At the best of all distances, 0, it would not get in. This spares measuring duplicates without end.
        let may_enter = |row: &u32| full.is_none_or(|(distance, last)| distance > 0.0 || *row < last);
        let rows = self.held.iter().map(|&key| candidates.rows[place(key) as usize]).filter(may_enter);
        measure_into(&mut self.measured, rows, measure);
        self.held.clear();
        self.measured.truncate(self.k);
        if let (true, Some(&(distance, _))) = (self.measured.len() == self.k, self.measured.last()) {
            self.limit = self.limit.min(candidates.frame.limit(distance, self.query_norm));
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
        let mut four = [first; 4];
        let more = four[1..].iter_mut().zip(&mut rows).map(|(to, row)| *to = row).count();
        measured.extend(measure(four).into_iter().zip(four).take(1 + more));
    }
    measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
}

/// So many candidates are held before they are thinned out.
fn most_held(k: usize) -> usize {
    k + (k / 2).max(16)
}

/// A number that orders as (score, place) does, where no score is NaN.
fn key(score: f32, place: u32) -> u64 {
    let bits = score.to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(place)
}

/// The score of a [`key`].
fn score(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// The place of a [`key`].
fn place(key: u64) -> u32 {
    key as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_score_and_then_by_place() {
        let scores = [f32::NEG_INFINITY, -3.5, -1e-40, -0.0, 0.0, 1e-40, 2.0, f32::INFINITY];
        let keys: Vec<u64> =
            scores.into_iter().flat_map(|score| [7, u32::MAX].map(|place| key(score, place))).collect();
        assert!(keys.is_sorted());
        for (&key, of) in
            keys.iter().zip(scores.into_iter().flat_map(|score| [(score, 7), (score, u32::MAX)]))
        {
            assert_eq!((score(key).to_bits(), place(key)), (of.0.to_bits(), of.1));
        }
    }
}
