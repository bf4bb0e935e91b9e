use std::collections::BinaryHeap;

/// The `k` smallest (squared distance, row) pairs seen so far.
pub(crate) struct Best {
    /// Squared distances as their bits, which order as the numbers do: none is negative.
    heap: BinaryHeap<(u64, u32)>,
    k: usize,
}

impl Best {
    pub(crate) fn new(k: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(k + 1), k }
    }

    /// The squared distance that a row must not exceed to get in: infinite until `k` rows are in.
    pub(crate) fn worst(&self) -> f64 {
        self.full().map_or(f64::INFINITY, |&(bits, _)| f64::from_bits(bits))
    }

    /// Whether `row` could get in at the best of all distances, 0. Spares comparing duplicates without end.
    pub(crate) fn admits(&self, row: u32) -> bool {
        self.full().is_none_or(|&worst| (0, row) < worst)
    }

    pub(crate) fn offer(&mut self, distance: f64, row: u32) {
        self.heap.push((distance.to_bits(), row));
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    /// The rows, nearest first.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = u32> {
        self.heap.into_sorted_vec().into_iter().map(|(_, row)| row)
    }

    fn full(&self) -> Option<&(u64, u32)> {
        if self.heap.len() < self.k { None } else { self.heap.peek() }
    }
}
