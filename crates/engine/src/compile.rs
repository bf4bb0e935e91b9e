//! From operations to instructions: the one list of what the engine can run.

mod base;
mod dropout;
mod numeric;

use burn_backend::{Backend, DType, FloatDType, TensorMetadata, get_device_settings, tensor::FloatTensor};
use burn_ir::{
    ActivationOperationIr as Activation, BoolOperationIr as Bool, FloatOperationIr as Float,
    IntOperationIr as Int, ModuleOperationIr as Module, OperationIr, TensorIr,
};

use crate::{
    frame::{BatchStatistics, Frame, Operand, Value},
    link::Linked,
};

/// One operation, ready to run.
pub(crate) type Instruction<B> = Box<dyn Fn(&mut Frame<B>) + Send + Sync>;

/// Turns every operation of a program into an instruction, or names the operations that are not known. Products are
/// computed in `products`.
pub(crate) fn compile<B: Backend>(
    linked: &Linked,
    device: &B::Device,
    products: FloatDType,
) -> Result<Vec<Instruction<B>>, Vec<String>> {
    let mut compiler = Compiler::<B>::new(linked, device, products);
    let mut instructions = Vec::with_capacity(linked.operations.len());
    let mut missing = Vec::new();
    for operation in &linked.operations {
        match compiler.instruction(operation) {
            Some(instruction) => instructions.push(instruction),
            None => {
                let name = operation_name(operation);
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
    /// In what convolutions, linear layers and products of matrices are computed; all else is in `f32`.
    products: FloatDType,
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
        let (out, shape, device) = (slot(&$out), $out.shape.clone(), $c.device.clone());
        let dtype = kept_as::<B>($out.dtype, &$c.device);
        let f = $f;
        Some(Box::new(move |frame: &mut Frame<B>| {
            frame.set(out, Value::$to(f(shape.clone(), &device, dtype)));
        }) as Instruction<B>)
    }};
}

use {binary, create, unary};

impl<B: Backend> Compiler<B> {
    fn new(linked: &Linked, device: &B::Device, products: FloatDType) -> Self {
        let mut reads = vec![Some(0); linked.slots];
        for tensor in linked.operations.iter().flat_map(OperationIr::inputs) {
            if let Some(count) = &mut reads[slot(tensor)] {
                *count += 1;
            }
        }
        for port in &linked.outputs {
            reads[port.tensor as usize] = None;
        }
        Self { reads, device: device.clone(), products }
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
            OperationIr::Custom(op) => self.custom(op),
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
                let products = self.products;
                binary!(self, d.lhs, d.rhs, d.out, (float, float) => Float, move |x, y| {
                    whole::<B>(B::float_matmul(cast::<B>(x, products), cast::<B>(y, products)))
                })
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
                let dtype = kept_as::<B>(d.out.dtype, &self.device);
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
                    if frame.training.is_none() {
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
                let (options, out, products) = (d.options.clone(), slot(&d.out), self.products);
                Some(Box::new(move |frame| {
                    let mut take = |operand| cast::<B>(frame.float(operand), products);
                    let (x, weight, bias) = (take(x), take(weight), bias.map(take));
                    let y = B::conv2d(x, weight, bias, options.clone().into());
                    frame.set(out, Value::Float(whole::<B>(y)));
                }))
            }
            Module::Linear(d) => {
                let (x, weight) = (self.read(&d.x), self.read(&d.weight));
                let bias = d.bias.as_ref().map(|bias| self.read(bias));
                let (out, products) = (slot(&d.out), self.products);
                Some(Box::new(move |frame| {
                    let mut take = |operand| cast::<B>(frame.float(operand), products);
                    let (x, weight, bias) = (take(x), take(weight), bias.map(take));
                    frame.set(out, Value::Float(whole::<B>(B::linear(x, weight, bias))));
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

fn cast<B: Backend>(tensor: FloatTensor<B>, to: FloatDType) -> FloatTensor<B> {
    match to {
        FloatDType::F32 => tensor,
        _ => B::float_cast(tensor, to),
    }
}

/// A result as all else is computed.
fn whole<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    match tensor.dtype() {
        DType::F32 => tensor,
        _ => B::float_cast(tensor, FloatDType::F32),
    }
}

/// The type in which a device keeps what was recorded as `dtype`. Not every GPU has integers of 64 bits, or truth values
/// of one byte: there they are those that the device takes for itself.
pub(crate) fn kept_as<B: Backend>(dtype: DType, device: &B::Device) -> DType {
    match dtype {
        _ if B::supports_dtype(device, dtype) => dtype,
        DType::Bool(_) => get_device_settings::<B>(device).bool_dtype.into(),
        DType::I64 => get_device_settings::<B>(device).int_dtype.into(),
        other => other,
    }
}

fn slot(tensor: &TensorIr) -> usize {
    tensor.id.value() as usize
}

/// The name of an operation as burn-ir writes it, such as `Module::ConvTranspose2d`.
pub fn operation_name(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with(char::is_uppercase))
        .filter(|word| !matches!(*word, "F32" | "F64" | "I64" | "I32") && !word.ends_with("OpIr"))
        .take(2)
        .collect();
    words.join("::")
}
