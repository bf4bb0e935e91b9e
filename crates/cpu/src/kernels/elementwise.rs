//! Element by element, with the derivatives.

use crate::graph::{Binary, Unary};

/// f(x).
pub(crate) fn unary(op: Unary, x: f32) -> f32 {
    let truth = |holds: bool| f32::from(u8::from(holds));
    match op {
        Unary::Relu => x.max(0.0),
        Unary::LeakyRelu(slope) => {
            if x > 0.0 {
                x
            } else {
                slope * x
            }
        }
        Unary::Sigmoid => sigmoid(x),
        Unary::LogSigmoid => x.min(0.0) - (-x.abs()).exp().ln_1p(),
        Unary::Tanh => x.tanh(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Power(exponent) => x.powf(exponent),
        Unary::Add(value) => x + value,
        Unary::Scale(factor) => x * factor,
        Unary::Clamp(low, high) => x.max(low).min(high),
        Unary::Greater(value) => truth(x > value),
        Unary::GreaterEqual(value) => truth(x >= value),
        Unary::Lower(value) => truth(x < value),
        Unary::LowerEqual(value) => truth(x <= value),
        Unary::Equal(value) => truth(x == value),
    }
}

/// f′, from the output where [`Unary::derivative_of_output`] says so and else from the input.
pub(crate) fn unary_derivative(op: Unary, at: f32) -> f32 {
    let where_true = |holds: bool, value: f32| if holds { value } else { 0.0 };
    match op {
        Unary::Relu => where_true(at > 0.0, 1.0),
        Unary::LeakyRelu(slope) => {
            if at > 0.0 {
                1.0
            } else {
                slope
            }
        }
        Unary::Sigmoid => at * (1.0 - at),
        Unary::LogSigmoid => sigmoid(-at),
        Unary::Tanh => 1.0 - at * at,
        Unary::Exp => at,
        Unary::Log => 1.0 / at,
        Unary::Log1p => 1.0 / (1.0 + at),
        Unary::Sqrt => 0.5 / at,
        Unary::Recip => -at * at,
        Unary::Abs => {
            if at > 0.0 {
                1.0
            } else {
                where_true(at < 0.0, -1.0)
            }
        }
        Unary::Neg => -1.0,
        Unary::Power(exponent) => exponent * at.powf(exponent - 1.0),
        Unary::Add(_) => 1.0,
        Unary::Scale(factor) => factor,
        Unary::Clamp(low, high) => where_true(at >= low && at <= high, 1.0),
        Unary::Greater(_)
        | Unary::GreaterEqual(_)
        | Unary::Lower(_)
        | Unary::LowerEqual(_)
        | Unary::Equal(_) => 0.0,
    }
}

fn sigmoid(x: f32) -> f32 {
    // Of two forms the one that does not overflow.
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// f(x, y).
pub(crate) fn binary(op: Binary, x: f32, y: f32) -> f32 {
    match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Equal => f32::from(u8::from(x == y)),
    }
}

/// ∂f/∂x for operand 0, ∂f/∂y for operand 1.
pub(crate) fn binary_derivative(op: Binary, operand: usize, x: f32, y: f32) -> f32 {
    match (op, operand) {
        (Binary::Add, _) | (Binary::Sub, 0) => 1.0,
        (Binary::Sub, _) => -1.0,
        (Binary::Mul, 0) => y,
        (Binary::Mul, _) => x,
        (Binary::Div, 0) => 1.0 / y,
        (Binary::Div, _) => -x / (y * y),
        (Binary::Equal, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_functions() {
        let ops = [
            Unary::Relu,
            Unary::LeakyRelu(0.1),
            Unary::Sigmoid,
            Unary::LogSigmoid,
            Unary::Tanh,
            Unary::Exp,
            Unary::Log,
            Unary::Log1p,
            Unary::Sqrt,
            Unary::Recip,
            Unary::Abs,
            Unary::Neg,
            Unary::Power(3.0),
            Unary::Add(2.0),
            Unary::Scale(-3.0),
            Unary::Clamp(0.2, 0.9),
        ];
        for op in ops {
            for x in [-1.7f32, -0.3, 0.4, 1.3] {
                if x < 0.0 && matches!(op, Unary::Log | Unary::Log1p | Unary::Sqrt) {
                    continue;
                }
                let step = 1e-3;
                let measured = (unary(op, x + step) - unary(op, x - step)) / (2.0 * step);
                let at = if op.derivative_of_output() { unary(op, x) } else { x };
                let found = unary_derivative(op, at);
                assert!(
                    (measured - found).abs() < 2e-3 * found.abs().max(1.0),
                    "{op:?} at {x}: {measured} {found}"
                );
            }
        }
        for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
            let (x, y, step) = (0.7, -1.2, 1e-3);
            let by_x = (binary(op, x + step, y) - binary(op, x - step, y)) / (2.0 * step);
            let by_y = (binary(op, x, y + step) - binary(op, x, y - step)) / (2.0 * step);
            assert!((by_x - binary_derivative(op, 0, x, y)).abs() < 1e-3, "{op:?}");
            assert!((by_y - binary_derivative(op, 1, x, y)).abs() < 1e-3, "{op:?}");
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(unary(Unary::Sigmoid, 200.0), 1.0);
        assert_eq!(unary(Unary::Sigmoid, -200.0), 0.0);
        assert_eq!(unary(Unary::LogSigmoid, -200.0), -200.0);
        assert_eq!(unary(Unary::LogSigmoid, 200.0), 0.0);
    }
}
