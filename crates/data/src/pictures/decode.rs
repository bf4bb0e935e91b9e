//! One picture.

use std::path::{Path, PathBuf};

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageReader, ImageResult, Pixel,
    imageops::{self, FilterType},
    metadata::Orientation,
};

use crate::{ImageShape, pictures::PICTURE_EXTENSIONS};

/// A file cannot be read as a picture.
#[derive(Debug, thiserror::Error)]
#[error(
    "picture {path} cannot be read: {source}; remove it, or save it again as one of {}",
    PICTURE_EXTENSIONS.join(", ")
)]
pub struct PictureError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: Box<ImageError>,
}

/// What the first bytes of a picture say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictured {
    /// Columns and rows, upright.
    pub size: (u32, u32),
    /// Whether it has colours.
    pub color: bool,
}

/// Looks at a picture without decoding it.
pub fn look(path: &Path) -> Result<Pictured, PictureError> {
    let (decoder, orientation) = open(path).map_err(failed(path))?;
    Ok(Pictured { size: upright(decoder.dimensions(), orientation), color: decoder.color_type().has_color() })
}

/// A picture as an image of `shape`: the largest part of that form is cut out of its middle, scaled (bilinear,
/// averaging where it shrinks) and turned upright as its EXIF data says. Opacity is dropped; one channel is luminance
/// after Rec. 709, three are red, green and blue. The values lie channel after channel, row after row.
///
/// # Errors
///
/// The file cannot be opened, is no picture of a known format, is damaged, or needs more than 512 MiB.
///
/// # Panics
///
/// If `shape` has another number of channels than 1 or 3.
pub fn read_picture(path: &Path, shape: ImageShape) -> Result<Vec<u8>, PictureError> {
    let decoded =
        open(path).and_then(|(decoder, orientation)| Ok((DynamicImage::from_decoder(decoder)?, orientation)));
    let (picture, orientation) = decoded.map_err(failed(path))?;
    let size = upright((shape.width as u32, shape.height as u32), orientation);
    let mut fitted = match picture {
        DynamicImage::ImageLuma8(gray) => fit(gray, size).into(),
        DynamicImage::ImageRgb8(colored) => fit(colored, size).into(),
        other if other.color().has_color() => fit(other.into_rgb8(), size).into(),
        other => DynamicImage::from(fit(other.into_luma8(), size)),
    };
    fitted.apply_orientation(orientation);
    match shape.channels {
        1 => Ok(fitted.into_luma8().into_raw()),
        3 => {
            let interleaved = fitted.into_rgb8().into_raw();
            let (pixels, _) = interleaved.as_chunks::<3>();
            Ok((0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect())
        }
        channels => panic!("images have 1 or 3 channels, not {channels}"),
    }
}

/// Cuts and scales a picture to columns and rows.
fn fit<P: Pixel<Subpixel = u8> + 'static>(
    picture: ImageBuffer<P, Vec<u8>>,
    (width, height): (u32, u32),
) -> ImageBuffer<P, Vec<u8>> {
    let (columns, rows) = picture.dimensions();
    if (columns, rows) == (width, height) {
        return picture;
    }
    let share = |of: u32, over: u32, under: u32| {
        let nearest = (2 * u64::from(of) * u64::from(over) + u64::from(under)) / (2 * u64::from(under));
        nearest.max(1) as u32
    };
    let wide = columns.min(share(rows, width, height));
    let high = rows.min(share(columns, height, width));
    let middle = imageops::crop_imm(&picture, (columns - wide) / 2, (rows - high) / 2, wide, high);
    imageops::resize(&*middle, width, height, FilterType::Triangle)
}

/// Columns and rows, or the other way round where an upright picture has them so.
fn upright((columns, rows): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (rows, columns),
        _ => (columns, rows),
    }
}

fn failed(path: &Path) -> impl FnOnce(ImageError) -> PictureError {
    move |source| PictureError { path: path.into(), source: Box::new(source) }
}

fn open(path: &Path) -> ImageResult<(impl ImageDecoder, Orientation)> {
    // The bytes tell the format; names lie.
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    Ok((decoder, orientation))
}
