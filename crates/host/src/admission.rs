//! From a path to bytes that may be opened: read once, checked, hashed, compared with the manifest beside them, and
//! found in the list of what is trusted.

use std::path::Path;

use expanse_abi::VERSION;
use expanse_program::DIALECT;

use crate::{HostError, Kind, Sidecar, TARGET, Trust, file, file::Checked};

/// Reads a library that may be opened as one of that kind.
pub(crate) fn admit(path: &Path, kind: Kind, trust: &Trust) -> Result<Checked, HostError> {
    let checked = file::read(path).map_err(|problem| HostError::File { path: path.into(), problem })?;
    let sidecar = Sidecar::read(path).map_err(|problem| HostError::Sidecar { path: path.into(), problem })?;
    if let Some(sidecar) = sidecar {
        compare(path, kind, &checked.sha256, &sidecar)?;
    }
    if trust.allows(path, &checked.sha256) {
        Ok(checked)
    } else {
        Err(HostError::Untrusted { path: path.into() })
    }
}

/// What a manifest tells must be true of its library, and suit this program.
fn compare(path: &Path, kind: Kind, sha256: &str, sidecar: &Sidecar) -> Result<(), HostError> {
    if sidecar.kind != kind {
        return Err(HostError::OtherKind { path: path.into(), found: sidecar.kind.name().into(), kind });
    }
    if let Some(found) = sidecar.dialect.clone().filter(|dialect| dialect != DIALECT) {
        return Err(HostError::Dialect { path: path.into(), found, expected: DIALECT.into() });
    }
    if series(&sidecar.abi) != series(VERSION) {
        let difference = "the versions of the boundary tell that already".into();
        let (version, expected) = (sidecar.abi.clone(), VERSION.into());
        return Err(HostError::Layout { path: path.into(), version, expected, difference });
    }
    let compare = |field, expected: &str, found: &str| {
        let differs = || HostError::OtherManifest {
            path: path.into(),
            field,
            expected: expected.into(),
            found: found.into(),
        };
        (expected == found).then_some(()).ok_or_else(differs)
    };
    compare("SHA-256", &sidecar.sha256, sha256)?;
    compare("target", &sidecar.target, TARGET)
}

/// The part of a version that must agree: as cargo has it, the first number that is not 0 and those before it.
fn series(version: &str) -> &str {
    let mut end = 0;
    for part in version.split('.') {
        end += part.len() + usize::from(end > 0);
        if part.bytes().any(|digit| digit != b'0') {
            break;
        }
    }
    &version[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_series_agree_as_cargo_has_it() {
        let check = |version: &str, expected: &str| assert_eq!(series(version), expected);
        check("0.1.0", "0.1");
        check("0.1.12", "0.1");
        check("0.0.3", "0.0.3");
        check("2.4.1", "2");
        check("x", "x");
        check("", "");
    }
}
