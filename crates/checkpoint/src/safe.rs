//! safetensors.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Checkpoint, Element, Problem, Tensor, WriteError, names};

/// The one entry of the metadata: several would be written in an order that changes from run to run.
const ABOUT: &str = "expanse";

pub(crate) fn read(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let file = SafeTensors::deserialize(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let about = header.metadata().as_ref().and_then(|metadata| metadata.get(ABOUT));
    let about = about.map(|text| serde_json::from_str(text)).transpose()?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.tensors() {
        let found = element(view.dtype());
        let stored = found
            .ok_or_else(|| Problem::Type { name: name.clone(), found: format!("{:?}", view.dtype()) })?;
        let values = stored.values(view.data(), 0..view.data().len() / stored.size());
        tensors.push(Tensor { name, shape: view.shape().to_vec(), stored, values });
    }
    // As the names stand; the order of the header is that of the places.
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    names::without_prefix(&mut tensors);
    Ok(Checkpoint { tensors, about })
}

pub(crate) fn write(Checkpoint { tensors, about }: &Checkpoint) -> Result<Vec<u8>, WriteError> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|tensor| tensor.values.to_bytes()).collect();
    let views: Result<Vec<_>, safetensors::SafeTensorError> = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            let dtype = match tensor.values.element() {
                Element::I64 => Dtype::I64,
                _ => Dtype::F32,
            };
            Ok((tensor.name.as_str(), TensorView::new(dtype, tensor.shape.clone(), bytes)?))
        })
        .collect();
    let about = about.as_ref().map(|about| serde_json::Value::Object(about.clone()).to_string());
    let metadata = about.map(|about| HashMap::from([(ABOUT.to_owned(), about)]));
    Ok(safetensors::serialize(views?, metadata)?)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
