use std::fs;

use tempfile::TempDir;

use super::*;

const NAMES: Names<'_> = Names { features: "embeddings", labels: "labels" };

fn real(classes: Classes) -> Embeddings {
    let features = Matrix::new(vec![0.5, -1.25, 3e-30, 4.0, 1e30, 0.1], 3, 2).unwrap();
    Embeddings { features, labels: vec![1, 0, 1], classes }
}

fn provenance() -> [Provenance; 2] {
    [
        Provenance { base: 2, partner: 1, partner_class: 0, r: 0.25 },
        Provenance { base: 0, partner: 2, partner_class: 1, r: -0.5 },
    ]
}

/// Writes two rows more than there are, and reads all of them again.
fn round_trip(folder: &Path, file: &str, labels: Option<&str>, classes: Classes) {
    let real = real(classes);
    let synthetic = Matrix::new(vec![7.0, 8.0, 9.0, 10.0], 2, 2).unwrap();
    let (labels_of_made, provenance) = ([0, 1], provenance());
    let balanced =
        Balanced { real: &real, synthetic: &synthetic, labels: &labels_of_made, provenance: &provenance };
    let (path, labels) = (folder.join(file), labels.map(|labels| folder.join(labels)));
    write_balanced(&path, &NAMES, labels.as_deref(), &balanced).unwrap();
    let read = read_embeddings(&path, &NAMES, labels.as_deref()).unwrap();
    let all = [real.features.as_slice(), synthetic.as_slice()].concat();
    assert_eq!(read.features, Matrix::new(all, 5, 2).unwrap(), "{file}");
    assert_eq!((read.labels, &read.classes), (vec![1, 0, 1, 0, 1], &real.classes), "{file}");
    let first = fs::read(&path).unwrap();
    write_balanced(&path, &NAMES, labels.as_deref(), &balanced).unwrap();
    assert!(fs::read(&path).unwrap() == first, "{file}: the same content, other bytes");
}

#[test]
fn what_is_written_is_read_in_every_format() {
    let folder = TempDir::new().unwrap();
    let numbers = || Classes::Numbers(vec![-3, 7]);
    round_trip(folder.path(), "a.safetensors", None, numbers());
    round_trip(folder.path(), "a.npz", None, numbers());
    round_trip(folder.path(), "a.npy", Some("labels.npy"), numbers());
    round_trip(folder.path(), "a.csv", None, numbers());
    round_trip(folder.path(), "b.csv", None, Classes::Words(vec!["cat, black".into(), "dog".into()]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "something else is left in the folder");
}

#[test]
fn numpy_reads_its_own_headers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    // As numpy.save writes np.array([[1, 2]], dtype=np.float64), but for the padding.
    let file = |header: &str, values: &[u8]| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        fs::write(&path, bytes).unwrap();
        npy::read(&mut open(&path).unwrap(), &path)
    };
    let values: Vec<u8> = [1.0_f64, 2.0].into_iter().flat_map(f64::to_le_bytes).collect();
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }\n";
    assert_eq!(file(header, &values).unwrap().matrix(&path).unwrap().as_slice(), [1.0, 2.0]);
    let refused = |header: &str, values: &[u8], part: &str| {
        let told = file(header, values).err().unwrap().to_string();
        assert!(told.contains(part), "{told}");
    };
    refused(&header.replace("False", "True"), &values, "np.ascontiguousarray");
    refused(&header.replace('<', ">"), &values, "big-endian");
    refused(&header.replace("<f8", "|O"), &values, "of type |O");
    refused(header, &values[..9], "ends after 9 of 16 bytes");
    refused(&header.replace("1, 2", "99999999999, 99999999999"), &values, "its shape is");
    fs::write(&path, "text that is no array").unwrap();
    let told = npy::read(&mut open(&path).unwrap(), &path).err().unwrap().to_string();
    assert!(told.contains("does not begin as NumPy's files do"), "{told}");
}

#[test]
fn what_cannot_be_used_is_told() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |file: &str, names: &Names<'_>, labels: Option<&str>, part: &str| {
        let labels = labels.map(path);
        let told = read_embeddings(&path(file), names, labels.as_deref()).unwrap_err().to_string();
        assert!(told.contains(part) && told.contains(file), "{told}");
    };
    round_trip(folder.path(), "a.safetensors", None, Classes::Numbers(vec![0, 1]));
    round_trip(folder.path(), "a.npz", None, Classes::Numbers(vec![0, 1]));
    round_trip(folder.path(), "a.npy", Some("l.npy"), Classes::Numbers(vec![0, 1]));
    for file in ["a.safetensors", "a.npz"] {
        refused(file, &Names { labels: "y", ..NAMES }, None, "it holds no `y`; it holds ");
        refused(
            file,
            &Names { features: "r", ..NAMES },
            None,
            "has the shape [2]; [rows, columns] is needed",
        );
        refused(file, &Names { labels: "r", ..NAMES }, None, "values of type f32; whole numbers are needed");
    }
    refused("a.npy", &NAMES, None, "name a file of its own");
    refused("none.npz", &NAMES, None, "cannot be read");
    refused("a.mat", &NAMES, None, "use .safetensors, .npy, .npz, .csv");
    #[cfg(not(feature = "parquet"))]
    refused("a.parquet", &NAMES, None, "build it with the feature `parquet`, or use .csv");
    fs::write(path("x.csv"), "a,label\n1,0\nx,1\n").unwrap();
    refused("x.csv", &Names { labels: "label", ..NAMES }, None, "line 3, column `a` is `x`");
    refused("x.csv", &NAMES, None, "it holds no `labels`; it holds a, label");
    fs::write(path("y.csv"), "a,labels\n1\n").unwrap();
    refused("y.csv", &NAMES, None, "is no such file as its extension says");
    fs::write(path("x.safetensors"), "short").unwrap();
    refused("x.safetensors", &NAMES, None, "is no such file as its extension says");

    let real = real(Classes::Words(vec!["cat".into(), "dog".into()]));
    let made = Matrix::zeros(0, 2);
    let balanced = Balanced { real: &real, synthetic: &made, labels: &[], provenance: &[] };
    let write = |file: &str| write_balanced(&path(file), &NAMES, None, &balanced).unwrap_err().to_string();
    assert!(write("w.npz").contains("these are words; write .csv"));
    assert!(write("absent/w.csv").contains("cannot be written"));
    assert!(!path("w.npz").exists());
}
