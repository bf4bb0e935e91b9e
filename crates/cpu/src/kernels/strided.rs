//! Walks over tensors whose elements lie at strides.

/// The most dimensions of a tensor.
pub(crate) const RANK: usize = 8;

/// A shape with the strides of N tensors that are walked together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<const N: usize> {
    rank: usize,
    shape: [usize; RANK],
    strides: [[isize; RANK]; N],
    starts: [usize; N],
}

impl<const N: usize> Walk<N> {
    /// A walk over every index of a shape, of at most [`RANK`] dimensions; each tensor begins at 0 and stands still.
    pub fn new(shape: &[usize]) -> Self {
        let mut walk = Self { rank: shape.len(), shape: [1; RANK], strides: [[0; RANK]; N], starts: [0; N] };
        walk.shape[..shape.len()].copy_from_slice(shape);
        walk
    }

    /// Tensor `at` lies row-major in the shape given, aligned at the last dimension; in dimensions that it lacks or
    /// has once it stands still.
    pub fn row_major(mut self, at: usize, shape: &[usize]) -> Self {
        let (mut stride, added) = (1, self.rank - shape.len());
        for axis in (0..shape.len()).rev() {
            self.strides[at][added + axis] = if shape[axis] == 1 { 0 } else { stride };
            stride *= shape[axis] as isize;
        }
        self
    }

    /// Tensor `at` begins at `start` and lies at the strides given.
    pub fn strided(mut self, at: usize, start: usize, strides: impl IntoIterator<Item = isize>) -> Self {
        self.starts[at] = start;
        for (to, stride) in self.strides[at].iter_mut().zip(strides) {
            *to = stride;
        }
        self
    }

    /// Calls `visit` with the places of all tensors, index by index in row-major order.
    pub fn each(&self, mut visit: impl FnMut([usize; N])) {
        if self.shape[..self.rank].contains(&0) {
            return;
        }
        let inner = self.rank.saturating_sub(1);
        let mut index = [0; RANK];
        let mut places = self.starts.map(|start| start as isize);
        loop {
            let mut here = places;
            for _ in 0..if self.rank == 0 { 1 } else { self.shape[inner] } {
                visit(here.map(|place| place as usize));
                for (place, strides) in here.iter_mut().zip(&self.strides) {
                    *place += strides[inner];
                }
            }
            let mut axis = inner;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                index[axis] += 1;
                for (place, strides) in places.iter_mut().zip(&self.strides) {
                    *place += strides[axis];
                }
                if index[axis] < self.shape[axis] {
                    break;
                }
                for (place, strides) in places.iter_mut().zip(&self.strides) {
                    *place -= strides[axis] * self.shape[axis] as isize;
                }
                index[axis] = 0;
            }
        }
    }
}

/// The row-major strides of a shape.
pub(crate) fn row_major(shape: &[usize]) -> [isize; RANK] {
    let (mut strides, mut stride) = ([0; RANK], 1);
    for (axis, &length) in shape.iter().enumerate().rev() {
        strides[axis] = stride;
        stride *= length as isize;
    }
    strides
}

/// A shape around one dimension: what is before it, itself, what is behind it.
pub(crate) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_visits_in_order_and_repeats_what_is_missing() {
        let mut found = Vec::new();
        let walk = Walk::<3>::new(&[2, 1, 3]).row_major(0, &[2, 1, 3]).row_major(1, &[3]);
        walk.strided(2, 5, [-3, 0, -1]).each(|places| found.push(places));
        let expected = [[0, 0, 5], [1, 1, 4], [2, 2, 3], [3, 0, 2], [4, 1, 1], [5, 2, 0]];
        assert_eq!(found, expected);
        let mut scalars = 0;
        Walk::<1>::new(&[]).each(|[place]| scalars += place + 1);
        assert_eq!(scalars, 1);
    }
}
