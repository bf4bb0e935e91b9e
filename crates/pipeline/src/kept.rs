//! Whether the training images stay on the device, instead of being sent with every batch.

use std::slice::Chunks;

use expanse_config::{Experiment, OnDevice};
use expanse_data::{Augmentation, ImageSet, Picks, Prefetch, bordered_bytes};
use expanse_domain::Seed;
use expanse_host::Device;

use crate::{Event, PipelineError};

/// Whether the training images stay on the device.
///
/// # Errors
///
/// They must, and cannot.
pub(crate) fn is_kept(
    experiment: &Experiment,
    images: &ImageSet,
    device: &Device,
) -> Result<bool, PipelineError> {
    let wanted = experiment.data.on_device;
    if wanted == OnDevice::Never {
        return Ok(false);
    }
    let reason = match device.keeps {
        None => Some(format!("the memory of {} is that of the host", device.name)),
        Some(_) if experiment.train.mixup > 0.0 => Some("train.mixup mixes images on the host".into()),
        Some(room) => too_large(images, room),
    };
    match reason {
        Some(reason) if wanted == OnDevice::Always => Err(PipelineError::OnDevice { reason }),
        reason => Ok(reason.is_none()),
    }
}

/// What users of large sets are told when training begins.
pub(crate) fn note(experiment: &Experiment, images: &ImageSet, device: &Device) -> Option<Event> {
    let reason = device.keeps.and_then(|room| too_large(images, room))?;
    let message = format!("images are sent with every batch: {reason}");
    (experiment.data.on_device == OnDevice::Auto).then_some(Event::Note { message })
}

fn too_large(images: &ImageSet, room: u64) -> Option<String> {
    let size = bordered_bytes(images);
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    (size > room).then(|| {
        format!("they take {} MiB, and the device has room for {} MiB of them", mib(size), room >> 20)
    })
}

/// The images of a batch.
pub(crate) enum Images {
    /// Their pixels, normalised.
    Sent(Vec<f32>),
    /// Which they are of those that the device has.
    Kept(Picks),
}

/// The batches of an epoch, with their labels.
pub(crate) enum Batches<'a> {
    Sent(Prefetch),
    Kept { images: &'a ImageSet, left: Chunks<'a, usize>, varied: (Augmentation, Seed, u64) },
}

impl Iterator for Batches<'_> {
    type Item = (Images, Vec<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Sent(batches) => batches.next().map(|batch| (Images::Sent(batch.images), batch.labels)),
            Self::Kept { images, left, varied: (augmentation, seed, epoch) } => {
                let indices = left.next()?;
                let labels = indices.iter().map(|&index| images.labels()[index].into()).collect();
                Some((Images::Kept(Picks::of(images, indices, augmentation, *seed, *epoch)), labels))
            }
        }
    }
}
