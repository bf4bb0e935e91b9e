//! From operations to instructions: the one list of what the engine can run.

use burn_backend::Backend;
use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, BoolOperationIr as Bool,
    FloatOperationIr as Float, IntOperationIr as Int, ModuleOperationIr as Module,
    NumericOperationIr as Numeric, OperationIr, TensorIr,
};

use crate::{
    frame::{BatchStatistics, Frame, Operand, Value},
    link::Linked,
};

/// One operation, ready to run.
pub(crate) type Instruction<B> = Box<dyn Fn(&mut Frame<B>) + Send + Sync>;

/// Turns every operation of a program into an instruction, or names the operations that are not known.
pub(crate) fn compile<B: Backend>(
    linked: &Linked,
    device: &B::Device,
) -> Result<Vec<Instruction<B>>, Vec<String>> {
    let mut compiler = Compiler::<B>::new(linked, device);
    let mut instructions = Vec::with_capacity(linked.operations.len());
    let mut missing = Vec::new();
    for operation in &linked.operations {
        match compiler.instruction(operation) {
            Some(instruction) => instructions.push(instruction),
            None => {
                let name = name(operation);
                if !missing.contains(&name) {
                    missing.push(name);
                }
            }
        }
    }
    if missing.is_empty() { Ok(instructions) } else { Err(missing) }
}

struct Compiler<B: Backend> {
    /// Reads of each slot that are still to come; `None` for slots that outlive the run.
    reads: Vec<Option<usize>>,
    device: B::Device,
}

/// `x ↦ f(x)` from and to the named kinds of tensor.
macro_rules! unary {
    ($c:ident, $input:expr, $out:expr, $from:ident => $to:ident, $f:expr) => {{
        let (x, out) = ($c.read(&$input), slot(&$out));
        let f = $f;
        Some(Box::new(move |frame: &mut Frame<B>| {
            let x = frame.$from(x);
            frame.set(out, Value::$to(f(x)));
        }) as Instruction<B>)
    }};
}

/// `(x, y) ↦ f(x, y)` from and to the named kinds of tensor.
macro_rules! binary {
    ($c:ident, $lhs:expr, $rhs:expr, $out:expr, ($a:ident, $b:ident) => $to:ident, $f:expr) => {{
        let (x, y, out) = ($c.read(&$lhs), $c.read(&$rhs), slot(&$out));
        let f = $f;
        Some(Box::new(move |frame: &mut Frame<B>| {
            let (x, y) = (frame.$a(x), frame.$b(y));
            frame.set(out, Value::$to(f(x, y)));
        }) as Instruction<B>)
    }};
}

/// A tensor out of nothing.
macro_rules! create {
    ($c:ident, $out:expr, $to:ident, $f:expr) => {{
        let (out, shape, dtype, device) = (slot(&$out), $out.shape.clone(), $out.dtype, $c.device.clone());
        let f = $f;
        Some(Box::new(move |frame: &mut Frame<B>| {
            frame.set(out, Value::$to(f(shape.clone(), &device, dtype)));
        }) as Instruction<B>)
    }};
}

impl<B: Backend> Compiler<B> {
    fn new(linked: &Linked, device: &B::Device) -> Self {
        let mut reads = vec![Some(0); linked.slots];
        for tensor in linked.operations.iter().flat_map(OperationIr::inputs) {
            if let Some(count) = &mut reads[slot(tensor)] {
                *count += 1;
            }
        }
        for port in &linked.outputs {
            reads[port.tensor as usize] = None;
        }
        Self { reads, device: device.clone() }
    }

    /// The next read of a tensor; must be called in the order in which the instructions read.
    fn read(&mut self, tensor: &TensorIr) -> Operand {
        let slot = slot(tensor);
        let last = self.reads[slot].as_mut().is_some_and(|reads| {
            *reads = reads.saturating_sub(1);
            *reads == 0
        });
        Operand { slot, last }
    }

    fn instruction(&mut self, operation: &OperationIr) -> Option<Instruction<B>> {
        match operation {
            OperationIr::BaseFloat(op) => self.base_float(op),
            OperationIr::BaseInt(op) => self.base_int(op),
            OperationIr::BaseBool(op) => self.base_bool(op),
            OperationIr::NumericFloat(_, op) => self.numeric_float(op),
            OperationIr::NumericInt(_, op) => self.numeric_int(op),
            OperationIr::Float(_, op) => self.float(op),
            OperationIr::Int(op) => self.int(op),
            OperationIr::Bool(op) => self.bool(op),
            OperationIr::Module(op) => self.module(op),
            OperationIr::Activation(op) => self.activation(op),
            _ => None,
        }
    }

