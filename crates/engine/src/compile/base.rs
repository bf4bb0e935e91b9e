//! Operations that move values without changing them.

use burn_backend::{Backend, DType};
use burn_ir::BaseOperationIr as Base;

use super::{Compiler, Instruction, binary, create, kept_as, slot, unary};
use crate::frame::{Frame, Operand, Value};

/// What floats, integers and truth values have in common; the functions are those of the backend.
macro_rules! movements {
    (
        $self:ident, $operation:ident, $from:ident => $to:ident,
        $reshape:ident $expand:ident $swap_dims:ident $permute:ident $flip:ident $slice:ident $repeat_dim:ident
        $cat:ident
    ) => {
        match $operation {
            Base::Reshape(d) => {
                let shape = d.out.shape.clone();
                unary!($self, d.input, d.out, $from => $to, move |x| B::$reshape(x, shape.clone()))
            }
            Base::Expand(d) => {
                let shape = d.out.shape.clone();
                unary!($self, d.input, d.out, $from => $to, move |x| B::$expand(x, shape.clone()))
            }
            Base::SwapDims(d) => {
                let (a, b) = (d.dim1, d.dim2);
                unary!($self, d.input, d.out, $from => $to, move |x| B::$swap_dims(x, a, b))
            }
            Base::Permute(d) => {
                let axes = d.axes.clone();
                unary!($self, d.input, d.out, $from => $to, move |x| B::$permute(x, &axes))
            }
            Base::Flip(d) => {
                let axes = d.axes.clone();
                unary!($self, d.input, d.out, $from => $to, move |x| B::$flip(x, &axes))
            }
            Base::Slice(d) => {
                let ranges = d.ranges.clone();
                unary!($self, d.tensor, d.out, $from => $to, move |x| B::$slice(x, &ranges))
            }
            Base::RepeatDim(d) => {
                let (dim, times) = (d.dim, d.times);
                unary!($self, d.tensor, d.out, $from => $to, move |x| B::$repeat_dim(x, dim, times))
            }
            Base::Cat(d) => {
                let tensors: Vec<Operand> = d.tensors.iter().map(|tensor| $self.read(tensor)).collect();
                let (dim, out) = (d.dim, slot(&d.out));
                Some(Box::new(move |frame: &mut Frame<B>| {
                    let tensors = tensors.iter().map(|&tensor| frame.$from(tensor)).collect();
                    frame.set(out, Value::$to(B::$cat(tensors, dim)));
                }) as Instruction<B>)
            }
            _ => None,
        }
    };
}

/// What floats and integers have in common besides.
macro_rules! selections {
    (
        $self:ident, $operation:ident, $from:ident => $to:ident,
        $gather:ident $select:ident $mask_fill:ident $mask_where:ident $equal:ident $equal_elem:ident $ones:ident
        $zeros:ident
    ) => {
        match $operation {
            Base::Gather(d) => {
                let dim = d.dim;
                let gather = move |x, indices| B::$gather(dim, x, indices);
                binary!($self, d.tensor, d.indices, d.out, ($from, int) => $to, gather)
            }
            Base::Select(d) => {
                let dim = d.dim;
                let select = move |x, indices| B::$select(x, dim, indices);
                binary!($self, d.tensor, d.indices, d.out, ($from, int) => $to, select)
            }
            Base::MaskFill(d) => {
                let value = d.value;
                let fill = move |x, mask| B::$mask_fill(x, mask, value.into());
                binary!($self, d.tensor, d.mask, d.out, ($from, bool) => $to, fill)
            }
            Base::MaskWhere(d) => {
                let (x, mask, value) = ($self.read(&d.tensor), $self.read(&d.mask), $self.read(&d.value));
                let out = slot(&d.out);
                Some(Box::new(move |frame: &mut Frame<B>| {
                    let (x, mask, value) = (frame.$from(x), frame.bool(mask), frame.$from(value));
                    frame.set(out, Value::$to(B::$mask_where(x, mask, value)));
                }) as Instruction<B>)
            }
            Base::Equal(d) => {
                let dtype = kept_as::<B>(d.out.dtype, &$self.device);
                let equal = move |x, y| B::$equal(x, y, dtype.into());
                binary!($self, d.lhs, d.rhs, d.out, ($from, $from) => Bool, equal)
            }
            Base::EqualElem(d) => {
                let (value, dtype) = (d.rhs, kept_as::<B>(d.out.dtype, &$self.device));
                let equal = move |x| B::$equal_elem(x, value.into(), dtype.into());
                unary!($self, d.lhs, d.out, $from => Bool, equal)
            }
            Base::Ones(d) => {
                let ones = |shape, device: &B::Device, dtype: DType| B::$ones(shape, device, dtype.into());
                create!($self, d.out, $to, ones)
            }
            Base::Zeros(d) => {
                let zeros = |shape, device: &B::Device, dtype: DType| B::$zeros(shape, device, dtype.into());
                create!($self, d.out, $to, zeros)
            }
            _ => None,
        }
    };
}

impl<B: Backend> Compiler<B> {
    pub(super) fn base_float(&mut self, operation: &Base) -> Option<Instruction<B>> {
        if let Base::Cast(d) = operation {
            let dtype = d.out.dtype;
            return unary!(self, d.input, d.out, float => Float, move |x| B::float_cast(x, dtype.into()));
        }
        movements!(
            self, operation, float => Float,
            float_reshape float_expand float_swap_dims float_permute float_flip float_slice float_repeat_dim
            float_cat
        )
        .or_else(|| {
            selections!(
                self, operation, float => Float,
                float_gather float_select float_mask_fill float_mask_where float_equal float_equal_elem
                float_ones float_zeros
            )
        })
    }

    pub(super) fn base_int(&mut self, operation: &Base) -> Option<Instruction<B>> {
        movements!(
            self, operation, int => Int,
            int_reshape int_expand int_swap_dims int_permute int_flip int_slice int_repeat_dim int_cat
        )
        .or_else(|| {
            selections!(
                self, operation, int => Int,
                int_gather int_select int_mask_fill int_mask_where int_equal int_equal_elem int_ones int_zeros
            )
        })
    }

    pub(super) fn base_bool(&mut self, operation: &Base) -> Option<Instruction<B>> {
        movements!(
            self, operation, bool => Bool,
            bool_reshape bool_expand bool_swap_dims bool_permute bool_flip bool_slice bool_repeat_dim bool_cat
        )
    }
}
