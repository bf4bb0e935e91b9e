use expanse_domain::Seed;

use crate::ImageShape;

/// How training images are varied: first a random crop, then a random flip, as in torchvision's
/// `RandomCrop(size, padding)` and `RandomHorizontalFlip`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augmentation {
    /// Pixels of black on every side of an image before a crop of its original size is taken; 0 for no crop.
    ///
    /// Black is 0 before normalisation.
    pub crop_padding: usize,
    /// Whether one image in two is mirrored, left to right.
    pub flip: bool,
}

/// The part of a padded image that is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Rows of the padded image above the view.
    top: usize,
    /// Columns of the padded image to the left of the view.
    left: usize,
    padding: usize,
    mirrored: bool,
}

impl Augmentation {
    /// The view of image `index` in `epoch`, from the seed `derive("augment", [epoch, index])` and nothing else.
    pub(crate) fn view(&self, seed: Seed, epoch: u64, index: usize) -> View {
        let mut rng = seed.derive("augment", &[epoch, index as u64]).rng();
        let places = self.crop_padding.saturating_mul(2).saturating_add(1);
        let (top, left) = (rng.index(places), rng.index(places));
        View { top, left, padding: self.crop_padding, mirrored: self.flip && rng.below(2) == 1 }
    }
}

impl View {
    /// The image as it is.
    pub(crate) const WHOLE: Self = Self { top: 0, left: 0, padding: 0, mirrored: false };

    /// The row of the image that row `y` of the view shows. Those in the padding wrap around to numbers that no image reaches.
    fn row(self, y: usize) -> usize {
        y.wrapping_add(self.top).wrapping_sub(self.padding)
    }

    /// The same for column `x` of `width`.
    fn column(self, x: usize, width: usize) -> usize {
        let x = if self.mirrored { width - 1 - x } else { x };
        x.wrapping_add(self.left).wrapping_sub(self.padding)
    }

    /// The rows and columns of the image that the view shows; those in the padding are one after the last.
    pub(crate) fn places(
        self,
        shape: ImageShape,
    ) -> (impl Iterator<Item = usize>, impl Iterator<Item = usize>) {
        let ImageShape { height, width, .. } = shape;
        let rows = (0..height).map(move |y| self.row(y).min(height));
        (rows, (0..width).map(move |x| self.column(x, width).min(width)))
    }

    /// Writes what the view shows of `image`, each value replaced through the table of its channel.
    ///
    /// # Shapes
    ///
    /// `image` and `out` are channels × height × width; `tables` has one entry a channel.
    pub(crate) fn write(self, image: &[u8], shape: ImageShape, tables: &[[f32; 256]], out: &mut [f32]) {
        let ImageShape { height, width, .. } = shape;
        let planes = image.chunks_exact(height * width).zip(out.chunks_exact_mut(height * width));
        for ((pixels, out), table) in planes.zip(tables) {
            for (y, out) in out.chunks_exact_mut(width).enumerate() {
                let row = self.row(y);
                if row >= height {
                    out.fill(table[0]);
                    continue;
                }
                let pixels = &pixels[row * width..][..width];
                for (x, out) in out.iter_mut().enumerate() {
                    let column = self.column(x, width);
                    *out = table[usize::from(pixels.get(column).copied().unwrap_or(0))];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of three pixels.
    const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 3 };

    #[track_caller]
    fn check(top: usize, left: usize, mirrored: bool, expected: [[f32; 3]; 2]) {
        // Black becomes 0.5, so that padding which skips normalisation would show.
        let table = std::array::from_fn(|value| value as f32 + 0.5);
        let mut out = [f32::NAN; 6];
        View { top, left, padding: 1, mirrored }.write(&[1, 2, 3, 4, 5, 6], SHAPE, &[table], &mut out);
        assert_eq!(out, expected.as_flattened());
    }

    #[test]
    fn crops_of_the_padded_image_then_flips() {
        check(1, 1, false, [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]);
        check(1, 1, true, [[3.5, 2.5, 1.5], [6.5, 5.5, 4.5]]);
        check(0, 0, false, [[0.5, 0.5, 0.5], [0.5, 1.5, 2.5]]);
        check(2, 2, false, [[5.5, 6.5, 0.5], [0.5, 0.5, 0.5]]);
        check(0, 2, false, [[0.5, 0.5, 0.5], [2.5, 3.5, 0.5]]);
        check(0, 2, true, [[0.5, 0.5, 0.5], [0.5, 3.5, 2.5]]);
    }

    #[test]
    fn channels_keep_apart() {
        let shape = ImageShape { channels: 2, height: 1, width: 2 };
        let tables =
            [std::array::from_fn(|value| value as f32), std::array::from_fn(|value| -(value as f32))];
        let mut out = [0.0; 4];
        View { mirrored: true, ..View::WHOLE }.write(&[1, 2, 3, 4], shape, &tables, &mut out);
        assert_eq!(out, [2.0, 1.0, -4.0, -3.0]);
    }

    #[test]
    fn every_crop_and_flip_is_drawn_about_equally_often() {
        let augmentation = Augmentation { crop_padding: 1, flip: true };
        let mut seen = [0u32; 18];
        for index in 0..1800 {
            let view = augmentation.view(Seed(1), 0, index);
            seen[view.top * 6 + view.left * 2 + usize::from(view.mirrored)] += 1;
        }
        // Five standard deviations around 100.
        assert!(seen.iter().all(|count| (52..=148).contains(count)), "{seen:?}");
    }

    #[test]
    fn views_are_stable() {
        // A change of these views would change every result that users have recorded.
        let view = |index| Augmentation { crop_padding: 4, flip: true }.view(Seed(0), 1, index);
        let drawn = [0, 1, 2].map(|index| (view(index).top, view(index).left, view(index).mirrored));
        assert_eq!(drawn, [(7, 2, false), (5, 6, false), (8, 8, true)]);
    }

    #[test]
    fn nothing_asked_is_nothing_done_and_any_padding_is_possible() {
        assert_eq!(Augmentation::default().view(Seed(5), 3, 7), View::WHOLE);
        let mut out = [1.0; 6];
        let view = Augmentation { crop_padding: usize::MAX, flip: false }.view(Seed(5), 3, 7);
        view.write(&[9; 6], SHAPE, &[std::array::from_fn(|value| value as f32)], &mut out);
        assert_eq!(out, [0.0; 6]);
    }
}
