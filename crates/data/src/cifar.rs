use std::path::{Path, PathBuf};

use crate::{
    DataError, ImageShape,
    load::{Split, Stored},
    source::{Source, locate, require},
};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
/// A label, then the red, the green and the blue plane.
const ROW: usize = 1 + 3 * 32 * 32;

const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: &str = "test_batch.bin";
const CLASSES: &str = "batches.meta.txt";

/// Reads the six batches of CIFAR-10, and the names of the classes if they are there.
pub(crate) fn read(folder: &Path) -> Result<Stored, DataError> {
    let [first, second, third, fourth, fifth] = TRAIN;
    require(folder, &[first, second, third, fourth, fifth, TEST])?;
    Ok(Stored {
        train: read_split(folder, &TRAIN)?,
        test: read_split(folder, &[TEST])?,
        classes: read_classes(folder)?,
    })
}

fn read_split(folder: &Path, names: &[&str]) -> Result<Split, DataError> {
    let mut split = Split { path: PathBuf::new(), shape: SHAPE, pixels: Vec::new(), labels: Vec::new() };
    for name in names {
        let (path, labels) = read_batch(folder, name, &mut split.pixels)?;
        match split.labels.first() {
            None => split.path = path.clone(),
            Some((_, first)) if first.len() != labels.len() => {
                return Err(DataError::UnevenBatches { path, got: labels.len(), expected: first.len() });
            }
            Some(_) => {}
        }
        split.labels.push((path, labels));
    }
    Ok(split)
}

/// Appends the images of one batch to `pixels` and returns its labels.
fn read_batch(folder: &Path, name: &str, pixels: &mut Vec<u8>) -> Result<(PathBuf, Vec<u8>), DataError> {
    let source = Source::open(folder, name)?;
    let path = source.path.clone();
    let bytes = source.rest()?;
    let (rows, partial) = bytes.as_chunks::<ROW>();
    if !partial.is_empty() {
        let missing = ROW - partial.len();
        return Err(DataError::Truncated { path, part: "the last image", missing, expected: ROW });
    }
    if rows.is_empty() {
        return Err(DataError::Empty { path });
    }
    let mut labels = Vec::with_capacity(rows.len());
    pixels.reserve(rows.len() * SHAPE.values());
    for [label, image @ ..] in rows {
        labels.push(*label);
        pixels.extend_from_slice(image);
    }
    Ok((path, labels))
}

fn read_classes(folder: &Path) -> Result<Option<Vec<String>>, DataError> {
    if locate(folder, CLASSES).is_none() {
        return Ok(None);
    }
    let source = Source::open(folder, CLASSES)?;
    let path = source.path.clone();
    let text = String::from_utf8(source.rest()?).map_err(|_| DataError::Names { path })?;
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(Some(names.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Two images in each batch: batch `b` has labels `b` and 0, and all values `10 b` and `10 b + 1`.
    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        for (batch, name) in (0..).zip([TEST].iter().chain(&TRAIN)) {
            let mut bytes = vec![10 * batch; 2 * ROW];
            bytes[ROW..].fill(10 * batch + 1);
            (bytes[0], bytes[ROW]) = (batch, 0);
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn batches_follow_each_other() {
        let folder = folder();
        let data = read(folder.path()).unwrap().data_set(None).unwrap();
        assert_eq!(data.train.labels(), [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        assert_eq!((data.test.labels(), data.test.len()), (&[0, 0][..], 2));
        assert_eq!(data.train.image(7), [41; 3072]);
        assert_eq!((data.train.shape, data.train.classes.len()), (SHAPE, 6));
        fs::write(folder.path().join(CLASSES), "airplane\nbird\r\ncat\ndeer\ndog\nfrog\nhorse\n\n").unwrap();
        let data = read(folder.path()).unwrap().data_set(None).unwrap();
        assert_eq!((data.test.classes.len(), data.test.classes[1].as_str()), (7, "bird"));
    }

    #[track_caller]
    fn check(name: &str, change: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let folder = folder();
        let mut bytes = fs::read(folder.path().join(name)).unwrap_or_default();
        change(&mut bytes);
        fs::write(folder.path().join(name), bytes).unwrap();
        let message = read(folder.path()).and_then(|stored| stored.data_set(None)).unwrap_err().to_string();
        assert!(message.contains(&format!("{name}{expected}")), "{message}");
    }

    #[test]
    fn damaged_batches_are_refused() {
        check(
            TRAIN[2],
            |bytes| bytes.truncate(2 * ROW - 3),
            ": 3 of 3073 bytes of the last image are missing",
        );
        check(TRAIN[2], |bytes| bytes.truncate(ROW), " holds 1 images, the first batch 2; all must be equal");
        check(TEST, |bytes| bytes.clear(), " holds no images");
        check(TEST, |bytes| bytes[ROW] = 9, ": item 1 (from 0) has label 9, but there are 6 classes");
        check(CLASSES, |bytes| *bytes = vec![0xff], " is not UTF-8 text");
    }
}
