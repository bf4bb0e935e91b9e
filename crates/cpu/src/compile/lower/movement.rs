//! Operations that move values without changing them.

use burn_ir::BaseOperationIr as Base;

use super::{Lowered, Lowering, float, slot};
use crate::graph::{Binary, Op, Unary, View, strides};

impl Lowering {
    /// What floats, integers and truth values have in common.
    pub(super) fn movement(&mut self, operation: &Base) -> Lowered {
        match operation {
            Base::Reshape(d) => self.push(Op::Reshape, &[&d.input], &d.out),
            Base::SwapDims(d) => {
                let mut strides = strides(&d.input.shape);
                strides.swap(d.dim1, d.dim2);
                self.push(Op::View(View { offset: 0, strides }), &[&d.input], &d.out)
            }
            Base::Permute(d) => {
                let from = strides(&d.input.shape);
                let strides = d.axes.iter().map(|&axis| from[axis]).collect();
                self.push(Op::View(View { offset: 0, strides }), &[&d.input], &d.out)
            }
            Base::Expand(d) => {
                let (shape, from) = (&d.input.shape, strides(&d.input.shape));
                let added = d.out.shape.len().checked_sub(shape.len())?;
                let stride = |axis: usize| match axis.checked_sub(added) {
                    Some(axis) if shape[axis] > 1 => from[axis],
                    _ => 0,
                };
                let strides = (0..d.out.shape.len()).map(stride).collect();
                self.push(Op::View(View { offset: 0, strides }), &[&d.input], &d.out)
            }
            Base::Flip(d) => {
                let shape = &d.input.shape;
                let flipped = |axis| d.axes.contains(&axis);
                let axes = 0..shape.len();
                let start = axes.clone().map(|axis| if flipped(axis) { shape[axis] - 1 } else { 0 });
                let step = axes.map(|axis| if flipped(axis) { -1 } else { 1 });
                let op = Op::Slice { start: start.collect(), step: step.collect() };
                self.push(op, &[&d.input], &d.out)
            }
            Base::Slice(d) => {
                let (mut start, mut step) = (Vec::new(), Vec::new());
                for (axis, &length) in d.tensor.shape.iter().enumerate() {
                    let Some(slice) = d.ranges.get(axis) else {
                        start.push(0);
                        step.push(1);
                        continue;
                    };
                    let range = slice.to_range(length);
                    // A slice that runs backwards begins at the last index of its range.
                    start.push(if slice.step < 0 { range.end.saturating_sub(1) } else { range.start });
                    step.push(slice.step);
                }
                self.push(Op::Slice { start, step }, &[&d.tensor], &d.out)
            }
            Base::RepeatDim(d) => {
                let copies = vec![&d.tensor; d.times];
                self.push(Op::Cat { axis: d.dim }, &copies, &d.out)
            }
            Base::Cat(d) => {
                let tensors: Vec<_> = d.tensors.iter().collect();
                self.push(Op::Cat { axis: d.dim }, &tensors, &d.out)
            }
            _ => None,
        }
    }

    /// What floats have besides.
    pub(super) fn selection(&mut self, operation: &Base) -> Lowered {
        match operation {
            Base::Gather(d) => self.push(Op::Gather { axis: d.dim }, &[&d.tensor, &d.indices], &d.out),
            Base::Select(d) => self.push(Op::Select { axis: d.dim }, &[&d.tensor, &d.indices], &d.out),
            Base::MaskFill(d) if d.mask.shape == d.tensor.shape => {
                let shape = d.tensor.shape.to_vec();
                let value = self.push_new(Op::Fill(float(d.value)), Vec::new(), shape);
                self.push_values(Op::Where, vec![slot(&d.tensor), slot(&d.mask), value], &d.out)
            }
            Base::MaskWhere(d) if d.mask.shape == d.tensor.shape && d.value.shape == d.tensor.shape => {
                self.push(Op::Where, &[&d.tensor, &d.mask, &d.value], &d.out)
            }
            Base::Equal(d) => self.push(Op::Binary(Binary::Equal), &[&d.lhs, &d.rhs], &d.out),
            Base::EqualElem(d) => self.push(Op::Unary(Unary::Equal(float(d.rhs))), &[&d.lhs], &d.out),
            Base::Ones(d) => self.push(Op::Fill(1.0), &[], &d.out),
            Base::Zeros(d) => self.push(Op::Fill(0.0), &[], &d.out),
            Base::Cast(d) if d.input.dtype == d.out.dtype => self.push(Op::Reshape, &[&d.input], &d.out),
            _ => None,
        }
    }

    /// Comparisons of integers, which class numbers are exact in as floats.
    pub(super) fn comparison(&mut self, operation: &Base) -> Lowered {
        match operation {
            Base::Equal(d) => {
                let (x, y) = (d.lhs.shape.to_vec(), d.rhs.shape.to_vec());
                let x = self.push_new(Op::IntToFloat, vec![slot(&d.lhs)], x);
                let y = self.push_new(Op::IntToFloat, vec![slot(&d.rhs)], y);
                self.push_values(Op::Binary(Binary::Equal), vec![x, y], &d.out)
            }
            Base::EqualElem(d) => {
                let x = self.push_new(Op::IntToFloat, vec![slot(&d.lhs)], d.lhs.shape.to_vec());
                self.push_values(Op::Unary(Unary::Equal(float(d.rhs))), vec![x], &d.out)
            }
            _ => None,
        }
    }
}
