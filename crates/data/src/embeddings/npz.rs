//! NumPy's format of several arrays: a zip archive of `.npy` files.

use std::{
    fs::File,
    io::{self, BufReader, Seek, Write},
    path::Path,
};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::{EmbeddingsError, Named, Names, npy, open, values::Array};

/// Features, and labels if they are wanted.
pub(super) fn read(
    path: &Path,
    names: &Names<'_>,
    labels: bool,
) -> Result<(Array, Option<Array>), EmbeddingsError> {
    let features = read_one(path, names.features)?;
    Ok((features, if labels { Some(read_one(path, names.labels)?) } else { None }))
}

pub(super) fn read_one(path: &Path, name: &str) -> Result<Array, EmbeddingsError> {
    let content = |error: zip::result::ZipError| EmbeddingsError::Content {
        path: path.into(),
        problem: error.to_string(),
    };
    let mut archive: ZipArchive<BufReader<File>> = ZipArchive::new(open(path)?).map_err(content)?;
    let held: Result<Vec<String>, _> =
        archive.file_names().map(|name| Ok(name?.trim_end_matches(".npy").to_owned())).collect();
    let held = held.map_err(content)?;
    if !held.iter().any(|held| held == name) {
        return Err(EmbeddingsError::NoName { path: path.into(), name: name.into(), held });
    }
    let mut member = archive.by_name(&format!("{name}.npy")).map_err(content)?;
    Ok(Array { name: name.into(), ..npy::read(&mut member, path)? })
}

pub(super) fn write(out: &mut (impl Write + Seek), arrays: &[Named<'_>]) -> io::Result<()> {
    let mut archive = ZipWriter::new(out);
    for Named { name, shape, values } in arrays {
        // As `numpy.savez` does; the date is fixed, so that the same arrays give the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(values.len() >= u32::MAX as usize);
        archive.start_file(format!("{name}.npy"), options)?;
        npy::write(&mut archive, shape, values)?;
    }
    archive.finish()?;
    Ok(())
}
