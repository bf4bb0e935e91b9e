//! Operations that move values without changing them.

use burn_backend::{Backend, DType};
use burn_ir::BaseOperationIr as Base;

use super::{Compiler, Instruction, binary, create, slot, unary};
use crate::frame::{Frame, Operand, Value};

impl<B: Backend> Compiler<B> {
    pub(super) fn base_float(&mut self, operation: &Base) -> Option<Instruction<B>> {
        match operation {
            Base::Reshape(d) => {
                let shape = d.out.shape.clone();
                unary!(self, d.input, d.out, float => Float, move |x| B::float_reshape(x, shape.clone()))
            }
            Base::Expand(d) => {
                let shape = d.out.shape.clone();
                unary!(self, d.input, d.out, float => Float, move |x| B::float_expand(x, shape.clone()))
            }
            Base::SwapDims(d) => {
                let (a, b) = (d.dim1, d.dim2);
                unary!(self, d.input, d.out, float => Float, move |x| B::float_swap_dims(x, a, b))
            }
            Base::Permute(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, float => Float, move |x| B::float_permute(x, &axes))
            }
            Base::Flip(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, float => Float, move |x| B::float_flip(x, &axes))
            }
            Base::Slice(d) => {
                let ranges = d.ranges.clone();
                unary!(self, d.tensor, d.out, float => Float, move |x| B::float_slice(x, &ranges))
            }
            Base::RepeatDim(d) => {
                let (dim, times) = (d.dim, d.times);
                unary!(self, d.tensor, d.out, float => Float, move |x| B::float_repeat_dim(x, dim, times))
            }
            Base::Cat(d) => {
                let tensors: Vec<Operand> = d.tensors.iter().map(|tensor| self.read(tensor)).collect();
                let (dim, out) = (d.dim, slot(&d.out));
                Some(Box::new(move |frame| {
                    let tensors = tensors.iter().map(|&tensor| frame.float(tensor)).collect();
                    frame.set(out, Value::Float(B::float_cat(tensors, dim)));
                }))
            }
            Base::Gather(d) => {
                let dim = d.dim;
                binary!(self, d.tensor, d.indices, d.out, (float, int) => Float, move |x, i| B::float_gather(dim, x, i))
            }
            Base::Select(d) => {
                let dim = d.dim;
                binary!(self, d.tensor, d.indices, d.out, (float, int) => Float, move |x, i| B::float_select(x, dim, i))
            }
            Base::MaskFill(d) => {
                let value = d.value;
                binary!(self, d.tensor, d.mask, d.out, (float, bool) => Float, move |x, m| {
                    B::float_mask_fill(x, m, value.into())
                })
            }
            Base::MaskWhere(d) => {
                let (x, mask, value) = (self.read(&d.tensor), self.read(&d.mask), self.read(&d.value));
                let out = slot(&d.out);
                Some(Box::new(move |frame| {
                    let (x, mask, value) = (frame.float(x), frame.bool(mask), frame.float(value));
                    frame.set(out, Value::Float(B::float_mask_where(x, mask, value)));
                }))
            }
            Base::EqualElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, float => Bool, move |x| B::float_equal_elem(x, value.into(), dtype.into()))
            }
            Base::Equal(d) => {
                let dtype = d.out.dtype;
                binary!(self, d.lhs, d.rhs, d.out, (float, float) => Bool, move |x, y| {
                    B::float_equal(x, y, dtype.into())
                })
            }
            Base::Ones(d) => create!(self, d.out, Float, |s, device: &B::Device, t: DType| {
                B::float_ones(s, device, t.into())
            }),
            Base::Zeros(d) => create!(self, d.out, Float, |s, device: &B::Device, t: DType| {
                B::float_zeros(s, device, t.into())
            }),
            Base::Cast(d) => {
                let dtype = d.out.dtype;
                unary!(self, d.input, d.out, float => Float, move |x| B::float_cast(x, dtype.into()))
            }
            _ => None,
        }
    }

    pub(super) fn base_int(&mut self, operation: &Base) -> Option<Instruction<B>> {
        match operation {
            Base::Reshape(d) => {
                let shape = d.out.shape.clone();
                unary!(self, d.input, d.out, int => Int, move |x| B::int_reshape(x, shape.clone()))
            }
            Base::Expand(d) => {
                let shape = d.out.shape.clone();
                unary!(self, d.input, d.out, int => Int, move |x| B::int_expand(x, shape.clone()))
            }
            Base::SwapDims(d) => {
                let (a, b) = (d.dim1, d.dim2);
                unary!(self, d.input, d.out, int => Int, move |x| B::int_swap_dims(x, a, b))
            }
            Base::Permute(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, int => Int, move |x| B::int_permute(x, &axes))
            }
            Base::Flip(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, int => Int, move |x| B::int_flip(x, &axes))
            }
            Base::Slice(d) => {
                let ranges = d.ranges.clone();
                unary!(self, d.tensor, d.out, int => Int, move |x| B::int_slice(x, &ranges))
            }
            Base::RepeatDim(d) => {
                let (dim, times) = (d.dim, d.times);
                unary!(self, d.tensor, d.out, int => Int, move |x| B::int_repeat_dim(x, dim, times))
            }
            Base::Cat(d) => {
                let tensors: Vec<Operand> = d.tensors.iter().map(|tensor| self.read(tensor)).collect();
                let (dim, out) = (d.dim, slot(&d.out));
                Some(Box::new(move |frame| {
                    let tensors = tensors.iter().map(|&tensor| frame.int(tensor)).collect();
                    frame.set(out, Value::Int(B::int_cat(tensors, dim)));
                }))
            }
            Base::Gather(d) => {
                let dim = d.dim;
                binary!(self, d.tensor, d.indices, d.out, (int, int) => Int, move |x, i| B::int_gather(dim, x, i))
            }
            Base::Select(d) => {
                let dim = d.dim;
                binary!(self, d.tensor, d.indices, d.out, (int, int) => Int, move |x, i| B::int_select(x, dim, i))
            }
            Base::MaskFill(d) => {
                let value = d.value;
                binary!(self, d.tensor, d.mask, d.out, (int, bool) => Int, move |x, m| {
                    B::int_mask_fill(x, m, value.into())
                })
            }
            Base::MaskWhere(d) => {
                let (x, mask, value) = (self.read(&d.tensor), self.read(&d.mask), self.read(&d.value));
                let out = slot(&d.out);
                Some(Box::new(move |frame| {
                    let (x, mask, value) = (frame.int(x), frame.bool(mask), frame.int(value));
                    frame.set(out, Value::Int(B::int_mask_where(x, mask, value)));
                }))
            }
            Base::EqualElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, int => Bool, move |x| B::int_equal_elem(x, value.into(), dtype.into()))
            }
            Base::Equal(d) => {
                let dtype = d.out.dtype;
                binary!(self, d.lhs, d.rhs, d.out, (int, int) => Bool, move |x, y| {
                    B::int_equal(x, y, dtype.into())
                })
            }
            Base::Ones(d) => create!(self, d.out, Int, |s, device: &B::Device, t: DType| {
                B::int_ones(s, device, t.into())
            }),
            Base::Zeros(d) => create!(self, d.out, Int, |s, device: &B::Device, t: DType| {
                B::int_zeros(s, device, t.into())
            }),
            _ => None,
        }
    }

    pub(super) fn base_bool(&mut self, operation: &Base) -> Option<Instruction<B>> {
        match operation {
            Base::Reshape(d) => {
                let shape = d.out.shape.clone();
                unary!(self, d.input, d.out, bool => Bool, move |x| B::bool_reshape(x, shape.clone()))
            }
            Base::Expand(d) => {
                let shape = d.out.shape.clone();
                unary!(self, d.input, d.out, bool => Bool, move |x| B::bool_expand(x, shape.clone()))
            }
            Base::SwapDims(d) => {
                let (a, b) = (d.dim1, d.dim2);
                unary!(self, d.input, d.out, bool => Bool, move |x| B::bool_swap_dims(x, a, b))
            }
            Base::Permute(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, bool => Bool, move |x| B::bool_permute(x, &axes))
            }
            Base::Flip(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, bool => Bool, move |x| B::bool_flip(x, &axes))
            }
            Base::Slice(d) => {
                let ranges = d.ranges.clone();
                unary!(self, d.tensor, d.out, bool => Bool, move |x| B::bool_slice(x, &ranges))
            }
            Base::RepeatDim(d) => {
                let (dim, times) = (d.dim, d.times);
                unary!(self, d.tensor, d.out, bool => Bool, move |x| B::bool_repeat_dim(x, dim, times))
            }
            Base::Cat(d) => {
                let tensors: Vec<Operand> = d.tensors.iter().map(|tensor| self.read(tensor)).collect();
                let (dim, out) = (d.dim, slot(&d.out));
                Some(Box::new(move |frame| {
                    let tensors = tensors.iter().map(|&tensor| frame.bool(tensor)).collect();
                    frame.set(out, Value::Bool(B::bool_cat(tensors, dim)));
                }))
            }
            _ => None,
        }
    }
}
