use std::{fs, path::Path};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::{DataSet, Format, PictureOptions, load};

const RED: Rgb<u8> = Rgb([200, 10, 20]);
const OPTIONS: PictureOptions =
    PictureOptions { shape: ImageShape { channels: 3, height: 8, width: 8 }, test_share: 0.25 };

/// Writes a picture of one colour; the extension tells the format.
fn paint(path: &Path, (width, height): (u32, u32), color: Rgb<u8>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, height, color).save(path).unwrap();
}

fn load_pictures(folder: &Path, classes: Option<&[String]>) -> Result<DataSet, DataError> {
    load(Format::Pictures, folder, classes, &OPTIONS)
}

/// Five cats and two dogs.
fn flat() -> TempDir {
    let folder = TempDir::new().unwrap();
    for index in 0..5 {
        paint(&folder.path().join(format!("cat/{index}.png")), (8, 8), Rgb([index, 1, 2]));
    }
    paint(&folder.path().join("dog/deep/below/a.PNG"), (8, 8), Rgb([50, 1, 2]));
    paint(&folder.path().join("dog/b.bmp"), (8, 8), Rgb([51, 1, 2]));
    folder
}

#[test]
fn folders_are_classes_and_a_share_of_each_is_the_test() {
    let folder = flat();
    fs::write(folder.path().join("cat/notes.txt"), "").unwrap();
    fs::write(folder.path().join("dog/.DS_Store"), "").unwrap();
    fs::create_dir(folder.path().join(".thumbnails")).unwrap();
    let found = PictureFolder::find(folder.path(), None).unwrap();
    assert_eq!((found.classes, found.passed_over), (vec!["cat".to_owned(), "dog".to_owned()], 1));
    let DataSet { train, test } = load_pictures(folder.path(), None).unwrap();
    assert_eq!((train.counts().as_slice(), test.counts().as_slice()), (&[4, 1][..], &[1, 1][..]));
    assert_eq!(train.shape, OPTIONS.shape);
    // Each picture is in one of the splits, whole, with its own label: its red value tells which it is.
    let reds = |set: &ImageSet| {
        (0..set.len()).map(|index| (set.labels()[index], set.image(index)[0])).collect::<Vec<_>>()
    };
    let mut all = [reds(&train), reds(&test)].concat();
    all.sort_unstable();
    assert_eq!(all, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 50), (1, 51)]);
}

#[test]
fn splits_may_lie_apart_and_the_order_of_classes_may_be_given() {
    let folder = TempDir::new().unwrap();
    for (path, red) in
        [("train/cat/0.png", 1), ("train/dog/0.png", 2), ("val/cat/0.png", 3), ("val/dog/0.png", 4)]
    {
        paint(&folder.path().join(path), (8, 8), Rgb([red, 0, 0]));
    }
    let first = |set: &ImageSet, index: usize| set.image(index)[0];
    let data = load_pictures(folder.path(), None).unwrap();
    assert_eq!((first(&data.train, 0), first(&data.train, 1), first(&data.test, 0)), (1, 2, 3));
    let classes = ["dog".to_owned(), "cat".to_owned()];
    let data = load_pictures(folder.path(), Some(&classes)).unwrap();
    assert_eq!((first(&data.train, 0), first(&data.train, 1), first(&data.test, 0)), (2, 1, 4));
    // `test` comes before `val`.
    paint(&folder.path().join("test/cat/0.png"), (8, 8), Rgb([5, 0, 0]));
    paint(&folder.path().join("test/dog/0.png"), (8, 8), Rgb([6, 0, 0]));
    assert_eq!(first(&load_pictures(folder.path(), None).unwrap().test, 0), 5);
}

#[test]
fn what_is_no_data_set_is_told_with_its_place() {
    let check = |change: &dyn Fn(&Path), classes: Option<&[&str]>, expected: &str| {
        let folder = flat();
        change(folder.path());
        let classes: Option<Vec<String>> =
            classes.map(|names| names.iter().map(|&name| name.into()).collect());
        let error = load_pictures(folder.path(), classes.as_deref()).unwrap_err().to_string();
        let error = error.replace(&format!("{}/", folder.path().display()), "");
        assert!(error.contains(expected), "{error}");
    };
    let nothing = |_: &Path| {};
    check(&|folder| fs::remove_dir_all(folder.join("dog/deep")).unwrap(), None, "class `dog` in");
    check(&|folder| fs::create_dir(folder.join("empty")).unwrap(), None, "empty holds no picture");
    check(&nothing, Some(&["cat", "dog", "cow"]), "cow holds no picture");
    check(&nothing, Some(&["cat", "cow"]), "dog is the folder of no class; the classes are cat, cow");
    let leave_nothing = |folder: &Path| {
        fs::remove_dir_all(folder.join("cat")).unwrap();
        fs::remove_dir_all(folder.join("dog")).unwrap();
    };
    check(&leave_nothing, None, "has no folders; put the pictures of each class into a folder");
    let cut = |folder: &Path| {
        let bytes = fs::read(folder.join("cat/3.png")).unwrap();
        fs::write(folder.join("cat/3.png"), &bytes[..bytes.len() / 2]).unwrap();
        fs::write(folder.join("cat/4.png"), "no picture").unwrap();
    };
    // The first of them is named, however many threads read.
    check(&cut, None, "picture cat/3.png cannot be read: ");
    check(&cut, None, "remove it, or save it again as one of png, jpg");
}

#[test]
fn pictures_are_scaled_to_cover_the_shape_and_cut_in_the_middle() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wide.png");
    // Three squares beside each other: the middle one is left.
    let picture = RgbImage::from_fn(96, 32, |x, _| if (32..64).contains(&x) { RED } else { Rgb([0, 0, 0]) });
    picture.save(&path).unwrap();
    let shape = |channels| ImageShape { channels, height: 8, width: 8 };
    let image = read_picture(&path, shape(3)).unwrap();
    // Planes, not pixels: the middle column of each, away from what bilinear scaling mixes at the edges.
    for (plane, value) in image.chunks(64).zip(RED.0) {
        assert!(plane.chunks(8).all(|row| row[1..7] == [value; 6]), "{plane:?}");
    }
    let luma = |[r, g, b]: [u8; 3]| 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
    let gray = read_picture(&path, shape(1)).unwrap();
    assert!((f64::from(gray[4]) - luma(RED.0)).abs() <= 1.0, "{}", gray[4]);
    assert_eq!(look(&path).unwrap(), Pictured { size: (96, 32), color: true });
    // The name may lie: the bytes count.
    let renamed = folder.path().join("wide.jpg");
    fs::copy(&path, &renamed).unwrap();
    assert_eq!(read_picture(&renamed, shape(3)).unwrap(), image);
}

#[test]
fn a_picture_is_turned_upright() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("turned.jpg");
    // The left half is bright. Turned by 90° clockwise, the upper half is.
    let picture = RgbImage::from_fn(16, 16, |x, _| if x < 8 { Rgb([255; 3]) } else { Rgb([0; 3]) });
    DynamicImage::from(picture).save_with_format(&path, ImageFormat::Jpeg).unwrap();
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..2], exif, &bytes[2..]].concat()).unwrap();
    let image = read_picture(&path, ImageShape { channels: 1, height: 16, width: 16 }).unwrap();
    let mean = |rows: &[u8]| rows.iter().map(|&value| f64::from(value)).sum::<f64>() / rows.len() as f64;
    let (upper, lower) = (mean(&image[..128]), mean(&image[128..]));
    assert!(upper > 250.0 && lower < 5.0, "{upper} {lower}");
}
