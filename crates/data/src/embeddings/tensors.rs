//! safetensors.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::{
    EmbeddingsError, Named, Names,
    values::{Array, Dtype, Values},
};

/// Features, and labels if they are wanted.
pub(super) fn read(
    path: &Path,
    names: &Names<'_>,
    labels: bool,
) -> Result<(Array, Option<Array>), EmbeddingsError> {
    let bytes = bytes(path)?;
    let features = array(&bytes, path, names.features)?;
    Ok((features, if labels { Some(array(&bytes, path, names.labels)?) } else { None }))
}

pub(super) fn read_one(path: &Path, name: &str) -> Result<Array, EmbeddingsError> {
    array(&bytes(path)?, path, name)
}

fn bytes(path: &Path) -> Result<Vec<u8>, EmbeddingsError> {
    fs::read(path).map_err(|source| EmbeddingsError::Unreadable { path: path.into(), source })
}

fn array(bytes: &[u8], path: &Path, name: &str) -> Result<Array, EmbeddingsError> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| EmbeddingsError::Content { path: path.into(), problem: error.to_string() })?;
    let Ok(tensor) = tensors.tensor(name) else {
        let mut held: Vec<String> = tensors.names().into_iter().map(|name| name.to_string()).collect();
        held.sort();
        return Err(EmbeddingsError::NoName { path: path.into(), name: name.into(), held });
    };
    let dtype = match tensor.dtype() {
        safetensors::Dtype::F16 => Dtype::F16,
        safetensors::Dtype::BF16 => Dtype::Bf16,
        safetensors::Dtype::F32 => Dtype::F32,
        safetensors::Dtype::F64 => Dtype::F64,
        safetensors::Dtype::I8 => Dtype::I8,
        safetensors::Dtype::I16 => Dtype::I16,
        safetensors::Dtype::I32 => Dtype::I32,
        safetensors::Dtype::I64 => Dtype::I64,
        safetensors::Dtype::U8 | safetensors::Dtype::BOOL => Dtype::U8,
        safetensors::Dtype::U16 => Dtype::U16,
        safetensors::Dtype::U32 => Dtype::U32,
        safetensors::Dtype::U64 => Dtype::U64,
        other => {
            let (path, name, dtype) = (path.into(), name.into(), format!("{other:?}").to_lowercase());
            return Err(EmbeddingsError::Type { path, name, dtype, allowed: "numbers of 8 to 64 bits" });
        }
    };
    Ok(Array { name: name.into(), dtype, shape: tensor.shape().to_vec(), bytes: tensor.data().to_vec() })
}

/// Writes the header and then every array from where it lies; the crate would first copy all of them into one.
pub(super) fn write(out: &mut impl Write, arrays: &[Named<'_>]) -> io::Result<()> {
    let mut header = BTreeMap::new();
    let mut end = 0;
    for Named { name, shape, values } in arrays {
        let start = end;
        end += values.len();
        let dtype = if matches!(values, Values::I64(_)) { "I64" } else { "F32" };
        header.insert(*name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
    }
    let mut text = serde_json::to_vec::<BTreeMap<&str, Value>>(&header)?;
    // Values begin at a multiple of eight bytes.
    text.resize(text.len().next_multiple_of(8), b' ');
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(&text)?;
    arrays.iter().try_for_each(|array| array.values.write(out))
}
