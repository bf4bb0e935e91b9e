//! Memory that this program and a plugin's process both reach: a file that lies in memory only.
//!
//! It is read and written by system calls and never mapped, so that nothing the other process does to it can end
//! this one.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use expanse_domain::{Matrix, MatrixView, Provenance};

use crate::messages::Shape;

/// Shared memory of this process.
pub(crate) struct Shared {
    file: File,
    path: PathBuf,
    /// Where a file on disk stands in for memory, it goes when this does.
    _on_disk: Option<tempfile::TempPath>,
}

impl Shared {
    /// Makes `len` bytes of zeros.
    #[cfg(target_os = "linux")]
    pub fn create(len: u64) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        let descriptor = rustix::fs::memfd_create("expanse", rustix::fs::MemfdFlags::CLOEXEC)?;
        let file = File::from(descriptor);
        file.set_len(len)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        Ok(Self { file, path, _on_disk: None })
    }

    /// Makes `len` bytes of zeros.
    #[cfg(not(target_os = "linux"))]
    pub fn create(len: u64) -> io::Result<Self> {
        let (file, on_disk) = tempfile::NamedTempFile::new()?.into_parts();
        file.set_len(len)?;
        Ok(Self { file, path: on_disk.to_path_buf(), _on_disk: Some(on_disk) })
    }

    /// Memory of the process that has made it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { file, path: path.into(), _on_disk: None })
    }

    /// Where the other process finds it.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    pub fn write_request(
        &self,
        shape: &Shape,
        features: MatrixView<'_>,
        labels: &[u32],
        wanted: &[u64],
    ) -> io::Result<()> {
        let mut at = 0;
        match features.as_contiguous() {
            Some(values) => self.write(&mut at, values)?,
            None => (0..shape.rows).try_for_each(|row| self.write(&mut at, features.row(row)))?,
        }
        self.write(&mut at, labels)?;
        self.write(&mut at, wanted)
    }

    pub fn read_request(&self, shape: &Shape) -> io::Result<(Matrix, Vec<u32>, Vec<u64>)> {
        let mut at = 0;
        let features = self.matrix(&mut at, shape.rows, shape.cols)?;
        Ok((features, self.read(&mut at, shape.rows)?, self.read(&mut at, shape.classes)?))
    }

    pub fn write_answer(
        &self,
        shape: &Shape,
        features: &Matrix,
        labels: &[u32],
        provenance: &[Provenance],
    ) -> io::Result<()> {
        let mut at = shape.answer();
        self.write(&mut at, features.as_slice())?;
        self.write(&mut at, labels)?;
        self.write(&mut at, &provenance.iter().map(|source| source.base).collect::<Vec<_>>())?;
        self.write(&mut at, &provenance.iter().map(|source| source.partner).collect::<Vec<_>>())?;
        self.write(&mut at, &provenance.iter().map(|source| source.partner_class).collect::<Vec<_>>())?;
        self.write(&mut at, &provenance.iter().map(|source| source.r).collect::<Vec<_>>())
    }

    pub fn read_answer(&self, shape: &Shape) -> io::Result<(Matrix, Vec<u32>, Vec<Provenance>)> {
        let mut at = shape.answer();
        let features = self.matrix(&mut at, shape.made, shape.cols)?;
        let labels = self.read(&mut at, shape.made)?;
        let base: Vec<u64> = self.read(&mut at, shape.made)?;
        let partner: Vec<u64> = self.read(&mut at, shape.made)?;
        let classes: Vec<u32> = self.read(&mut at, shape.made)?;
        let steps: Vec<f32> = self.read(&mut at, shape.made)?;
        let sources = base.into_iter().zip(partner).zip(classes).zip(steps);
        let provenance = sources.map(|(((base, partner), partner_class), r)| Provenance {
            base,
            partner,
            partner_class,
            r,
        });
        Ok((features, labels, provenance.collect()))
    }

    fn matrix(&self, at: &mut u64, rows: usize, cols: usize) -> io::Result<Matrix> {
        Matrix::new(self.read(at, rows * cols)?, rows, cols).map_err(io::Error::other)
    }

    fn write<T: Pod>(&self, at: &mut u64, values: &[T]) -> io::Result<()> {
        let bytes: &[u8] = cast_slice(values);
        write_at(&self.file, bytes, *at)?;
        *at += bytes.len() as u64;
        Ok(())
    }

    fn read<T: Pod + Zeroable>(&self, at: &mut u64, len: usize) -> io::Result<Vec<T>> {
        let mut values = vec![T::zeroed(); len];
        let bytes: &mut [u8] = cast_slice_mut(&mut values);
        read_at(&self.file, bytes, *at)?;
        *at += bytes.len() as u64;
        Ok(values)
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    use io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_lie_beside_one_another() {
        let shape = Shape { rows: 3, cols: 2, classes: 2, made: 2 };
        let shared = Shared::create(shape.len().unwrap()).unwrap();
        let features = Matrix::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2).unwrap();
        shared.write_request(&shape, features.view(), &[0, 1, 1], &[2, 0]).unwrap();
        let made = Matrix::new(vec![7.0, 8.0, 9.0, 10.0], 2, 2).unwrap();
        let source = Provenance { base: 1, partner: 2, partner_class: 1, r: 0.5 };
        let other = Shared::open(&shared.path()).unwrap();
        other.write_answer(&shape, &made, &[0, 0], &[source, Provenance::default()]).unwrap();
        assert_eq!(other.read_request(&shape).unwrap(), (features, vec![0, 1, 1], vec![2, 0]));
        let answer = shared.read_answer(&shape).unwrap();
        assert_eq!(answer, (made, vec![0, 0], vec![source, Provenance::default()]));
        assert!(Shape { rows: usize::MAX, ..shape }.len().is_none());
    }
}
