//! Arithmetic, comparisons and reductions.

use burn_backend::{Backend, DType};
use burn_ir::NumericOperationIr as Numeric;

use super::{Compiler, Instruction, binary, create, slot, unary};
use crate::frame::{Frame, Value};

impl<B: Backend> Compiler<B> {
    pub(super) fn numeric_float(&mut self, operation: &Numeric) -> Option<Instruction<B>> {
        match operation {
            Numeric::Add(d) => binary!(self, d.lhs, d.rhs, d.out, (float, float) => Float, B::float_add),
            Numeric::Sub(d) => binary!(self, d.lhs, d.rhs, d.out, (float, float) => Float, B::float_sub),
            Numeric::Mul(d) => binary!(self, d.lhs, d.rhs, d.out, (float, float) => Float, B::float_mul),
            Numeric::Div(d) => binary!(self, d.lhs, d.rhs, d.out, (float, float) => Float, B::float_div),
            Numeric::AddScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_add_scalar(x, value.into()))
            }
            Numeric::SubScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_sub_scalar(x, value.into()))
            }
            Numeric::MulScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_mul_scalar(x, value.into()))
            }
            Numeric::DivScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_div_scalar(x, value.into()))
            }
            Numeric::ClampMin(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_clamp_min(x, value.into()))
            }
            Numeric::ClampMax(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_clamp_max(x, value.into()))
            }
            Numeric::PowiScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_powi_scalar(x, value.into()))
            }
            Numeric::GreaterElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, float => Bool, move |x| B::float_greater_elem(x, value.into(), dtype.into()))
            }
            Numeric::GreaterEqualElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, float => Bool, move |x| B::float_greater_equal_elem(x, value.into(), dtype.into()))
            }
            Numeric::LowerElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, float => Bool, move |x| B::float_lower_elem(x, value.into(), dtype.into()))
            }
            Numeric::LowerEqualElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, float => Bool, move |x| B::float_lower_equal_elem(x, value.into(), dtype.into()))
            }
            Numeric::Clamp(d) => {
                let (min, max) = (d.min, d.max);
                unary!(self, d.tensor, d.out, float => Float, move |x| B::float_clamp(x, min.into(), max.into()))
            }
            Numeric::Abs(d) => unary!(self, d.input, d.out, float => Float, B::float_abs),
            Numeric::Neg(d) => unary!(self, d.input, d.out, float => Float, B::float_neg),
            Numeric::Sum(d) => unary!(self, d.input, d.out, float => Float, B::float_sum),
            Numeric::Mean(d) => unary!(self, d.input, d.out, float => Float, B::float_mean),
            Numeric::SumDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, float => Float, move |x| B::float_sum_dim(x, axis))
            }
            Numeric::MeanDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, float => Float, move |x| B::float_mean_dim(x, axis))
            }
            Numeric::MaxDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, float => Float, move |x| B::float_max_dim(x, axis))
            }
            Numeric::MinDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, float => Float, move |x| B::float_min_dim(x, axis))
            }
            Numeric::Full(d) => {
                let value = d.value;
                create!(self, d.out, Float, move |s, device: &B::Device, t: DType| {
                    B::float_full(s, value.into(), device, t.into())
                })
            }
            Numeric::SumDims(d) => {
                let axes = d.axes.clone();
                unary!(self, d.input, d.out, float => Float, move |x| B::float_sum_dims(x, &axes))
            }
            Numeric::Pad(d) => {
                let (padding, mode) = (d.padding.clone(), d.mode.clone());
                unary!(self, d.input, d.out, float => Float, move |x| {
                    B::float_pad(x, &padding, mode.clone().into())
                })
            }
            _ => None,
        }
    }

    pub(super) fn numeric_int(&mut self, operation: &Numeric) -> Option<Instruction<B>> {
        match operation {
            Numeric::Add(d) => binary!(self, d.lhs, d.rhs, d.out, (int, int) => Int, B::int_add),
            Numeric::Sub(d) => binary!(self, d.lhs, d.rhs, d.out, (int, int) => Int, B::int_sub),
            Numeric::Mul(d) => binary!(self, d.lhs, d.rhs, d.out, (int, int) => Int, B::int_mul),
            Numeric::Div(d) => binary!(self, d.lhs, d.rhs, d.out, (int, int) => Int, B::int_div),
            Numeric::AddScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_add_scalar(x, value.into()))
            }
            Numeric::SubScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_sub_scalar(x, value.into()))
            }
            Numeric::MulScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_mul_scalar(x, value.into()))
            }
            Numeric::DivScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_div_scalar(x, value.into()))
            }
            Numeric::ClampMin(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_clamp_min(x, value.into()))
            }
            Numeric::ClampMax(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_clamp_max(x, value.into()))
            }
            Numeric::PowiScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, int => Int, move |x| B::int_powi_scalar(x, value.into()))
            }
            Numeric::GreaterElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, int => Bool, move |x| B::int_greater_elem(x, value.into(), dtype.into()))
            }
            Numeric::GreaterEqualElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, int => Bool, move |x| B::int_greater_equal_elem(x, value.into(), dtype.into()))
            }
            Numeric::LowerElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, int => Bool, move |x| B::int_lower_elem(x, value.into(), dtype.into()))
            }
            Numeric::LowerEqualElem(d) => {
                let (value, dtype) = (d.rhs, d.out.dtype);
                unary!(self, d.lhs, d.out, int => Bool, move |x| B::int_lower_equal_elem(x, value.into(), dtype.into()))
            }
            Numeric::Clamp(d) => {
                let (min, max) = (d.min, d.max);
                unary!(self, d.tensor, d.out, int => Int, move |x| B::int_clamp(x, min.into(), max.into()))
            }
            Numeric::Abs(d) => unary!(self, d.input, d.out, int => Int, B::int_abs),
            Numeric::Neg(d) => unary!(self, d.input, d.out, int => Int, B::int_neg),
            Numeric::Sum(d) => unary!(self, d.input, d.out, int => Int, B::int_sum),
            Numeric::Mean(d) => unary!(self, d.input, d.out, int => Int, B::int_mean),
            Numeric::SumDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, int => Int, move |x| B::int_sum_dim(x, axis))
            }
            Numeric::MeanDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, int => Int, move |x| B::int_mean_dim(x, axis))
            }
            Numeric::MaxDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, int => Int, move |x| B::int_max_dim(x, axis))
            }
            Numeric::MinDim(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, int => Int, move |x| B::int_min_dim(x, axis))
            }
            Numeric::Full(d) => {
                let value = d.value;
                create!(self, d.out, Int, move |s, device: &B::Device, t: DType| {
                    B::int_full(s, value.into(), device, t.into())
                })
            }
            _ => None,
        }
    }
}
