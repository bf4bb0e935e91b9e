use expanse_domain::Seed;

use crate::{Augmentation, ImageSet, Normalization, augmentation::View};

/// The order in which `epoch` visits `n` images, from the seed `derive("order", [epoch])`.
pub fn epoch_order(n: usize, seed: Seed, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    seed.derive("order", &[epoch]).rng().shuffle(&mut order);
    order
}

/// Writes the named images, normalised, and varied if asked.
///
/// `augmentation` comes with its seed and the epoch. How an image is varied depends on these and its index,
/// never on the other images of the batch.
///
/// # Shapes
///
/// `out` is `indices × channels × height × width`.
///
/// # Panics
///
/// If an index names no image, `out` has another length, or `normalization` another number of channels.
pub fn write_batch(
    set: &ImageSet,
    indices: &[usize],
    normalization: &Normalization,
    augmentation: Option<(&Augmentation, Seed, u64)>,
    out: &mut [f32],
) {
    let values = set.shape.values();
    let tables = normalization.tables();
    assert_eq!(out.len(), indices.len() * values, "the batch must have room for {} images", indices.len());
    assert_eq!(tables.len(), set.shape.channels, "each channel needs its normalisation");
    for (&index, out) in indices.iter().zip(out.chunks_exact_mut(values)) {
        let view = augmentation
            .map_or(View::WHOLE, |(augmentation, seed, epoch)| augmentation.view(seed, epoch, index));
        view.write(set.image(index), set.shape, &tables, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageShape;

    /// Twenty images of 3×4×4, all different.
    fn set() -> ImageSet {
        let shape = ImageShape { channels: 3, height: 4, width: 4 };
        let pixels = (0..20 * shape.values()).map(|place| (place * 31 % 251) as u8).collect();
        ImageSet::new(shape, pixels, vec![0; 20], vec!["only".into()]).unwrap()
    }

    fn batch(indices: &[usize], augmentation: Option<(&Augmentation, Seed, u64)>) -> Vec<f32> {
        let set = set();
        let mut out = vec![f32::NAN; indices.len() * set.shape.values()];
        write_batch(&set, indices, &Normalization::of(&set), augmentation, &mut out);
        out
    }

    #[test]
    fn pixels_are_normalised() {
        let (set, normalization) = (set(), Normalization::of(&set()));
        let (mean, std) = (normalization.mean()[1], normalization.std()[1]);
        let place = 16 + 5;
        assert_eq!(batch(&[3, 7], None)[48 + place], (f32::from(set.image(7)[place]) / 255.0 - mean) / std);
    }

    #[test]
    fn an_image_looks_the_same_in_any_batch() {
        let augmentation = Augmentation { crop_padding: 2, flip: true };
        let varied =
            |indices: &[usize], seed, epoch| batch(indices, Some((&augmentation, Seed(seed), epoch)));
        let order = epoch_order(20, Seed(1), 0);
        let whole = varied(&order, 1, 4);
        for (&index, image) in order.iter().zip(whole.chunks(48)) {
            assert_eq!(varied(&[index], 1, 4), image);
        }
        assert_ne!(varied(&order, 1, 5), whole);
        assert_ne!(varied(&order, 2, 4), whole);
    }

    #[test]
    fn equal_images_are_varied_apart() {
        let twins = set().select(&[5; 8]);
        let augmentation = Augmentation { crop_padding: 2, flip: true };
        let mut out = vec![f32::NAN; 8 * 48];
        let varied = Some((&augmentation, Seed(1), 0));
        write_batch(&twins, &[0, 1, 2, 3, 4, 5, 6, 7], &Normalization::of(&twins), varied, &mut out);
        assert!(out.chunks(48).skip(1).any(|image| image != &out[..48]));
    }

    #[test]
    fn an_epoch_visits_every_image_once_in_an_order_of_its_own() {
        let order = epoch_order(100, Seed(3), 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, Vec::from_iter(0..100));
        assert_eq!(order, epoch_order(100, Seed(3), 0));
        assert_ne!(order, epoch_order(100, Seed(3), 1));
        assert_ne!(order, epoch_order(100, Seed(4), 0));
        assert!(epoch_order(0, Seed(3), 0).is_empty());
        // A change of this order would change every result that users have recorded.
        assert_eq!(epoch_order(8, Seed(0), 0), [0, 2, 1, 6, 4, 7, 5, 3]);
    }
}
