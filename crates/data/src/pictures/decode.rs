//! One picture.

use std::path::{Path, PathBuf};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult, imageops::FilterType,
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
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let size = if turned { (height, width) } else { (width, height) };
    Ok(Pictured { size, color: decoder.color_type().has_color() })
}

/// A picture as an image of `shape`: turned upright as its EXIF data says, scaled (bilinear, averaging where it
/// shrinks) until it covers the shape, and cut in the middle. Opacity is dropped; one channel is luminance after
/// Rec. 709, three are red, green and blue. The values lie channel after channel, row after row.
///
/// # Errors
///
/// The file cannot be opened, is no picture of a known format, is damaged, or needs more than 512 MiB.
///
/// # Panics
///
/// If `shape` has another number of channels than 1 or 3.
pub fn read_picture(path: &Path, shape: ImageShape) -> Result<Vec<u8>, PictureError> {
    let decoded = open(path).and_then(|(decoder, orientation)| {
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok(picture)
    });
    let picture = decoded.map_err(failed(path))?;
    let (width, height) = (shape.width as u32, shape.height as u32);
    let fits = (picture.width(), picture.height()) == (width, height);
    let fitted = if fits { picture } else { picture.resize_to_fill(width, height, FilterType::Triangle) };
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

fn failed(path: &Path) -> impl FnOnce(ImageError) -> PictureError {
    move |source| PictureError { path: path.into(), source: Box::new(source) }
}

fn open(path: &Path) -> ImageResult<(impl ImageDecoder, Orientation)> {
    // The bytes tell the format; names lie.
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    Ok((decoder, orientation))
}
