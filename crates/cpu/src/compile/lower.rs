//! From recorded operations to the compiler's graph.

mod movement;
mod numeric;

use burn_backend::DType as BurnDType;
use burn_ir::{
    ActivationOperationIr as Activation, BoolOperationIr as Bool, IntOperationIr as Int,
    ModuleOperationIr as Module, OperationIr, ScalarIr, TensorIr,
};
use expanse_engine::{Linked, operation_name};
use expanse_program::DType;

use crate::graph::{
    Binary, Constant, Conv, Graph, Kind, Node, Norm, Op, Parameter, Pool, PoolKind, Unary, Value, ValueId,
};
use crate::kernels::strided::RANK;

/// The graph of a linked program, or the names of the operations that this backend lacks.
pub(crate) fn lower(linked: &Linked) -> Result<Graph, Vec<String>> {
    let mut lowering = Lowering { graph: Graph::default() };
    lowering.begin(linked);
    let mut missing = Vec::new();
    for operation in &linked.operations {
        if lowering.operation(operation).is_none() {
            let name = operation_name(operation);
            if !missing.contains(&name) {
                missing.push(name);
            }
        }
    }
    if missing.is_empty() { Ok(lowering.graph) } else { Err(missing) }
}

/// `None` where an operation is not known.
type Lowered = Option<()>;

struct Lowering {
    graph: Graph,
}

impl Lowering {
    /// Slots become values of the same number.
    fn begin(&mut self, linked: &Linked) {
        self.graph.values = vec![Value::default(); linked.slots];
        let kind = |dtype| match dtype {
            DType::F32 => Kind::Float,
            DType::I64 => Kind::Int,
        };
        for port in &linked.inputs {
            self.set(port.tensor as usize, &port.shape, kind(port.dtype));
        }
        for parameter in &linked.parameters {
            let value = parameter.tensor as usize;
            self.set(value, &parameter.shape, Kind::Float);
            let (name, kind) = (parameter.name.clone(), parameter.kind);
            self.graph.parameters.push(Parameter { name, kind, value });
        }
        for (constant, bytes) in &linked.constants {
            let value = constant.tensor as usize;
            self.set(value, &constant.shape, kind(constant.dtype));
            let (floats, _) = bytes.as_chunks::<4>();
            let (ints, _) = bytes.as_chunks::<8>();
            self.graph.constants.push(match constant.dtype {
                DType::F32 => {
                    (value, Constant::Floats(floats.iter().map(|b| f32::from_le_bytes(*b)).collect()))
                }
                DType::I64 => (value, Constant::Ints(ints.iter().map(|b| i64::from_le_bytes(*b)).collect())),
            });
        }
        self.graph.inputs = linked.inputs.clone();
        self.graph.outputs = linked.outputs.clone();
    }

    fn set(&mut self, value: ValueId, shape: &[usize], kind: Kind) {
        self.graph.values[value] = Value { shape: shape.to_vec(), kind, ..Value::default() };
    }

    /// Appends a node whose output is a tensor of the program.
    fn push(&mut self, op: Op, inputs: &[&TensorIr], out: &TensorIr) -> Lowered {
        let inputs: Vec<_> = inputs.iter().map(|tensor| slot(tensor)).collect();
        self.push_values(op, inputs, out)
    }

    fn push_values(&mut self, op: Op, inputs: Vec<ValueId>, out: &TensorIr) -> Lowered {
        if out.shape.len() > RANK {
            return None;
        }
        let kind = match out.dtype {
            BurnDType::F32 | BurnDType::Bool(_) => Kind::Float,
            BurnDType::I64 | BurnDType::I32 => Kind::Int,
            _ => return None,
        };
        self.set(slot(out), &out.shape, kind);
        self.graph.nodes.push(Node { op, inputs, output: slot(out) });
        Some(())
    }

