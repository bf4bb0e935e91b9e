//! What `torch.load` reads, also with `weights_only=True`: a dictionary of tensors, each in a storage of its own.

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::ABOUT;
use crate::{Checkpoint, Element, Tensor, WriteError};

/// Storages begin at multiples of so many bytes, as in PyTorch's own files, which may be mapped into memory.
const ALIGNMENT: u16 = 64;

pub(crate) fn write(Checkpoint { tensors, about }: &Checkpoint) -> Result<Vec<u8>, WriteError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut entry = |name: &str, content: &[u8]| -> Result<(), WriteError> {
        // The date is fixed, so that the same tensors give the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .with_alignment(ALIGNMENT)
            .large_file(content.len() >= u32::MAX as usize);
        archive.start_file(format!("archive/{name}"), options)?;
        Ok(archive.write_all(content)?)
    };
    entry("data.pkl", &pickle(tensors))?;
    entry("byteorder", b"little")?;
    if let Some(about) = about {
        entry(ABOUT, serde_json::Value::Object(about.clone()).to_string().as_bytes())?;
    }
    for (key, tensor) in tensors.iter().enumerate() {
        entry(&format!("data/{key}"), &tensor.values.to_bytes())?;
    }
    // The version of the format.
    entry("version", b"3\n")?;
    Ok(archive.finish()?.into_inner())
}

/// `OrderedDict` of names and `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`, in protocol 2.
fn pickle(tensors: &[Tensor]) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    dictionary(&mut out);
    out.push(b'(');
    for (key, tensor) in tensors.iter().enumerate() {
        text(&mut out, &tensor.name);
        out.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        let storage = match tensor.values.element() {
            Element::I64 => "LongStorage",
            _ => "FloatStorage",
        };
        out.push(b'(');
        text(&mut out, "storage");
        out.extend_from_slice(format!("ctorch\n{storage}\n").as_bytes());
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        integer(&mut out, tensor.values.len());
        out.extend_from_slice(b"tQ");
        integer(&mut out, 0);
        integers(&mut out, &tensor.shape);
        integers(&mut out, &strides(&tensor.shape));
        out.push(0x89);
        dictionary(&mut out);
        out.extend_from_slice(b"tR");
    }
    out.extend_from_slice(b"u.");
    out
}

fn dictionary(out: &mut Vec<u8>) {
    out.extend_from_slice(b"ccollections\nOrderedDict\n)R");
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn integers(out: &mut Vec<u8>, numbers: &[usize]) {
    out.push(b'(');
    numbers.iter().for_each(|&number| integer(out, number));
    out.push(b't');
}

fn integer(out: &mut Vec<u8>, number: usize) {
    match i32::try_from(number) {
        Ok(number) => {
            out.push(b'J');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Err(_) => {
            // No size of anything in memory is beyond `i64`.
            out.extend_from_slice(&[0x8a, 8]);
            out.extend_from_slice(&(number as i64).to_le_bytes());
        }
    }
}

/// Of a tensor in row-major order.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension].saturating_mul(shape[dimension].max(1));
    }
    strides
}
