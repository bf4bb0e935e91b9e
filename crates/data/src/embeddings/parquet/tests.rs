use std::{fs, path::PathBuf};

use expanse_domain::{Provenance, Seed};
use tempfile::TempDir;

use super::*;
use crate::{Balanced, read_embeddings, write_balanced};

const NAMES: Names<'_> = Names { features: "embeddings", labels: "labels" };
/// The shape of what golden/generate.py writes.
const ROWS: usize = 12;
const COLS: usize = 3;

/// The files of a folder of golden/, by name.
fn golden(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The features by the formula of golden/generate.py.
fn features() -> Matrix {
    let value = |at: usize| ((7 * (at / COLS) + 3 * (at % COLS)) % 11) as f32;
    Matrix::new((0..ROWS * COLS).map(value).collect(), ROWS, COLS).unwrap()
}

#[test]
fn what_other_programs_write_is_read() {
    let files = golden("read");
    assert_eq!(files.len(), 16);
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let read = read_embeddings(&path, &NAMES, None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.features, features(), "{name}");
        let thirds: Vec<u32> = (0..ROWS as u32).map(|row| row % 3).collect();
        let (labels, classes) = match name {
            "flat-bool" => {
                let beyond = thirds.iter().map(|&third| u32::from(third == 2)).collect();
                (beyond, Classes::Numbers(vec![0, 1]))
            }
            _ if name.starts_with("words") => {
                (thirds, Classes::Words(["cat", "dog", "eel"].map(str::to_owned).into()))
            }
            _ => (thirds, Classes::Numbers(vec![-5, 0, 5])),
        };
        assert_eq!((read.labels, read.classes), (labels, classes), "{name}");
    }
}

#[test]
fn what_cannot_be_used_is_told() {
    let told = |file: &str| match file {
        "brotli" => "`x1` is compressed with brotli; write it with snappy, zstd, gzip, lz4 or none",
        "date" => "`x3` holds values of type timestamp; numbers are needed",
        "empty-list" => "row 6 (the first is 0), column `embeddings`: the list is empty; fill it in",
        "float-label" => "`labels` holds values of type f64; whole numbers or texts are needed",
        "large" => "row 8 (the first is 0), column `x1`: the value is -inf in 32 bits",
        "list-label" => "`labels` holds values of type list of f64; whole numbers or texts are needed",
        "lists-of-lists" => "`embeddings` holds values of type list of list of f64; numbers are needed",
        "nan" => "row 8 (the first is 0), column `x1`: the value is NaN",
        "nan-in-list" => "row 6 (the first is 0), column `embeddings`: the value is inf",
        "no-feature" => "it holds no `embeddings`; it holds labels",
        "no-label" => "it holds no `labels`; it holds x0, x1, x2; name one of them",
        "null" => "row 7 (the first is 0), column `x1`: there is no value; fill it in, or leave the row out",
        "null-in-list" => "row 6 (the first is 0), column `embeddings`: there is no value",
        "null-label" => "row 3 (the first is 0), column `labels`: there is no value",
        "null-list" => "row 6 (the first is 0), column `embeddings`: there is no value",
        "other-lists" => "`vector` holds lists; if they are the features, name it as that",
        "ragged" => {
            "row 6 (the first is 0), column `embeddings`: the list holds 2 values, but that of row 0 holds 3"
        }
        "struct" => "`x3` holds values of type struct; numbers are needed",
        "text" => "`x3` holds values of type text; numbers are needed",
        "texts-in-list" => "`embeddings` holds values of type list of text; numbers are needed",
        "two-labels" => "two of its columns are called `labels`",
        _ => panic!("{file}"),
    };
    let files = golden("refused");
    assert_eq!(files.len(), 21);
    let refused = |path: &Path, names: &Names<'_>, labels: Option<&Path>, part: &str| {
        let told = read_embeddings(path, names, labels).unwrap_err().to_string();
        let place = format!("{}: ", path.display());
        assert!(told.strip_prefix(&place).is_some_and(|told| told.contains(part)), "{told}\n{part}");
    };
    for path in &files {
        refused(path, &NAMES, None, told(path.file_stem().unwrap().to_str().unwrap()));
    }
    let other = files.iter().find(|path| path.ends_with("other-lists.parquet")).unwrap();
    let read = read_embeddings(other, &Names { features: "vector", ..NAMES }, None).unwrap();
    assert_eq!(read.features, features());
    refused(other, &NAMES, Some(Path::new("y.npy")), "such a file holds its labels itself");
    refused(Path::new("absent.parquet"), &NAMES, None, "it cannot be read");

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.parquet");
    fs::write(&path, "a,labels\n1,0\n").unwrap();
    refused(&path, &NAMES, None, "it is no such file as its extension says");
    let whole = fs::read(other).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused(&path, &NAMES, None, "it is no such file as its extension says");
}

