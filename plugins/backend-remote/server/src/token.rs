//! The secret that sessions must have.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use crate::error::ServerError;

/// Random bytes of a new token, which is written in hexadecimal.
const BYTES: usize = 32;

/// The token in a file, which is made where there is none.
pub(crate) fn of(path: &Path) -> Result<String, ServerError> {
    let failed = |source| ServerError::Token { path: path.into(), source };
    match fs::read_to_string(path) {
        Ok(token) if token.trim().is_empty() => Err(ServerError::EmptyToken { path: path.into() }),
        Ok(token) => Ok(token.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn make(path: &Path) -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    writeln!(options.open(path)?, "{token}")?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = of(&path).unwrap();
        assert_eq!((token.len(), of(&path).unwrap()), (2 * BYTES, token.clone()));
        assert_ne!(of(&folder.path().join("another")).unwrap(), token);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, " \n").unwrap();
        assert!(of(&path).unwrap_err().to_string().contains("is empty"));
        assert!(of(&folder.path().join("none/token")).is_err());
    }
}
