//! Inputs that stay on the device, and what of them a batch has.

use std::{collections::BTreeMap, slice::from_ref};

use burn_backend::{Backend, TensorMetadata, tensor::FloatTensor};
use expanse_program::{DType, NamedTensor, Port, TensorData, TensorView};

use crate::{EngineError, check::find_input};

/// The inputs by which images `[batch, channels, height, width]` are picked from kept ones; none for another port.
///
/// For a port `images` they are, of `i64`, `images.rows` `[batch]`, `images.ys` `[batch, height]` and `images.xs`
/// `[batch, width]`, and `images[b, c, y, x] = kept[rows[b], c, ys[b, y], xs[b, x]]`.
pub(crate) fn picks(port: &Port) -> Option<[Port; 3]> {
    let (&[batch, _, height, width], DType::F32) = (port.shape.as_slice(), port.dtype) else { return None };
    let pick = |name: &str, shape: &[usize]| Port {
        name: format!("{}.{name}", port.name),
        shape: shape.to_vec(),
        dtype: DType::I64,
        tensor: port.tensor,
        meaning: None,
    };
    Some([pick("rows", &[batch]), pick("ys", &[batch, height]), pick("xs", &[batch, width])])
}

/// What a port is given by: an input of its name, or those by which it is picked.
pub(crate) fn given_by(port: &Port) -> Vec<Port> {
    [from_ref(port), picks(port).as_ref().map_or(&[], <[Port; 3]>::as_slice)].concat()
}

/// Tensors have the shape of the rows that are kept under their names, if there are any.
pub(crate) fn check<B: Backend>(
    tensors: &[NamedTensor],
    kept: &BTreeMap<String, FloatTensor<B>>,
) -> Result<(), EngineError> {
    for NamedTensor { name, shape, .. } in tensors {
        let expected = kept.get(name).map(|kept| kept.shape().to_vec());
        if let Some(expected) = expected.filter(|expected| expected.get(1..) != shape.get(1..)) {
            return Err(EngineError::ImportShape { name: name.clone(), found: shape.clone(), expected });
        }
    }
    Ok(())
}

/// The input of a port, by what the inputs pick of what is kept.
pub(crate) fn pick<B: Backend>(
    source: &str,
    port: &Port,
    kept: FloatTensor<B>,
    inputs: &[TensorView<'_>],
    upload: impl Fn(&[i64], [usize; 4]) -> burn_backend::tensor::IntTensor<B>,
) -> Result<FloatTensor<B>, EngineError> {
    let found = kept.shape().to_vec();
    let (
        Some([row_of, y_of, x_of]),
        &[batch, expected, height, width],
        &[rows, channels, kept_height, kept_width],
    ) = (picks(port), port.shape.as_slice(), found.as_slice())
    else {
        return Err(EngineError::MissingInput { program: source.into(), name: port.name.clone() });
    };
    if channels != expected {
        return Err(EngineError::ImportShape {
            name: port.name.clone(),
            found,
            expected: port.shape.clone(),
        });
    }
    let places = |port: &Port, count: usize| {
        let TensorData::I64(places) = find_input(source, port, inputs)?.data else { return Ok(&[][..]) };
        match places.iter().find(|place| usize::try_from(**place).map_or(true, |place| place >= count)) {
            Some(&place) => Err(EngineError::Place { name: port.name.clone(), place, count }),
            None => Ok(places),
        }
    };
    let rows = upload(places(&row_of, rows)?, [batch, 1, 1, 1]);
    let ys = upload(places(&y_of, kept_height)?, [batch, 1, height, 1]);
    let xs = upload(places(&x_of, kept_width)?, [batch, 1, 1, width]);
    let images = B::float_select(kept, 0, B::int_reshape(rows, [batch].into()));
    let ys = B::int_expand(ys, [batch, channels, height, kept_width].into());
    let images = B::float_gather(2, images, ys);
    let xs = B::int_expand(xs, [batch, channels, height, width].into());
    Ok(B::float_gather(3, images, xs))
}
