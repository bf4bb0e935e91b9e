use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;
use crate::DataSet;

/// Two training images of 1×2 and one test image, as bytes of the four files.
struct Files([Vec<u8>; 4]);

impl Files {
    const NAMES: [&str; 4] = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS];

    fn good() -> Self {
        Self([
            vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20, 30, 40],
            vec![0, 0, 8, 1, 0, 0, 0, 2, 2, 0],
            vec![0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 50, 60],
            vec![0, 0, 8, 1, 0, 0, 0, 1, 1],
        ])
    }

    fn folder(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in Self::NAMES.iter().zip(&self.0) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn load_idx(folder: &Path) -> Result<DataSet, DataError> {
    read(folder)?.data_set(None)
}

/// The message of loading `folder`, with the folder itself left out of paths.
fn message(folder: &Path) -> String {
    let message = load_idx(folder).unwrap_err().to_string();
    message.replace(&format!("{}/", folder.display()), "")
}

/// Changes the good files, and expects a message that contains `expected`.
#[track_caller]
fn check(change: impl FnOnce(&mut [Vec<u8>; 4]), expected: &str) {
    let mut files = Files::good();
    change(&mut files.0);
    let message = message(files.folder().path());
    assert!(message.contains(expected), "{message}");
}

#[test]
fn plain_files_are_read_and_preferred_over_compressed_ones() {
    let folder = Files::good().folder();
    fs::write(folder.path().join(format!("{TRAIN_LABELS}.gz")), "not read").unwrap();
    let data = load_idx(folder.path()).unwrap();
    assert_eq!((data.train.pixels(), data.train.labels()), (&[10, 20, 30, 40][..], &[2, 0][..]));
    assert_eq!((data.test.pixels(), data.test.labels()), (&[50, 60][..], &[1][..]));
    assert_eq!(data.train.shape, ImageShape { channels: 1, height: 1, width: 2 });
    assert_eq!((&data.train.classes, &data.test.classes), (&data.test.classes, &names(&["0", "1", "2"])));
}

#[test]
fn compressed_files_are_read() {
    let good = load_idx(Files::good().folder().path()).unwrap();
    let folder = Files::good().folder();
    for name in Files::NAMES {
        let plain = folder.path().join(name);
        fs::write(folder.path().join(format!("{name}.gz")), gzip(&fs::read(&plain).unwrap())).unwrap();
        fs::remove_file(plain).unwrap();
        assert_eq!(load_idx(folder.path()).unwrap(), good);
    }
}

#[test]
fn classes_are_the_ones_given() {
    let folder = Files::good().folder();
    let load = |classes: &[&str]| read(folder.path())?.data_set(Some(&names(classes)));
    assert_eq!(load(&["a", "b", "c", "d"]).unwrap().test.counts().as_slice(), [0, 1, 0, 0]);
    let message = load(&["a", "b"]).unwrap_err().to_string();
    assert!(
        message.contains("train-labels-idx1-ubyte: item 0 (from 0) has label 2, but there are 2"),
        "{message}"
    );
}

fn names(classes: &[&str]) -> Vec<String> {
    classes.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn damaged_files_are_refused() {
    check(|files| files[0].truncate(17), "file train-images-idx3-ubyte: 3 of 4 bytes of pixels are missing");
    check(|files| files[3].truncate(5), "file t10k-labels-idx1-ubyte: 3 of 8 bytes of header are missing");
    check(|files| files[1].push(0), "file train-labels-idx1-ubyte goes on after the 2 bytes of labels");
    check(|files| files[2][0] = 0x1f, "t10k-images-idx3-ubyte begins with the bytes [1f, 00, 08, 03]");
    check(|files| files[2][2] = 0x0d, "t10k-images-idx3-ubyte holds elements of IDX type 0x0d");
    check(|files| files.swap(0, 1), "train-images-idx3-ubyte: 6 of 16 bytes of header are missing");
    check(|files| files[1] = files[0].clone(), "train-labels-idx1-ubyte has 3 dimensions instead of 1");
    check(|files| files[1] = files[3].clone(), "train-images-idx3-ubyte holds 2 images, train-labels-idx1");
    check(
        |files| files[3][8] = 3,
        "t10k-labels-idx1-ubyte: item 0 (from 0) has label 3, but there are 3 classes",
    );
    check(
        |files| files[2][11..16].copy_from_slice(&[2, 0, 0, 0, 1]),
        "1×1×2, t10k-images-idx3-ubyte of 1×2×1",
    );
    let narrow = |files: &mut [Vec<u8>; 4]| {
        for images in [0, 2] {
            files[images].truncate(16);
            files[images][15] = 0;
        }
    };
    check(narrow, "train-images-idx3-ubyte does not describe images");
    let nothing = |files: &mut [Vec<u8>; 4]| {
        files[2] = vec![0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        files[3] = vec![0, 0, 8, 1, 0, 0, 0, 0];
    };
    check(nothing, "t10k-images-idx3-ubyte holds no images");
}

#[test]
fn headers_are_not_trusted_with_memory() {
    let claim = |files: &mut [Vec<u8>; 4], n: u32, height: u32, width: u32| {
        let sizes = [n, height, width].map(u32::to_be_bytes);
        files[0][4..16].copy_from_slice(sizes.as_flattened());
    };
    check(
        |files| claim(files, u32::MAX, 10_000, 100_000),
        "4294967294999999996 of 4294967295000000000 bytes",
    );
    check(
        |files| claim(files, u32::MAX, u32::MAX, u32::MAX),
        "[4294967295, 4294967295, 4294967295] are beyond",
    );
}

#[test]
fn damaged_compression_is_refused() {
    let folder = Files::good().folder();
    fs::remove_file(folder.path().join(TRAIN_IMAGES)).unwrap();
    let path = folder.path().join(format!("{TRAIN_IMAGES}.gz"));
    let whole = gzip(&Files::good().0[0]);
    let outcome = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        message(folder.path())
    };
    for len in 2..whole.len() {
        assert!(
            outcome(&whole[..len]).starts_with("train-images-idx3-ubyte.gz ends in the middle of"),
            "{len}"
        );
    }
    assert!(outcome(&Files::good().0[0]).starts_with("train-images-idx3-ubyte.gz is not gzip"));
    let mut checksum = whole.clone();
    checksum[whole.len() - 8] ^= 1;
    for damaged in [checksum, [&whole[..], b"more than a header"].concat()] {
        assert!(outcome(&damaged).starts_with("train-images-idx3-ubyte.gz holds damaged gzip data"));
    }
    let short = gzip(&Files::good().0[0][..17]);
    assert!(outcome(&short).contains("train-images-idx3-ubyte.gz: 3 of 4 bytes of pixels are missing"));
}

#[test]
fn what_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let absent = folder.path().join("absent");
    let message_of = |path: &Path| load_idx(path).unwrap_err().to_string();
    assert!(
        message_of(&absent).contains("does not exist; create it and put train-images-idx3-ubyte, train-l")
    );
    fs::write(&absent, "").unwrap();
    assert!(
        message_of(&absent).contains("is not a folder; name the folder that holds train-images-idx3-ubyte")
    );
    assert!(matches!(load_idx(&absent.join("below")), Err(DataError::FolderMissing { .. })));
    let folder = Files::good().folder();
    fs::remove_file(folder.path().join(TRAIN_LABELS)).unwrap();
    fs::remove_file(folder.path().join(TEST_IMAGES)).unwrap();
    let message = message(folder.path());
    assert!(message.contains(" lacks train-labels-idx1-ubyte, t10k-images-idx3-ubyte; it must"), "{message}");
    assert!(message.contains("t10k-labels-idx1-ubyte, each plain or with .gz"), "{message}");
}

#[test]
fn what_is_there_but_no_readable_file_is_not_called_missing() {
    let folder = Files::good().folder();
    let path = folder.path().join(TRAIN_LABELS);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(message(folder.path()).starts_with("train-labels-idx1-ubyte is a directory, not a file"));
    #[cfg(unix)]
    {
        // A link to itself cannot be opened, whoever tries.
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(message(folder.path()).starts_with("train-labels-idx1-ubyte is there but cannot be read"));
        assert!(matches!(load_idx(&path), Err(DataError::Unreadable { .. })));
    }
}