/// Rows that were made of others, of enough that a file has two groups.
fn balanced(classes: Classes, check: impl Fn(&Balanced<'_>)) {
    let (rows, made, cols) = ((1 << 17) - 2, 5, 2);
    let values = |rows: usize, first: usize| {
        let value = |at: usize| (first + at) as f32 * 0.1 - 7e3;
        Matrix::new((0..rows * cols).map(value).collect(), rows, cols).unwrap()
    };
    let labels = |rows: usize| (0..rows as u32).map(|row| row % 2).collect::<Vec<_>>();
    let source =
        |row: u64| Provenance { base: 9 * row, partner: row, partner_class: row as u32 % 2, r: 0.25 };
    let real = Embeddings { features: values(rows, 0), labels: labels(rows), classes };
    let (synthetic, labels) = (values(made, rows * cols), labels(made));
    let provenance: Vec<Provenance> = (0..made as u64).map(source).collect();
    check(&Balanced { real: &real, synthetic: &synthetic, labels: &labels, provenance: &provenance });
}

#[test]
fn what_is_written_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.parquet");
    for classes in [Classes::Numbers(vec![-3, 7]), Classes::Words(vec!["cat, black".into(), "dog".into()])] {
        balanced(classes.clone(), |balanced| {
            write_balanced(&path, &NAMES, None, balanced).unwrap();
            let read = read_embeddings(&path, &NAMES, None).unwrap();
            let all = [balanced.real.features.as_slice(), balanced.synthetic.as_slice()].concat();
            assert_eq!((read.features.cols(), read.features.as_slice()), (2, &all[..]));
            assert_eq!(
                (read.labels, &read.classes),
                ([&balanced.real.labels[..], balanced.labels].concat(), &classes)
            );
            let first = fs::read(&path).unwrap();
            write_balanced(&path, &NAMES, None, balanced).unwrap();
            assert!(fs::read(&path).unwrap() == first, "the same content, other bytes");
            for name in ["x1", "r"] {
                let error =
                    write_balanced(&path, &Names { labels: name, ..NAMES }, None, balanced).unwrap_err();
                assert!(
                    error.to_string().contains(&format!("two of its columns are called `{name}`")),
                    "{error}"
                );
            }
        });
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something else is left in the folder");
}

#[test]
fn rows_made_tell_where_they_come_from() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.parquet");
    balanced(Classes::Words(vec!["cat".into(), "dog".into()]), |balanced| {
        write_balanced(&path, &NAMES, None, balanced).unwrap();
    });
    let file = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let schema = file.metadata().file_metadata().schema_descr();
    let names: Vec<&str> = schema.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["x0", "x1", "labels", "base", "partner", "partner_class", "r"]);
    let rows: Vec<String> = file.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    let whole = |row: &str| row.split_once("labels").unwrap().1.to_owned();
    let real = r#": "dog", base: null, partner: null, partner_class: null, r: null}"#;
    assert_eq!(whole(&rows[(1 << 17) - 3]), real);
    assert_eq!(
        whole(rows.last().unwrap()),
        r#": "cat", base: 36, partner: 4, partner_class: "cat", r: 0.25}"#
    );
}

#[test]
fn no_change_of_a_file_makes_reading_panic() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.parquet");
    let files: Vec<Vec<u8>> = golden("read").iter().map(|path| fs::read(path).unwrap()).collect();
    let mut rng = Seed(7).derive("mutations", &[]).rng();
    let (mut refused, mut read) = (0, 0);
    for _ in 0..1000 {
        for bytes in &files {
            let mut bytes = bytes.clone();
            for _ in 0..=rng.index(4) {
                let place = rng.index(bytes.len());
                match rng.index(4) {
                    0 => bytes[place] = rng.below(256) as u8,
                    1 => bytes[place] ^= 1 << rng.index(8),
                    2 => drop(bytes.remove(place)),
                    _ => {
                        let end = (place + rng.index(40)).min(bytes.len());
                        let part = bytes[place..end].to_vec();
                        let to = rng.index(bytes.len());
                        bytes.splice(to..to, part);
                    }
                }
            }
            fs::write(&path, &bytes).unwrap();
            let result = read_embeddings(&path, &NAMES, None);
            // Where a file is overwritten that is there, some file systems wait for the disk.
            fs::remove_file(&path).unwrap();
            let Ok(Embeddings { features, labels, classes }) = result else {
                refused += 1;
                continue;
            };
            read += 1;
            assert_eq!(features.rows(), labels.len());
            assert!(features.as_slice().iter().all(|value| value.is_finite()));
            assert!(labels.iter().all(|&label| (label as usize) < classes.len()));
        }
    }
    // Neither is every change noticed, nor does every one matter.
    assert!(refused > read && read > 0, "{refused} refused, {read} read");
}
