use std::ops::Range;

use expanse_domain::Seed;

use crate::{Augmentation, ImageSet, Normalization, write_batch};

/// Bytes of all images of a set, [bordered].
///
/// [bordered]: write_bordered
pub fn bordered_bytes(set: &ImageSet) -> u64 {
    let [channels, height, width] = sides(set);
    [set.len(), channels, height, width, size_of::<f32>()].iter().map(|&n| n as u64).product()
}

/// Some images of the set, normalised, with a row of black below and a column of black to the right, from which [`Picks`]
/// make what [`write_batch`] does; and their shape, `images × channels × (height + 1) × (width + 1)`.
///
/// # Panics
///
/// If an index names no image, or `normalization` has another number of channels.
pub fn write_bordered(
    set: &ImageSet,
    indices: Range<usize>,
    normalization: &Normalization,
) -> ([usize; 4], Vec<f32>) {
    let [channels, height, width] = sides(set);
    let indices: Vec<usize> = indices.collect();
    let mut pixels = vec![0.0; indices.len() * set.shape.values()];
    write_batch(set, &indices, normalization, None, &mut pixels);
    let mut bordered = Vec::with_capacity(indices.len() * channels * height * width);
    let black: Vec<f32> = normalization.tables().iter().map(|table| table[0]).collect();
    let planes = pixels.chunks_exact(set.shape.height * set.shape.width);
    for (plane, black) in planes.zip(black.into_iter().cycle()) {
        for row in plane.chunks_exact(set.shape.width) {
            bordered.extend_from_slice(row);
            bordered.push(black);
        }
        bordered.resize(bordered.len() + width, black);
    }
    ([indices.len(), channels, height, width], bordered)
}

/// Channels, rows and columns of an image with its border.
fn sides(set: &ImageSet) -> [usize; 3] {
    [set.shape.channels, set.shape.height + 1, set.shape.width + 1]
}

/// What a batch has of bordered images: pixel `(y, x)` of image `b` is pixel `(ys[b, y], xs[b, x])` of image `rows[b]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picks {
    /// Image of each image of the batch.
    pub rows: Vec<i64>,
    /// `batch × height` rows.
    pub ys: Vec<i64>,
    /// `batch × width` columns.
    pub xs: Vec<i64>,
}

impl Picks {
    /// The named images, varied as [`write_batch`] varies them.
    pub fn of(
        set: &ImageSet,
        indices: &[usize],
        augmentation: &Augmentation,
        seed: Seed,
        epoch: u64,
    ) -> Self {
        let rows = indices.iter().map(|&index| index as i64).collect();
        let mut picks = Self { rows, ys: Vec::new(), xs: Vec::new() };
        for &index in indices {
            let (ys, xs) = augmentation.view(seed, epoch, index).places(set.shape);
            picks.ys.extend(ys.map(|y| y as i64));
            picks.xs.extend(xs.map(|x| x as i64));
        }
        picks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageShape;

    #[test]
    fn picks_of_bordered_images_are_the_pixels_that_are_written() {
        let shape = ImageShape { channels: 2, height: 3, width: 4 };
        let pixels = (0..5 * shape.values()).map(|place| (place * 37 % 255 + 1) as u8).collect();
        let set = ImageSet::new(shape, pixels, vec![0; 5], vec!["only".into()]).unwrap();
        let normalization = Normalization::of(&set);
        let (_, first) = write_bordered(&set, 0..2, &normalization);
        let ([count, channels, height, width], rest) = write_bordered(&set, 2..5, &normalization);
        let kept = [first, rest].concat();
        assert_eq!([count, channels, height, width], [3, 2, 4, 5]);
        assert_eq!(kept.len() * 4, bordered_bytes(&set) as usize);
        for (crop_padding, flip) in [(0, false), (2, true), (usize::MAX, false)] {
            let augmentation = Augmentation { crop_padding, flip };
            for epoch in 0..10 {
                let indices = [4, 0, 3, 3];
                let mut expected = vec![f32::NAN; indices.len() * shape.values()];
                let varied = Some((&augmentation, Seed(1), epoch));
                write_batch(&set, &indices, &normalization, varied, &mut expected);
                let Picks { rows, ys, xs } = Picks::of(&set, &indices, &augmentation, Seed(1), epoch);
                let mut found = Vec::new();
                for (image, row) in rows.iter().enumerate() {
                    for channel in 0..channels {
                        let plane = &kept[(*row as usize * channels + channel) * height * width..];
                        for y in &ys[image * 3..][..3] {
                            found.extend(
                                xs[image * 4..][..4].iter().map(|x| plane[*y as usize * width + *x as usize]),
                            );
                        }
                    }
                }
                assert_eq!(found, expected);
            }
        }
    }
}
