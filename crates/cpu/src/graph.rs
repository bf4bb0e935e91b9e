//! The compiler's own graph: few operations, each with one output and one derivative.

use expanse_program::{ParameterKind, Port};

use crate::kernels::simd::LANES;

/// The number of a value.
pub(crate) type ValueId = usize;
/// The number of a node.
pub(crate) type NodeId = usize;

/// A linked program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// All values, by number.
    pub values: Vec<Value>,
    /// The operations in their order.
    pub nodes: Vec<Node>,
    /// What is given.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// What the session keeps.
    pub parameters: Vec<Parameter>,
    /// Values fixed at recording.
    pub constants: Vec<(ValueId, Constant)>,
}

/// A tensor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Value {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub kind: Kind,
    /// How they lie in memory.
    pub layout: Layout,
    /// Whether a trainable parameter moves it.
    pub trained: bool,
}

/// What the elements of a value are. Truth values are floats, 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Float,
    Int,
}

/// How the elements of a value lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Row-major.
    #[default]
    Plain,
    /// `[batch, blocks, pixels, 16]`: sixteen channels of a pixel side by side, absent channels are 0.
    Blocked,
}

/// A parameter of the session.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub name: String,
    pub kind: ParameterKind,
    pub value: ValueId,
}

/// A value fixed at recording.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

/// An operation with its operands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub op: Op,
    pub inputs: Vec<ValueId>,
    pub output: ValueId,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// x, weight.
    Conv(Conv),
    /// x, γ, β, running mean, running variance, and the residual if there is one.
    Norm(Norm),
    /// Every `step`-th pixel, with `before` channels of zeros before the channels of x, and zeros behind.
    Subsample {
        step: [usize; 2],
        before: usize,
    },
    /// `[n, c, …]` → `[n, c, 1]`: the mean over all pixels.
    MeanPixels,
    /// x and a value for each channel: their sum.
    Bias,
    Pool(Pool),
    /// The same values in the output's layout.
    Reorder,
    /// The same values in another shape.
    Reshape,
    /// Every output is the input at `offset + Σ index · stride`.
    View(View),
    /// Of each dimension every `step`-th index from `start`.
    Slice {
        start: Vec<usize>,
        step: Vec<isize>,
    },
    Cat {
        axis: usize,
    },
    /// Values around the input.
    Pad {
        before: Vec<usize>,
        value: f32,
    },
    Unary(Unary),
    /// Operands of length 1 in a dimension are repeated.
    Binary(Binary),
    Matmul,
    Softmax {
        axis: usize,
        log: bool,
    },
    Reduce {
        axis: usize,
        kind: Reduce,
    },
    /// tensor, indices of the output's shape.
    Gather {
        axis: usize,
    },
    /// tensor, one index for each of the output's.
    Select {
        axis: usize,
    },
    Fill(f32),
    /// x, mask, value: the value where the mask is 1.
    Where,
    IntToFloat,
}

/// A convolution; each pair is rows and columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conv {
    pub stride: [usize; 2],
    /// Before and behind.
    pub padding: [(usize, usize); 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

/// Batch norm with what follows it: relu(norm(x) + residual).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Norm {
    pub epsilon: f32,
    pub residual: bool,
    pub relu: bool,
}

