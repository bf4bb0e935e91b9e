//! What can be said of a library file before it is opened: opening runs its code.

use std::{fs, io, path::Path};

use expanse_domain::sha256;

/// Why a file cannot be a plugin for this machine.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no library at all.
    #[error("this is no shared library; a plugin is a `cdylib` built with the sdk")]
    NotALibrary,
    /// It is cut short.
    #[error("this shared library is truncated: {have} bytes of at least {needed}; build or copy it again")]
    Truncated {
        /// Bytes in the file.
        have: u64,
        /// Bytes that its header speaks of.
        needed: u64,
    },
    /// It is for another machine.
    #[error(
        "this shared library is for another machine ({found}, this one is {expected}); build it for this target"
    )]
    Machine {
        /// The file's machine.
        found: String,
        /// This machine.
        expected: &'static str,
    },
}

/// A file that looks like a library for this machine, as it was when it was read: what is opened later are these bytes.
pub(crate) struct Checked {
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
}

/// Reads a file once and checks what can be checked without opening the library.
pub(crate) fn read(path: &Path) -> Result<Checked, FileProblem> {
    let bytes = fs::read(path)?;
    check_bytes(&bytes)?;
    let sha256 = sha256(&bytes);
    Ok(Checked { bytes, sha256 })
}

#[cfg(target_os = "linux")]
fn check_bytes(bytes: &[u8]) -> Result<(), FileProblem> {
    const MACHINES: [(u16, &str); 5] =
        [(62, "x86_64"), (183, "aarch64"), (243, "riscv64"), (3, "x86"), (40, "arm")];
    let have = bytes.len() as u64;
    if !bytes.starts_with(b"\x7fELF") {
        return Err(FileProblem::NotALibrary);
    }
    let Some(header) = bytes.first_chunk::<64>() else {
        return Err(FileProblem::Truncated { have, needed: 64 });
    };
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let expected = std::env::consts::ARCH;
    let machine = short(18);
    let found = MACHINES.iter().find(|(code, _)| *code == machine).map_or("unknown", |(_, name)| name);
    if found != expected || header[4] != 2 {
        return Err(FileProblem::Machine { found: found.into(), expected });
    }
    const SHARED_OBJECT: u16 = 3;
    if short(16) != SHARED_OBJECT {
        return Err(FileProblem::NotALibrary);
    }
    // The table of sections is at the end of what linkers write.
    let sections = u64::from_le_bytes(std::array::from_fn(|i| header[40 + i]));
    let needed = sections.saturating_add(u64::from(short(58)) * u64::from(short(60)));
    if needed > have {
        return Err(FileProblem::Truncated { have, needed });
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn check_bytes(bytes: &[u8]) -> Result<(), FileProblem> {
    if bytes.is_empty() { Err(FileProblem::NotALibrary) } else { Ok(()) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_library_for_this_machine_are_told_apart() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let check = |bytes: &[u8], message: &str| {
            let error = check_bytes(bytes).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        check(b"#!/bin/sh\n", "no shared library");
        check(b"", "no shared library");
        check(&own[..own.len() / 2], "truncated");
        check(&own[..32], "truncated");
        let mut foreign = own.clone();
        foreign[18] = if std::env::consts::ARCH == "aarch64" { 62 } else { 183 };
        check(&foreign, "for another machine");
    }
}
