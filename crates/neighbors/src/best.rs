use std::collections::BinaryHeap;

use crate::scores::Frame;

/// The candidates of one query that may be among its `k` nearest.
///
/// Scores alone decide while they can: the `k` with the least upper bounds leave no room for those whose lower bound is
/// higher. Where that leaves too many, because they are equal or nearly so, they are measured, and the `k` best of those
/// measured are kept.
pub(crate) struct Best {
    k: usize,
    query_norm: f64,
    /// The `k` least upper bounds seen so far, as [`ordered`] numbers.
    uppers: BinaryHeap<u32>,
    /// Candidates by score, not yet measured: score and place.
    held: Vec<(f32, u32)>,
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

impl Best {
    pub(crate) fn new(k: usize, query_norm: f64) -> Self {
        let held = Vec::with_capacity(most_held(k));
        let uppers = BinaryHeap::with_capacity(k + 1);
        Self { k, query_norm, uppers, held, measured: Vec::new(), limit: f32::INFINITY }
    }

    /// Takes a candidate whose score does not exceed the limit, and answers the limit from then on. `measure` gives the
    /// squared distance of the query to a row.
    pub(crate) fn offer(
        &mut self,
        (place, score): (usize, f32),
        candidates: &Candidates<'_>,
        measure: impl Fn(u32) -> f64,
    ) -> f32 {
        self.held.push((score, place as u32));
        let width = candidates.frame.width(self.query_norm, candidates.floors[place]);
        let upper = ((f64::from(score) + width) as f32).next_up();
        self.uppers.push(ordered(upper));
        if self.uppers.len() > self.k {
            self.uppers.pop();
        }
        if let (true, Some(&kth)) = (self.uppers.len() == self.k, self.uppers.peek()) {
            self.limit = self.limit.min(number(kth));
        }
        if self.held.len() == most_held(self.k) {
            self.thin();
            if self.held.len() > most_held(self.k) / 2 + self.k / 2 {
                self.measure(candidates, measure);
            }
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
        measure: impl Fn(u32) -> f64,
    ) -> impl Iterator<Item = u32> {
        self.thin();
        self.measure(candidates, measure);
        self.measured.into_iter().map(|(_, row)| row)
    }

    /// Lets go what lies beyond the limit.
    fn thin(&mut self) {
        self.held.retain(|&(score, _)| score <= self.limit);
    }

    /// Measures what is held and keeps the `k` best of all measured.
    fn measure(&mut self, candidates: &Candidates<'_>, measure: impl Fn(u32) -> f64) {
        let full = (self.measured.len() == self.k).then(|| self.measured.last().copied()).flatten();
        for (_, place) in self.held.drain(..) {
            let row = candidates.rows[place as usize];
            // At the best of all distances, 0, it would not get in. This spares measuring duplicates without end.
            if full.is_none_or(|(distance, last)| distance > 0.0 || row < last) {
                self.measured.push((measure(row), row));
            }
        }
        self.measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.measured.truncate(self.k);
        if let (true, Some(&(distance, _))) = (self.measured.len() == self.k, self.measured.last()) {
            self.limit = self.limit.min(candidates.frame.limit(distance, self.query_norm));
        }
    }
}

/// So many candidates are held before they are thinned out.
fn most_held(k: usize) -> usize {
    2 * k + 32
}

/// A number that orders as `x` does, of which none is NaN.
fn ordered(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The number of which [`ordered`] is `key`.
fn number(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_numbers_order_and_come_back() {
        let numbers = [f32::NEG_INFINITY, -3.5, -1e-40, -0.0, 0.0, 1e-40, 2.0, f32::INFINITY];
        assert!(numbers.map(ordered).is_sorted());
        assert_eq!(numbers.map(|x| number(ordered(x)).to_bits()), numbers.map(f32::to_bits));
    }
}
