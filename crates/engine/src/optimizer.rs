use burn_backend::{Backend, Scalar, tensor::FloatTensor};
use expanse_program::Optimizer;

/// The parameter and its velocity after one step of `optimizer`, whose documentation gives the formula.
pub(crate) fn update<B: Backend>(
    optimizer: Optimizer,
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    velocity: Option<FloatTensor<B>>,
    learning_rate: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let scaled = |tensor, factor| B::float_mul_scalar(tensor, Scalar::Float(factor));
    let gradient = match optimizer.weight_decay {
        0.0 => gradient,
        decay => B::float_add(gradient, scaled(parameter.clone(), decay)),
    };
    let velocity = match velocity {
        Some(velocity) => B::float_add(scaled(velocity, optimizer.momentum), gradient),
        None => gradient,
    };
    (B::float_sub(parameter, scaled(velocity.clone(), learning_rate)), velocity)
}
