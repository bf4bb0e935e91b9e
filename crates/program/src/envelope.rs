use expanse_domain::hex;
use sha2::{Digest, Sha256};

use crate::{DIALECT, Header};

/// A recorded program: header, graph, constants.
///
/// As bytes: the magic `EXPANSE\x01`, the length of the header (`u64`, little-endian), the header in JSON, the
/// length of the graph, the graph, and then the constants to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What a host can read.
    pub header: Header,
    /// The graph, in the dialect that the header names.
    pub graph: Vec<u8>,
    /// The bytes of the header's constants, one after the other.
    pub constants: Vec<u8>,
}

/// Bytes are no program, or not one that can be read here.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes do not start like a program.
    #[error("these bytes are no recorded program: they do not start with its magic")]
    Magic,
    /// The bytes end too early.
    #[error("the program is truncated: its {part} needs {needed} bytes and {have} are left")]
    Truncated {
        /// What could not be read.
        part: &'static str,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are left.
        have: usize,
    },
    /// The header cannot be read.
    #[error("the program's header cannot be read: {0}")]
    Header(#[from] serde_json::Error),
    /// The graph is written in another dialect.
    #[error(
        "{program} is recorded in `{found}` and this version runs `{}`; rebuild the plugin against this version's sdk",
        DIALECT
    )]
    Dialect {
        /// Who recorded it.
        program: String,
        /// Its dialect.
        found: String,
    },
    /// The graph or the constants are not those that the header was written for.
    #[error("{program} is damaged: the graph's SHA-256 is not the one in its header")]
    Sha256 {
        /// Who recorded it.
        program: String,
    },
    /// The constants do not fill the shapes in the header.
    #[error("{program} is damaged: its constants hold {have} bytes where the header names {needed}")]
    Constants {
        /// Who recorded it.
        program: String,
        /// Bytes that the header names.
        needed: usize,
        /// Bytes found.
        have: usize,
    },
}

const MAGIC: &[u8; 8] = b"EXPANSE\x01";

impl Program {
    /// Seals a graph with its constants: fills in the header's dialect and hash.
    pub fn seal(mut header: Header, graph: Vec<u8>, constants: Vec<u8>) -> Self {
        header.dialect = DIALECT.into();
        header.sha256 = digest(&graph, &constants);
        Self { header, graph, constants }
    }

    /// The envelope.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        let header = serde_json::to_vec(&self.header)?;
        let mut bytes = Vec::with_capacity(24 + header.len() + self.graph.len() + self.constants.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&(self.graph.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.graph);
        bytes.extend_from_slice(&self.constants);
        Ok(bytes)
    }

    /// Opens an envelope and checks everything that can be checked without decoding the graph.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(EnvelopeError::Magic)?;
        let (header, rest) = section(rest, "header")?;
        let header: Header = serde_json::from_slice(header)?;
        let program = || header.source.clone();
        if header.dialect != DIALECT {
            return Err(EnvelopeError::Dialect { program: program(), found: header.dialect.clone() });
        }
        let (graph, constants) = section(rest, "graph")?;
        if digest(graph, constants) != header.sha256 {
            return Err(EnvelopeError::Sha256 { program: program() });
        }
        let sizes = header.constants.iter().map(|c| c.shape.iter().product::<usize>() * c.dtype.size());
        let needed = sizes.sum();
        if needed != constants.len() {
            return Err(EnvelopeError::Constants { program: program(), needed, have: constants.len() });
        }
        Ok(Self { graph: graph.to_vec(), constants: constants.to_vec(), header })
    }
}

/// Splits off a section that begins with its length.
fn section<'a>(bytes: &'a [u8], part: &'static str) -> Result<(&'a [u8], &'a [u8]), EnvelopeError> {
    let truncated = |needed, have| EnvelopeError::Truncated { part, needed, have };
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(truncated(8, bytes.len()))?;
    let length = u64::from_le_bytes(*length);
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    split.ok_or(truncated(length, rest.len()))
}

fn digest(graph: &[u8], constants: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update((graph.len() as u64).to_le_bytes());
    hash.update(graph);
    hash.update(constants);
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Constant, DType};

    fn program() -> Program {
        let header = Header {
            dialect: String::new(),
            source: "head `test`".into(),
            sha256: String::new(),
            inputs: vec![],
            outputs: vec![],
            parameters: vec![],
            usual_names: BTreeMap::new(),
            constants: vec![Constant { shape: vec![2], dtype: DType::F32, tensor: 0 }],
            multiply_adds: 7,
        };
        Program::seal(header, vec![1, 2, 3], vec![0; 8])
    }

    #[test]
    fn envelopes_round_trip_and_every_truncation_is_refused() {
        let program = program();
        let bytes = program.to_bytes().unwrap();
        assert_eq!(Program::from_bytes(&bytes).unwrap(), program);
        for length in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..length]).is_err(), "{length} bytes were accepted");
        }
    }

    #[test]
    fn damage_and_other_dialects_are_named() {
        let check = |change: fn(&mut Program), message: &str| {
            let mut program = program();
            change(&mut program);
            let error = Program::from_bytes(&program.to_bytes().unwrap()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        };
        check(|p| p.graph[0] = 9, "head `test` is damaged");
        check(|p| p.constants.push(0), "head `test` is damaged");
        check(|p| p.header.dialect = "burn-ir/0.21.0".into(), "recorded in `burn-ir/0.21.0`");
        let hostile = [MAGIC.as_slice(), &u64::MAX.to_le_bytes()].concat();
        assert!(matches!(Program::from_bytes(&hostile), Err(EnvelopeError::Truncated { .. })));
    }
}