/// A pooling window; each pair is rows and columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pool {
    pub kind: PoolKind,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolKind {
    Max,
    /// Over the pixels of the window, or those of them that are in the image.
    Average {
        count_padding: bool,
    },
    /// Windows as large as the output needs.
    Adaptive,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub offset: usize,
    pub strides: Vec<isize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Relu,
    LeakyRelu(f32),
    Sigmoid,
    LogSigmoid,
    Tanh,
    Exp,
    Log,
    Log1p,
    Sqrt,
    Recip,
    Abs,
    Neg,
    Power(f32),
    Add(f32),
    Scale(f32),
    Clamp(f32, f32),
    Greater(f32),
    GreaterEqual(f32),
    Lower(f32),
    LowerEqual(f32),
    Equal(f32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Equal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
}

impl Value {
    /// The number of its elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The floats that it takes in its layout.
    pub fn floats(&self) -> usize {
        match self.layout {
            Layout::Plain => self.elements(),
            Layout::Blocked => self.blocked().floats(),
        }
    }

    /// Its dimensions as the blocked layout sees them.
    pub fn blocked(&self) -> Blocked {
        let pixels = self.shape[2..].iter().product();
        let width = self.shape.get(3).copied().unwrap_or(1);
        let (images, channels) = (self.shape[0], self.shape[1]);
        Blocked { images, channels, blocks: channels.div_ceil(LANES), pixels, width }
    }
}

/// The dimensions of a value in blocks of sixteen channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub images: usize,
    pub channels: usize,
    pub blocks: usize,
    pub pixels: usize,
    /// Pixels of a row.
    pub width: usize,
}

impl Blocked {
    /// Floats of one image.
    pub fn image(&self) -> usize {
        self.blocks * self.pixels * LANES
    }

    /// Floats of the whole value.
    pub fn floats(&self) -> usize {
        self.images * self.image()
    }

    /// Rows of an image.
    pub fn height(&self) -> usize {
        self.pixels / self.width.max(1)
    }
}

impl Graph {
    /// A new value.
    pub fn add(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        self.values.len() - 1
    }

    /// How often each value is read, by nodes and as an output.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        for &input in self.nodes.iter().flat_map(|node| &node.inputs) {
            uses[input] += 1;
        }
        for output in &self.outputs {
            uses[output.tensor as usize] += 1;
        }
        uses
    }

    /// The node that makes each value.
    pub fn producers(&self) -> Vec<Option<NodeId>> {
        let mut producers = vec![None; self.values.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            producers[node.output] = Some(id);
        }
        producers
    }

    /// Marks what trainable parameters move.
    pub fn mark_trained(&mut self) {
        self.values.iter_mut().for_each(|value| value.trained = false);
        for parameter in &self.parameters {
            self.values[parameter.value].trained = parameter.kind == ParameterKind::Trainable;
        }
        for node in &self.nodes {
            let moved = node.inputs.iter().any(|&input| self.values[input].trained);
            self.values[node.output].trained = moved && node.op.has_derivative();
        }
    }
}

impl Op {
    /// Whether a change of an operand changes the output smoothly anywhere.
    pub fn has_derivative(&self) -> bool {
        !matches!(
            self,
            Op::Fill(_)
                | Op::IntToFloat
                | Op::Binary(Binary::Equal)
                | Op::Unary(
                    Unary::Greater(_)
                        | Unary::GreaterEqual(_)
                        | Unary::Lower(_)
                        | Unary::LowerEqual(_)
                        | Unary::Equal(_)
                )
        )
    }
}

impl Unary {
    /// Whether 0 stays 0.
    pub fn keeps_zero(self) -> bool {
        match self {
            Unary::Relu | Unary::LeakyRelu(_) | Unary::Tanh | Unary::Abs | Unary::Neg => true,
            Unary::Scale(factor) => factor.is_finite(),
            Unary::Clamp(low, high) => low <= 0.0 && high >= 0.0,
            Unary::Power(exponent) => exponent > 0.0,
            _ => false,
        }
    }
}

impl Unary {
    /// Whether the derivative is the same everywhere.
    pub fn is_linear(self) -> bool {
        matches!(self, Unary::Add(_) | Unary::Scale(_) | Unary::Neg)
    }

    /// Whether the derivative is computed from the output; otherwise from the input.
    pub fn derivative_of_output(self) -> bool {
        matches!(self, Unary::Relu | Unary::Sigmoid | Unary::Tanh | Unary::Exp | Unary::Sqrt | Unary::Recip)
    }
}

/// The row-major strides of a shape.
pub(crate) fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}
