//! Buffers that begin at a cache line, and pieces of them for tasks that run side by side.

#![allow(unsafe_code, reason = "tasks share slices of which each takes its own part")]

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut, Range},
};

use crate::kernels::simd::LANES;

/// Floats that begin at a cache line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    /// Lines before the first float.
    skipped: usize,
    floats: usize,
}

/// One cache line, which is one block of channels.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

impl Buffer {
    /// Zeros.
    pub fn zeros(floats: usize) -> Self {
        Self::zeros_behind(0, floats)
    }

    /// Zeros that begin some lines behind the start of the allocation, which is that of a page where it is large:
    /// addresses that are equal in their last twelve bits are taken for one another by processors.
    fn zeros_behind(skipped: usize, floats: usize) -> Self {
        Self { lines: vec![Line([0.0; LANES]); skipped + floats.div_ceil(LANES)], skipped, floats }
    }

    /// A copy.
    pub fn from_slice(values: &[f32]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// Makes room for at least as many floats; what is there may be lost.
    pub fn reserve(&mut self, floats: usize) {
        self.reserve_behind(0, floats);
    }

    /// As [`reserve`](Self::reserve), for the buffer of that number of many: each begins at another place of a page.
    pub fn reserve_numbered(&mut self, number: usize, floats: usize) {
        self.reserve_behind(number * 7 % 64, floats);
    }

    fn reserve_behind(&mut self, skipped: usize, floats: usize) {
        if self.floats < floats {
            *self = Self::zeros_behind(skipped, floats);
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is sixteen floats without padding, so the lines are `16 · lines` floats in a row, and
        // `floats` of them are left behind those that are skipped.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().add(self.skipped).cast(), self.floats) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the lines are borrowed exclusively.
        unsafe {
            std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().add(self.skipped).cast(), self.floats)
        }
    }
}

/// A slice in pieces of equal length, for tasks of which each takes its own.
pub(crate) struct Pieces<'a, T> {
    start: *mut T,
    length: usize,
    piece: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out pieces of the slice that it borrows exclusively, as `take` demands no piece twice, so it is
// to be shared where the elements may be sent.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<'a, T> Pieces<'a, T> {
    /// Pieces of `piece` elements; the last one may be shorter.
    pub fn new(slice: &'a mut [T], piece: usize) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), piece, slice: PhantomData }
    }

    /// The piece of that number.
    ///
    /// # Safety
    ///
    /// No piece may be taken while it is taken already: a task takes those of its own number.
    #[allow(clippy::mut_from_ref, reason = "the contract makes the pieces disjoint")]
    pub unsafe fn take(&self, number: usize) -> &'a mut [T] {
        // SAFETY: by contract.
        unsafe { self.take_all(number..number + 1) }
    }

    /// The pieces of those numbers, side by side.
    ///
    /// # Safety
    ///
    /// As for [`take`](Self::take), of each of them.
    #[allow(clippy::mut_from_ref, reason = "the contract makes the pieces disjoint")]
    pub unsafe fn take_all(&self, numbers: Range<usize>) -> &'a mut [T] {
        let [from, to] = [numbers.start, numbers.end].map(|number| (number * self.piece).min(self.length));
        // SAFETY: the range lies within the slice, and by contract nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), to - from) }
    }
}

/// Images in groups that depend on their number alone, so that sums over groups are the same at any number of
/// threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    items: usize,
    /// How many groups there are.
    pub count: usize,
}

impl Groups {
    /// The most groups that there are. Each has memory of its own; more of them spread work more evenly.
    pub const MOST: usize = 16;

    /// Groups of nearly equal size.
    pub fn of(items: usize) -> Self {
        Self { items, count: items.min(Self::MOST) }
    }

    /// The items of a group, some at once.
    pub fn parts(&self, group: usize, at_once: usize) -> impl Iterator<Item = Range<usize>> {
        let Range { start, end } = self.range(group);
        (start..end).step_by(at_once).map(move |first| first..(first + at_once).min(end))
    }

    /// The items of a group.
    pub fn range(&self, group: usize) -> Range<usize> {
        let at = |group: usize| group * self.items / self.count;
        at(group)..at(group + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_every_item_once() {
        for items in [0, 1, 5, 16, 17, 100, 128] {
            let groups = Groups::of(items);
            let all: Vec<usize> = (0..groups.count).flat_map(|group| groups.range(group)).collect();
            assert_eq!(all, (0..items).collect::<Vec<_>>());
        }
    }

    #[test]
    fn buffers_begin_at_a_cache_line_and_pieces_are_theirs() {
        let mut buffer = Buffer::from_slice(&[1.0; 37]);
        assert_eq!(buffer.as_ptr() as usize % 64, 0);
        let pieces = Pieces::new(&mut buffer, 16);
        // SAFETY: each piece is taken once.
        let lengths: Vec<usize> = (0..4).map(|at| unsafe { pieces.take(at) }.len()).collect();
        assert_eq!(lengths, [16, 16, 5, 0]);
    }
}
