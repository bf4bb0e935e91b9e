//! Arithmetic, comparisons and reductions.

use burn_backend::{Backend, DType};
use burn_ir::NumericOperationIr as Numeric;

use super::{Compiler, Instruction, binary, create, kept_as, slot, unary};
use crate::frame::{Frame, Value};

/// What floats and integers have in common: for each shape of operation, the operations with the functions of the
/// backend.
macro_rules! arithmetic {
    (
        $self:ident, $operation:ident, $from:ident => $to:ident,
        binary { $($binary:ident $binary_fn:ident),* }
        scalar { $($scalar:ident $scalar_fn:ident),* }
        compare { $($compare:ident $compare_fn:ident),* }
        unary { $($unary:ident $unary_fn:ident),* }
        reduce { $($reduce:ident $reduce_fn:ident),* }
        $clamp:ident $full:ident
    ) => {
        match $operation {
            $(Numeric::$binary(d) => {
                binary!($self, d.lhs, d.rhs, d.out, ($from, $from) => $to, B::$binary_fn)
            })*
            $(Numeric::$scalar(d) => {
                let value = d.rhs;
                unary!($self, d.lhs, d.out, $from => $to, move |x| B::$scalar_fn(x, value.into()))
            })*
            $(Numeric::$compare(d) => {
                let (value, dtype) = (d.rhs, kept_as::<B>(d.out.dtype, &$self.device));
                let compare = move |x| B::$compare_fn(x, value.into(), dtype.into());
                unary!($self, d.lhs, d.out, $from => Bool, compare)
            })*
            $(Numeric::$unary(d) => unary!($self, d.input, d.out, $from => $to, B::$unary_fn),)*
            $(Numeric::$reduce(d) => {
                let axis = d.axis;
                unary!($self, d.input, d.out, $from => $to, move |x| B::$reduce_fn(x, axis))
            })*
            Numeric::Clamp(d) => {
                let (min, max) = (d.min, d.max);
                unary!($self, d.tensor, d.out, $from => $to, move |x| B::$clamp(x, min.into(), max.into()))
            }
            Numeric::Full(d) => {
                let value = d.value;
                let full = move |shape, device: &B::Device, dtype: DType| {
                    B::$full(shape, value.into(), device, dtype.into())
                };
                create!($self, d.out, $to, full)
            }
            _ => None,
        }
    };
}

impl<B: Backend> Compiler<B> {
    pub(super) fn numeric_float(&mut self, operation: &Numeric) -> Option<Instruction<B>> {
        match operation {
            Numeric::SumDims(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, float => Float, move |x| B::float_sum_dims(x, &axes))
            }
            Numeric::Pad(d) => {
                let (padding, mode) = (d.padding.clone(), d.mode);
                unary!(self, d.input, d.out, float => Float, move |x| {
                    B::float_pad(x, &padding, mode.into())
                })
            }
            _ => arithmetic!(
                self, operation, float => Float,
                binary { Add float_add, Sub float_sub, Mul float_mul, Div float_div }
                scalar {
                    AddScalar float_add_scalar, SubScalar float_sub_scalar, MulScalar float_mul_scalar,
                    DivScalar float_div_scalar, ClampMin float_clamp_min, ClampMax float_clamp_max,
                    PowiScalar float_powi_scalar
                }
                compare {
                    GreaterElem float_greater_elem, GreaterEqualElem float_greater_equal_elem, LowerElem
                    float_lower_elem, LowerEqualElem float_lower_equal_elem
                }
                unary { Abs float_abs, Neg float_neg, Sum float_sum, Mean float_mean }
                reduce {
                    SumDim float_sum_dim, MeanDim float_mean_dim, MaxDim float_max_dim, MinDim float_min_dim
                }
                float_clamp float_full
            ),
        }
    }

    pub(super) fn numeric_int(&mut self, operation: &Numeric) -> Option<Instruction<B>> {
        arithmetic!(
            self, operation, int => Int,
            binary { Add int_add, Sub int_sub, Mul int_mul, Div int_div }
            scalar {
                AddScalar int_add_scalar, SubScalar int_sub_scalar, MulScalar int_mul_scalar, DivScalar
                int_div_scalar, ClampMin int_clamp_min, ClampMax int_clamp_max, PowiScalar int_powi_scalar
            }
            compare {
                GreaterElem int_greater_elem, GreaterEqualElem int_greater_equal_elem, LowerElem
                int_lower_elem, LowerEqualElem int_lower_equal_elem
            }
            unary { Abs int_abs, Neg int_neg, Sum int_sum, Mean int_mean }
            reduce { SumDim int_sum_dim, MeanDim int_mean_dim, MaxDim int_max_dim, MinDim int_min_dim }
            int_clamp int_full
        )
    }
}