    /// Appends a node whose output the program does not know.
    fn push_new(&mut self, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> ValueId {
        let output = self.graph.add(Value { shape, ..Value::default() });
        self.graph.nodes.push(Node { op, inputs, output });
        output
    }

    fn operation(&mut self, operation: &OperationIr) -> Lowered {
        match operation {
            OperationIr::BaseFloat(op) => self.selection(op).or_else(|| self.movement(op)),
            OperationIr::BaseInt(op) => self.comparison(op).or_else(|| self.movement(op)),
            OperationIr::BaseBool(op) => self.movement(op),
            OperationIr::NumericFloat(_, op) => self.numeric(op),
            OperationIr::Float(_, op) => self.float(op),
            OperationIr::Int(Int::IntoFloat(d)) => self.push(Op::IntToFloat, &[&d.input], &d.out),
            OperationIr::Bool(Bool::IntoFloat(d)) => self.push(Op::Reshape, &[&d.input], &d.out),
            OperationIr::Bool(Bool::Not(d)) => self.push(Op::Unary(Unary::Equal(0.0)), &[&d.input], &d.out),
            OperationIr::Module(op) => self.module(op),
            OperationIr::Activation(op) => self.activation(op),
            _ => None,
        }
    }

    fn module(&mut self, operation: &Module) -> Lowered {
        match operation {
            Module::BatchNorm(d) => {
                let epsilon = float(d.epsilon);
                let op = Op::Norm(Norm { epsilon, residual: false, relu: false });
                self.push(op, &[&d.x, &d.gamma, &d.beta, &d.mean, &d.variance], &d.out)
            }
            Module::Conv2d(d) => {
                let options = &d.options;
                let op = Op::Conv(Conv {
                    stride: options.stride,
                    padding: options.padding,
                    dilation: options.dilation,
                    groups: options.groups,
                });
                let Some(bias) = &d.bias else { return self.push(op, &[&d.x, &d.weight], &d.out) };
                let inputs = vec![slot(&d.x), slot(&d.weight)];
                let product = self.push_new(op, inputs, d.out.shape.to_vec());
                self.push_values(Op::Bias, vec![product, slot(bias)], &d.out)
            }
            Module::Linear(d) => {
                let Some(bias) = &d.bias else { return self.push(Op::Matmul, &[&d.x, &d.weight], &d.out) };
                let inputs = vec![slot(&d.x), slot(&d.weight)];
                let product = self.push_new(Op::Matmul, inputs, d.out.shape.to_vec());
                self.push_values(Op::Binary(Binary::Add), vec![product, slot(bias)], &d.out)
            }
            Module::AvgPool2d(d) if !d.ceil_mode => {
                let kind = PoolKind::Average { count_padding: d.count_include_pad };
                let (kernel, stride, padding) = (d.kernel_size, d.stride, d.padding);
                let pool = Pool { kind, kernel, stride, padding, dilation: [1, 1] };
                self.push(Op::Pool(pool), &[&d.x], &d.out)
            }
            Module::MaxPool2d(d) if !d.ceil_mode => {
                let (kernel, stride, padding, dilation) = (d.kernel_size, d.stride, d.padding, d.dilation);
                let pool = Pool { kind: PoolKind::Max, kernel, stride, padding, dilation };
                self.push(Op::Pool(pool), &[&d.x], &d.out)
            }
            Module::AdaptiveAvgPool2d(d) => {
                let pool = Pool {
                    kind: PoolKind::Adaptive,
                    kernel: [1, 1],
                    stride: [1, 1],
                    padding: [0, 0],
                    dilation: [1, 1],
                };
                self.push(Op::Pool(pool), &[&d.x], &d.out)
            }
            _ => None,
        }
    }

    fn activation(&mut self, operation: &Activation) -> Lowered {
        match operation {
            Activation::Relu(d) => self.push(Op::Unary(Unary::Relu), &[&d.input], &d.out),
            Activation::Sigmoid(d) => self.push(Op::Unary(Unary::Sigmoid), &[&d.input], &d.out),
            Activation::LogSigmoid(d) => self.push(Op::Unary(Unary::LogSigmoid), &[&d.input], &d.out),
            Activation::LeakyRelu(d) => {
                self.push(Op::Unary(Unary::LeakyRelu(float(d.rhs))), &[&d.lhs], &d.out)
            }
            Activation::Softmax(d) => {
                self.push(Op::Softmax { axis: d.axis, log: false }, &[&d.input], &d.out)
            }
            Activation::LogSoftmax(d) => {
                self.push(Op::Softmax { axis: d.axis, log: true }, &[&d.input], &d.out)
            }
            _ => None,
        }
    }
}

fn slot(tensor: &TensorIr) -> ValueId {
    tensor.id.value() as usize
}

fn float(scalar: ScalarIr) -> f32 {
    scalar.elem()
}
