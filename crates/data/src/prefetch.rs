use std::{
    io,
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

use expanse_domain::Seed;

use crate::{Augmentation, ImageSet, Normalization, write_batch};

/// Images that are ready for a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The values, `n × channels × height × width`.
    pub images: Vec<f32>,
    /// The `n` labels.
    pub labels: Vec<i64>,
    /// Which image of the set each one is.
    pub indices: Vec<usize>,
}

/// The batches of an epoch in order, prepared on a thread of its own up to two ahead of their use.
///
/// The last batch is smaller if the batch size does not divide the number of images. Dropping the iterator
/// early ends the thread.
#[derive(Debug)]
pub struct Prefetch {
    // Both are present until the last batch was taken, or the iterator is dropped.
    batches: Option<Receiver<Batch>>,
    worker: Option<JoinHandle<()>>,
    remaining: usize,
}

/// Batches prepared and waiting; one more is in the hands of the thread.
const WAITING: usize = 1;

impl Prefetch {
    /// Starts to prepare the images that `order` names, `batch_size` at a time, as [`write_batch`] does.
    ///
    /// # Errors
    ///
    /// If the system cannot start a thread.
    ///
    /// # Panics
    ///
    /// The iterator panics where [`write_batch`] does.
    pub fn new(
        set: Arc<ImageSet>,
        order: Vec<usize>,
        batch_size: NonZeroUsize,
        normalization: Normalization,
        augmentation: Option<(Augmentation, Seed, u64)>,
    ) -> io::Result<Self> {
        let remaining = order.len().div_ceil(batch_size.get());
        let (sender, batches) = sync_channel(WAITING);
        let worker = Builder::new().name("batches".into()).spawn(move || {
            for indices in order.chunks(batch_size.get()) {
                let batch = prepare(&set, indices, &normalization, augmentation.as_ref());
                if sender.send(batch).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { batches: Some(batches), worker: Some(worker), remaining })
    }
}

fn prepare(
    set: &ImageSet,
    indices: &[usize],
    normalization: &Normalization,
    augmentation: Option<&(Augmentation, Seed, u64)>,
) -> Batch {
    let mut images = vec![0.0; indices.len() * set.shape.values()];
    let augmentation = augmentation.map(|(augmentation, seed, epoch)| (augmentation, *seed, *epoch));
    write_batch(set, indices, normalization, augmentation, &mut images);
    let labels = indices.iter().map(|&index| set.labels()[index].into()).collect();
    Batch { images, labels, indices: indices.to_vec() }
}

impl Iterator for Prefetch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if let Ok(batch) = self.batches.as_ref()?.recv() {
            self.remaining -= 1;
            return Some(batch);
        }
        self.batches = None;
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join) {
            // Otherwise an epoch that failed would look like one that ended.
            resume_unwind(panic);
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Prefetch {}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // The thread waits to hand over a batch; without a receiver it gives up.
        self.batches = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{ImageShape, epoch_order};

    /// Ten images of 1×2×2.
    fn set() -> Arc<ImageSet> {
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        let classes = (0..10).map(|class| class.to_string()).collect();
        Arc::new(ImageSet::new(shape, (0..40).collect(), (0..10).collect(), classes).unwrap())
    }

    fn prefetch(set: &Arc<ImageSet>, order: &[usize], batch_size: usize) -> Prefetch {
        let size = NonZeroUsize::new(batch_size).unwrap();
        let augmentation = Augmentation { crop_padding: 1, flip: true };
        let normalization = Normalization::of(set);
        Prefetch::new(set.clone(), order.to_vec(), size, normalization, Some((augmentation, Seed(2), 6)))
            .unwrap()
    }

    #[test]
    fn batches_come_in_order_and_the_last_is_smaller() {
        let (set, order) = (set(), epoch_order(10, Seed(2), 6));
        let batches = prefetch(&set, &order, 4);
        assert_eq!(batches.len(), 3);
        let batches: Vec<Batch> = batches.collect();
        assert_eq!(batches.iter().map(|batch| batch.indices.len()).collect::<Vec<_>>(), [4, 4, 2]);
        let whole = prefetch(&set, &order, 10).next().unwrap();
        assert_eq!(batches.iter().flat_map(|batch| batch.images.clone()).collect::<Vec<_>>(), whole.images);
        assert_eq!(batches.iter().flat_map(|batch| batch.indices.clone()).collect::<Vec<_>>(), order);
        assert_eq!(whole.labels, order.iter().map(|&index| index as i64).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_order_has_no_batches() {
        assert_eq!(prefetch(&set(), &[], 4).next(), None);
    }

    #[test]
    fn dropping_early_ends_the_thread() {
        let set = set();
        for taken in 0..3 {
            let mut batches = prefetch(&set, &[0; 1000], 1);
            assert_eq!(batches.by_ref().take(taken).count(), taken);
            drop(batches);
            assert_eq!(Arc::strong_count(&set), 1);
        }
    }

    #[test]
    fn a_failure_is_not_an_early_end() {
        let mut batches = prefetch(&set(), &[0, 10], 1);
        assert_eq!(batches.next().unwrap().indices, [0]);
        assert!(catch_unwind(AssertUnwindSafe(|| batches.next())).is_err());
        assert_eq!(batches.next(), None);
    }
}
