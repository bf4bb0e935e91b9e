//! Arithmetic, comparisons and reductions of floats.

use burn_ir::{
    FloatOperationIr as Float, NumericOperationIr as Numeric, PadModeIr, ReduceDimOpIr, ScalarOpIr, TensorIr,
    UnaryOpIr,
};

use super::{Lowered, Lowering, float, slot};
use crate::graph::{Binary, Op, Reduce, Unary};

impl Lowering {
    pub(super) fn numeric(&mut self, operation: &Numeric) -> Lowered {
        match operation {
            Numeric::Add(d) => self.push(Op::Binary(Binary::Add), &[&d.lhs, &d.rhs], &d.out),
            Numeric::Sub(d) => self.push(Op::Binary(Binary::Sub), &[&d.lhs, &d.rhs], &d.out),
            Numeric::Mul(d) => self.push(Op::Binary(Binary::Mul), &[&d.lhs, &d.rhs], &d.out),
            Numeric::Div(d) => self.push(Op::Binary(Binary::Div), &[&d.lhs, &d.rhs], &d.out),
            Numeric::AddScalar(d) => self.scalar(d, Unary::Add),
            Numeric::SubScalar(d) => self.scalar(d, |value| Unary::Add(-value)),
            Numeric::MulScalar(d) => self.scalar(d, Unary::Scale),
            Numeric::DivScalar(d) => self.scalar(d, |value| Unary::Scale(1.0 / value)),
            Numeric::PowiScalar(d) => self.scalar(d, Unary::Power),
            Numeric::ClampMin(d) => self.scalar(d, |value| Unary::Clamp(value, f32::INFINITY)),
            Numeric::ClampMax(d) => self.scalar(d, |value| Unary::Clamp(f32::NEG_INFINITY, value)),
            Numeric::Clamp(d) => {
                self.push(Op::Unary(Unary::Clamp(float(d.min), float(d.max))), &[&d.tensor], &d.out)
            }
            Numeric::GreaterElem(d) => self.scalar(d, Unary::Greater),
            Numeric::GreaterEqualElem(d) => self.scalar(d, Unary::GreaterEqual),
            Numeric::LowerElem(d) => self.scalar(d, Unary::Lower),
            Numeric::LowerEqualElem(d) => self.scalar(d, Unary::LowerEqual),
            Numeric::Abs(d) => self.unary(d, Unary::Abs),
            Numeric::Neg(d) => self.unary(d, Unary::Neg),
            Numeric::Sum(d) => self.reduce_all(&d.input, &d.out, Reduce::Sum),
            Numeric::Mean(d) => self.reduce_all(&d.input, &d.out, Reduce::Mean),
            Numeric::SumDim(d) => self.reduce(d, Reduce::Sum),
            Numeric::MeanDim(d) => self.reduce(d, Reduce::Mean),
            Numeric::MaxDim(d) => self.reduce(d, Reduce::Max),
            Numeric::MinDim(d) => self.reduce(d, Reduce::Min),
            Numeric::SumDims(d) => {
                let (mut value, mut shape) = (slot(&d.input), d.input.shape.to_vec());
                for &axis in &d.axes {
                    shape[axis] = 1;
                    value = self.push_new(Op::Reduce { axis, kind: Reduce::Sum }, vec![value], shape.clone());
                }
                self.push_values(Op::Reshape, vec![value], &d.out)
            }
            Numeric::Full(d) => self.push(Op::Fill(float(d.value)), &[], &d.out),
            Numeric::Pad(d) => {
                let PadModeIr::Constant(value) = d.mode else { return None };
                if d.padding.len() != d.input.shape.len() {
                    return None;
                }
                let before = d.padding.iter().map(|(before, _)| *before).collect();
                self.push(Op::Pad { before, value: float(value) }, &[&d.input], &d.out)
            }
            _ => None,
        }
    }

    pub(super) fn float(&mut self, operation: &Float) -> Lowered {
        match operation {
            Float::Exp(d) => self.unary(d, Unary::Exp),
            Float::Log(d) => self.unary(d, Unary::Log),
            Float::Log1p(d) => self.unary(d, Unary::Log1p),
            Float::Sqrt(d) => self.unary(d, Unary::Sqrt),
            Float::Recip(d) => self.unary(d, Unary::Recip),
            Float::Tanh(d) => self.unary(d, Unary::Tanh),
            Float::PowfScalar(d) => self.scalar(d, Unary::Power),
            Float::Matmul(d) => {
                let (x, y) = (&d.lhs.shape, &d.rhs.shape);
                let same = x.len() == y.len() && x.len() >= 2 && x[..x.len() - 2] == y[..y.len() - 2];
                if same { self.push(Op::Matmul, &[&d.lhs, &d.rhs], &d.out) } else { None }
            }
            _ => None,
        }
    }

    fn unary(&mut self, d: &UnaryOpIr, op: Unary) -> Lowered {
        self.push(Op::Unary(op), &[&d.input], &d.out)
    }

    fn scalar(&mut self, d: &ScalarOpIr, op: impl Fn(f32) -> Unary) -> Lowered {
        self.push(Op::Unary(op(float(d.rhs))), &[&d.lhs], &d.out)
    }

    fn reduce(&mut self, d: &ReduceDimOpIr, kind: Reduce) -> Lowered {
        // Top-k reductions keep more than one value.
        if d.accumulator_len != 1 {
            return None;
        }
        self.push(Op::Reduce { axis: d.axis, kind }, &[&d.input], &d.out)
    }

    fn reduce_all(&mut self, input: &TensorIr, out: &TensorIr, kind: Reduce) -> Lowered {
        let flat = self.push_new(Op::Reshape, vec![slot(input)], vec![input.shape.num_elements()]);
        self.push_values(Op::Reduce { axis: 0, kind }, vec![flat], out)
    }
}
