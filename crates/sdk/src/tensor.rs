//! Tensors of the boundary as tensors of programs.

use expanse_abi::{DTYPE_F32, DTYPE_I64, TensorRef};
use expanse_program::{TensorData, TensorView};

use crate::Error;

pub(crate) fn views<'a>(tensors: &'a [TensorRef<'a>]) -> Result<Vec<TensorView<'a>>, Error> {
    tensors.iter().map(view).collect()
}

fn view<'a>(tensor: &'a TensorRef<'a>) -> Result<TensorView<'a>, Error> {
    let bytes = tensor.data.as_slice();
    let misaligned = |e| Error::input(format!("tensor `{}` cannot be read: {e}", tensor.name));
    let data = match tensor.dtype {
        DTYPE_F32 => TensorData::F32(bytemuck::try_cast_slice(bytes).map_err(misaligned)?),
        DTYPE_I64 => TensorData::I64(bytemuck::try_cast_slice(bytes).map_err(misaligned)?),
        other => return Err(Error::input(format!("tensor `{}` has the unknown type {other}", tensor.name))),
    };
    Ok(TensorView { name: tensor.name.as_str(), shape: tensor.shape.as_slice(), data })
}
