/// The number of samples of each class; the index is the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassCounts(Vec<u64>);

impl ClassCounts {
    /// Wraps counts that are already known.
    pub fn new(counts: Vec<u64>) -> Self {
        Self(counts)
    }

    /// Counts the labels of `classes` classes; labels outside `0..classes` are not counted.
    pub fn of(labels: &[u32], classes: usize) -> Self {
        let mut counts = vec![0; classes];
        for &label in labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        Self(counts)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.0.len()
    }

    /// The number of samples of all classes together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The count of the largest class; 0 without classes.
    pub fn largest(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// The label of the largest class, the first of equals.
    pub fn majority(&self) -> Option<usize> {
        (0..self.0.len()).max_by_key(|&class| (self.0[class], std::cmp::Reverse(class)))
    }

    /// The counts, by label.
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_majority() {
        let counts = ClassCounts::of(&[2, 0, 2, 1, 0, 9], 3);
        assert_eq!(counts.as_slice(), [2, 1, 2]);
        assert_eq!((counts.total(), counts.largest(), counts.majority()), (5, 2, Some(0)));
        assert_eq!(ClassCounts::of(&[], 0).majority(), None);
    }
}