    fn base_float(&mut self, operation: &Base) -> Option<Instruction<B>> {
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
            Base::Ones(d) => create!(self, d.out, Float, |s, device: &B::Device, t: burn_backend::DType| {
                B::float_ones(s, device, t.into())
            }),
            Base::Zeros(d) => create!(self, d.out, Float, |s, device: &B::Device, t: burn_backend::DType| {
                B::float_zeros(s, device, t.into())
            }),
            Base::Cast(d) => {
                let dtype = d.out.dtype;
                unary!(self, d.input, d.out, float => Float, move |x| B::float_cast(x, dtype.into()))
            }
            _ => None,
        }
    }

    fn base_int(&mut self, operation: &Base) -> Option<Instruction<B>> {
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
            Base::Ones(d) => create!(self, d.out, Int, |s, device: &B::Device, t: burn_backend::DType| {
                B::int_ones(s, device, t.into())
            }),
            Base::Zeros(d) => create!(self, d.out, Int, |s, device: &B::Device, t: burn_backend::DType| {
                B::int_zeros(s, device, t.into())
            }),
            _ => None,
        }
    }

    fn base_bool(&mut self, operation: &Base) -> Option<Instruction<B>> {
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

    fn numeric_float(&mut self, operation: &Numeric) -> Option<Instruction<B>> {
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
                create!(self, d.out, Float, move |s, device: &B::Device, t: burn_backend::DType| {
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

    fn numeric_int(&mut self, operation: &Numeric) -> Option<Instruction<B>> {
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
                create!(self, d.out, Int, move |s, device: &B::Device, t: burn_backend::DType| {
                    B::int_full(s, value.into(), device, t.into())
                })
            }
            _ => None,
        }
    }

    fn float(&mut self, operation: &Float) -> Option<Instruction<B>> {
        match operation {
            Float::Exp(d) => unary!(self, d.input, d.out, float => Float, B::float_exp),
            Float::Log(d) => unary!(self, d.input, d.out, float => Float, B::float_log),
            Float::Log1p(d) => unary!(self, d.input, d.out, float => Float, B::float_log1p),
            Float::Sqrt(d) => unary!(self, d.input, d.out, float => Float, B::float_sqrt),
            Float::Recip(d) => unary!(self, d.input, d.out, float => Float, B::float_recip),
            Float::Tanh(d) => unary!(self, d.input, d.out, float => Float, B::float_tanh),
            Float::PowfScalar(d) => {
                let value = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::float_powf_scalar(x, value.into()))
            }
            Float::Matmul(d) => {
                binary!(self, d.lhs, d.rhs, d.out, (float, float) => Float, B::float_matmul)
            }
            _ => None,
        }
    }

    fn int(&mut self, operation: &Int) -> Option<Instruction<B>> {
        match operation {
            Int::IntoFloat(d) => {
                let dtype = d.out.dtype;
                unary!(self, d.input, d.out, int => Float, move |x| B::int_into_float(x, dtype.into()))
            }
            _ => None,
        }
    }

    fn bool(&mut self, operation: &Bool) -> Option<Instruction<B>> {
        match operation {
            Bool::IntoFloat(d) => {
                let dtype = d.out.dtype;
                unary!(self, d.input, d.out, bool => Float, move |x| B::bool_into_float(x, dtype.into()))
            }
            Bool::IntoInt(d) => {
                let dtype = d.out.dtype;
                unary!(self, d.input, d.out, bool => Int, move |x| B::bool_into_int(x, dtype.into()))
            }
            Bool::Not(d) => unary!(self, d.input, d.out, bool => Bool, B::bool_not),
            _ => None,
        }
    }

    fn module(&mut self, operation: &Module) -> Option<Instruction<B>> {
        match operation {
            Module::BatchNorm(d) => {
                let (x, gamma, beta) = (self.read(&d.x), self.read(&d.gamma), self.read(&d.beta));
                let (mean, variance) = (self.read(&d.mean), self.read(&d.variance));
                let (out, epsilon) = (slot(&d.out), d.epsilon.elem::<f64>());
                let count = d.x.shape.num_elements() / d.x.shape[1];
                Some(Box::new(move |frame| {
                    let (x, gamma, beta) = (frame.float(x), frame.float(gamma), frame.float(beta));
                    if !frame.training {
                        let (mean, variance) = (frame.float(mean), frame.float(variance));
                        let output = B::batch_norm(x, gamma, beta, mean, variance, epsilon);
                        return frame.set(out, Value::Float(output));
                    }
                    let result = B::batch_norm_train(x, gamma, beta, epsilon);
                    frame.set(out, Value::Float(result.output));
                    frame.statistics.push(BatchStatistics {
                        mean_slot: mean.slot,
                        variance_slot: variance.slot,
                        mean: result.mean,
                        variance: result.variance,
                        count,
                    });
                }))
            }
            Module::Conv2d(d) => {
                let (x, weight) = (self.read(&d.x), self.read(&d.weight));
                let bias = d.bias.as_ref().map(|bias| self.read(bias));
                let (options, out) = (d.options.clone(), slot(&d.out));
                Some(Box::new(move |frame| {
                    let (x, weight) = (frame.float(x), frame.float(weight));
                    let bias = bias.map(|bias| frame.float(bias));
                    frame.set(out, Value::Float(B::conv2d(x, weight, bias, options.clone().into())));
                }))
            }
            Module::Linear(d) => {
                let (x, weight) = (self.read(&d.x), self.read(&d.weight));
                let bias = d.bias.as_ref().map(|bias| self.read(bias));
                let out = slot(&d.out);
                Some(Box::new(move |frame| {
                    let (x, weight) = (frame.float(x), frame.float(weight));
                    let bias = bias.map(|bias| frame.float(bias));
                    frame.set(out, Value::Float(B::linear(x, weight, bias)));
                }))
            }
            Module::AvgPool2d(d) => {
                let (kernel, stride, padding) = (d.kernel_size, d.stride, d.padding);
                let (count_include_pad, ceil) = (d.count_include_pad, d.ceil_mode);
                unary!(self, d.x, d.out, float => Float, move |x| {
                    B::avg_pool2d(x, kernel, stride, padding, count_include_pad, ceil)
                })
            }
            Module::MaxPool2d(d) => {
                let (kernel, stride, padding) = (d.kernel_size, d.stride, d.padding);
                let (dilation, ceil) = (d.dilation, d.ceil_mode);
                unary!(self, d.x, d.out, float => Float, move |x| {
                    B::max_pool2d(x, kernel, stride, padding, dilation, ceil)
                })
            }
            Module::AdaptiveAvgPool2d(d) => {
                let size = d.output_size;
                unary!(self, d.x, d.out, float => Float, move |x| B::adaptive_avg_pool2d(x, size))
            }
            _ => None,
        }
    }

    fn activation(&mut self, operation: &Activation) -> Option<Instruction<B>> {
        match operation {
            Activation::Relu(d) => unary!(self, d.input, d.out, float => Float, B::relu),
            Activation::Gelu(d) => unary!(self, d.input, d.out, float => Float, B::gelu),
            Activation::Sigmoid(d) => unary!(self, d.input, d.out, float => Float, B::sigmoid),
            Activation::LogSigmoid(d) => unary!(self, d.input, d.out, float => Float, B::log_sigmoid),
            Activation::LeakyRelu(d) => {
                let slope = d.rhs;
                unary!(self, d.lhs, d.out, float => Float, move |x| B::leaky_relu(x, slope.into()))
            }
            Activation::Softmax(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, float => Float, move |x| B::softmax(x, axis))
            }
            Activation::LogSoftmax(d) => {
                let axis = d.axis;
                unary!(self, d.input, d.out, float => Float, move |x| B::log_softmax(x, axis))
            }
            _ => None,
        }
    }
}

fn slot(tensor: &TensorIr) -> usize {
    tensor.id.value() as usize
}

/// The name of an operation as burn-ir writes it, such as `Module(ConvTranspose2d)`.
fn name(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with(char::is_uppercase))
        .filter(|word| !matches!(*word, "F32" | "F64" | "I64" | "I32") && !word.ends_with("OpIr"))
        .take(2)
        .collect();
    words.join("::")
}
