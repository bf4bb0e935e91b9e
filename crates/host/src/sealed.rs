//! A private copy of a library's verified bytes. The system maps files into memory as they are needed: were the file
//! itself opened, whoever writes to it later would change a running program, or end it.

use std::{io, path::PathBuf};

/// Makes a copy that nobody can change, in memory; it stays until the process ends.
#[cfg(target_os = "linux")]
pub(crate) fn copy(name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    use std::{fs::File, io::Write, os::fd::IntoRawFd};

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    let descriptor = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    // Open for ever: the loader takes two files of the same path for the same library, and this number is in the path.
    Ok(PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd())))
}

/// Makes a copy in a folder that only this user can enter; it stays until the system clears its temporary files,
/// since an open library may not be removed everywhere.
#[cfg(not(target_os = "linux"))]
pub(crate) fn copy(name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("expanse-plugin-").tempdir()?.keep();
    let path = folder.join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}
