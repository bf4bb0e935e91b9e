use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use crate::{DataError, ImageSet, ImageShape, idx::UNSIGNED_BYTE};

/// Writes images of one channel, and their labels, as two IDX files, which [`load`](crate::load) reads.
///
/// Both are complete on the disk before either takes its place, so that no reader sees half a file. With `gzip`, the
/// bytes depend on the images alone (level 9; a header without name and time); the caller adds `.gz` to the paths.
pub fn write_idx(set: &ImageSet, images: &Path, labels: &Path, gzip: bool) -> Result<(), DataError> {
    let ImageShape { channels, height, width } = set.shape;
    if channels != 1 {
        return Err(DataError::NotGray { path: images.into(), channels });
    }
    let narrow: Vec<u8> = set.labels().iter().map_while(|&label| label.try_into().ok()).collect();
    if let Some(&label) = set.labels().get(narrow.len()) {
        return Err(DataError::LabelTooLarge { path: labels.into(), index: narrow.len(), label });
    }
    let images = Staged::new(images, &[set.len(), height, width], set.pixels(), gzip)?;
    let labels = Staged::new(labels, &[set.len()], &narrow, gzip)?;
    images.publish()?;
    labels.publish()
}

/// A file that is complete beside the place it will take; it is removed if it never takes it.
struct Staged<'a> {
    file: NamedTempFile,
    path: &'a Path,
}

impl<'a> Staged<'a> {
    fn new(path: &'a Path, dimensions: &[usize], elements: &[u8], gzip: bool) -> Result<Self, DataError> {
        let Some(header) = header(dimensions) else {
            return Err(DataError::TooLarge { path: path.into(), dimensions: dimensions.to_vec() });
        };
        let file = stage(path, &[&header, elements], gzip).map_err(|source| unwritable(path, source))?;
        Ok(Self { file, path })
    }

    fn publish(self) -> Result<(), DataError> {
        self.file.persist(self.path).map_err(|error| unwritable(self.path, error.error))?;
        // The name is safe only when the folder is; other systems cannot open one.
        #[cfg(unix)]
        std::fs::File::open(folder(self.path))
            .and_then(|folder| folder.sync_all())
            .map_err(|source| unwritable(self.path, source))?;
        Ok(())
    }
}

/// Two zeros, the element type, the number of dimensions, and each as big-endian `u32`.
fn header(dimensions: &[usize]) -> Option<Vec<u8>> {
    let mut header = vec![0, 0, UNSIGNED_BYTE, dimensions.len() as u8];
    for &size in dimensions {
        header.extend(u32::try_from(size).ok()?.to_be_bytes());
    }
    Some(header)
}

fn stage(path: &Path, parts: &[&[u8]], gzip: bool) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // As for any new file, the process's mask decides who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder(path))?;
    if gzip {
        let mut out = GzBuilder::new().mtime(0).write(&mut file, Compression::best());
        parts.iter().try_for_each(|part| out.write_all(part))?;
        out.finish()?;
    } else {
        parts.iter().try_for_each(|part| file.write_all(part))?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}

fn unwritable(path: &Path, source: io::Error) -> DataError {
    DataError::Unwritable { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::idx;

    fn set(channels: usize, labels: &[u32]) -> ImageSet {
        let shape = ImageShape { channels, height: 1, width: 2 };
        let pixels = (0..(labels.len() * shape.values()) as u8).collect();
        ImageSet::new(shape, pixels, labels.to_vec(), (0..300).map(|class| class.to_string()).collect())
            .unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let written = set(1, &[0, 255, 7]);
        let folder = TempDir::new().unwrap();
        for (extension, gzip) in [(".gz", true), ("", false)] {
            for split in ["train", "t10k"] {
                let path = |part| folder.path().join(format!("{split}-{part}-ubyte{extension}"));
                write_idx(&written, &path("images-idx3"), &path("labels-idx1"), gzip).unwrap();
            }
            let read = idx::read(folder.path()).unwrap().data_set(Some(&written.classes)).unwrap();
            assert_eq!((&read.train, &read.test), (&written, &written));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 8);
    }

    #[test]
    fn compressed_bytes_carry_no_time_and_no_name() {
        let folder = TempDir::new().unwrap();
        let [images, labels] = ["images.gz", "labels.gz"].map(|name| folder.path().join(name));
        write_idx(&set(1, &[1, 2]), &images, &labels, true).unwrap();
        // Deflate; no flags; time 0; best compression; unknown system.
        assert_eq!(fs::read(&images).unwrap()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = TempDir::new().unwrap();
        let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
        let write = |set: &ImageSet, labels: &Path| write_idx(set, &images, labels, false).unwrap_err();
        assert!(matches!(write(&set(3, &[0]), &labels), DataError::NotGray { channels: 3, .. }));
        assert!(matches!(
            write(&set(1, &[0, 256]), &labels),
            DataError::LabelTooLarge { index: 1, label: 256, .. }
        ));
        let nowhere = folder.path().join("absent/labels");
        assert!(
            matches!(write(&set(1, &[0]), &nowhere), DataError::Unwritable { path, .. } if path == nowhere)
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
