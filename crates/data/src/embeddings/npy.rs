//! NumPy's format of one array (NEP 1): a magic string, a header written as a Python dictionary, the values.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use super::{
    EmbeddingsError,
    values::{Array, Dtype, Values},
};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The values begin at a multiple of this.
const ALIGNMENT: usize = 64;

pub(super) fn read(from: &mut impl Read, path: &Path) -> Result<Array, EmbeddingsError> {
    let content = |problem: String| EmbeddingsError::Content { path: path.into(), problem };
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => content("it ends too early".into()),
        _ => EmbeddingsError::Unreadable { path: path.into(), source },
    };
    let mut start = [0; 8];
    from.read_exact(&mut start).map_err(unreadable)?;
    if !start.starts_with(MAGIC) {
        return Err(content("it does not begin as NumPy's files do".into()));
    }
    // The length of the header has two bytes in version 1 and four in the later ones.
    let mut length = [0; 4];
    from.read_exact(&mut length[..if start[6] == 1 { 2 } else { 4 }]).map_err(unreadable)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > 1 << 20 {
        return Err(content(format!("its header has {length} bytes")));
    }
    let mut header = vec![0; length];
    from.read_exact(&mut header).map_err(unreadable)?;
    let header = String::from_utf8_lossy(&header);
    let (dtype, shape) = parse(&header).map_err(content)?;
    let size = shape.iter().try_fold(dtype.size(), |size, &length| size.checked_mul(length));
    let size = size.ok_or_else(|| content(format!("its shape is {shape:?}")))?;
    let mut bytes = Vec::new();
    from.take(size as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() < size {
        return Err(content(format!("it ends after {} of {size} bytes of values", bytes.len())));
    }
    Ok(Array { name: "array".into(), dtype, shape, bytes })
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }` → type and shape.
fn parse(header: &str) -> Result<(Dtype, Vec<usize>), String> {
    let after = |key: &str| {
        let rest = header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        rest.ok_or_else(|| format!("its header names no {key}: {}", header.trim()))
    };
    let description = after("descr")?.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let (order, kind) = description.split_at_checked(1).unwrap_or_default();
    let dtype = match kind {
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "i1" => Dtype::I8,
        "i2" => Dtype::I16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "u1" | "b1" => Dtype::U8,
        "u2" => Dtype::U16,
        "u4" => Dtype::U32,
        "u8" => Dtype::U64,
        _ => return Err(format!("its values are of type {description}; use numbers of 8 to 64 bits")),
    };
    if order == ">" {
        return Err(format!("its values are big-endian ({description}); save them as little-endian"));
    }
    if after("fortran_order")?.starts_with("True") {
        return Err("its values are in Fortran order; save np.ascontiguousarray of them".into());
    }
    let shape = after("shape")?.trim_start_matches('(').split(')').next().unwrap_or_default();
    let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
    let lengths: Result<_, _> = lengths.map(str::parse).collect();
    Ok((dtype, lengths.map_err(|_| format!("its shape is ({shape})"))?))
}

pub(super) fn write(out: &mut impl Write, shape: &[usize], values: &Values<'_>) -> io::Result<()> {
    out.write_all(&header(shape, values))?;
    values.write(out)
}

/// Everything before the values.
fn header(shape: &[usize], values: &Values<'_>) -> Vec<u8> {
    let kind = if matches!(values, Values::I64(_)) { "<i8" } else { "<f4" };
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let lengths = if shape.len() == 1 { lengths.trim_end() } else { lengths.trim_end_matches(", ") };
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({lengths}), }}");
    // Magic, version and length take ten bytes; the header ends with a line break.
    let padding = (ALIGNMENT - (10 + text.len() + 1) % ALIGNMENT) % ALIGNMENT;
    text.push_str(&" ".repeat(padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}
