use burn_backend::{Backend, Scalar, TensorMetadata, tensor::FloatTensor};
use expanse_program::{ADAM_EPSILON, ADAM_SECOND, CLIP_EPSILON, Method, Optimizer};

/// What an optimiser remembers of a parameter.
pub(crate) struct Moments<B: Backend> {
    /// v of SGD, m of Adam.
    pub velocity: Option<FloatTensor<B>>,
    /// s of Adam.
    pub square: Option<FloatTensor<B>>,
}

impl<B: Backend> Default for Moments<B> {
    fn default() -> Self {
        Self { velocity: None, square: None }
    }
}

/// One step of all parameters.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    /// From 1.
    pub number: u64,
}

/// The parameter and its moments after a step of [`Optimizer`], whose documentation gives the formulas.
pub(crate) fn update<B: Backend>(
    Step { optimizer, learning_rate, number }: Step,
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    moments: Moments<B>,
) -> (FloatTensor<B>, Moments<B>) {
    let Optimizer { method, momentum, weight_decay, .. } = optimizer;
    let gradient = match (method, weight_decay) {
        (Method::AdamW, _) | (_, 0.0) => gradient,
        (_, decay) => B::float_add(gradient, scaled::<B>(parameter.clone(), decay)),
    };
    match method {
        Method::Sgd | Method::Nesterov => {
            let velocity = match moments.velocity {
                Some(velocity) => B::float_add(scaled::<B>(velocity, momentum), gradient.clone()),
                None => gradient.clone(),
            };
            let way = match method {
                Method::Nesterov => B::float_add(gradient, scaled::<B>(velocity.clone(), momentum)),
                _ => velocity.clone(),
            };
            let parameter = B::float_sub(parameter, scaled::<B>(way, learning_rate));
            (parameter, Moments { velocity: Some(velocity), square: None })
        }
        Method::Adam | Method::AdamW => {
            let parameter = match method {
                Method::AdamW => scaled::<B>(parameter, 1.0 - learning_rate * weight_decay),
                _ => parameter,
            };
            let squared = B::float_mul(gradient.clone(), gradient.clone());
            let mean = running::<B>(moments.velocity, gradient, momentum);
            let square = running::<B>(moments.square, squared, ADAM_SECOND);
            let whole = |beta| Optimizer::share_of_mean(beta, number);
            let deviation = scaled::<B>(B::float_sqrt(square.clone()), 1.0 / whole(ADAM_SECOND).sqrt());
            let deviation = B::float_add_scalar(deviation, Scalar::Float(ADAM_EPSILON));
            let way = B::float_div(mean.clone(), deviation);
            let parameter = B::float_sub(parameter, scaled::<B>(way, learning_rate / whole(momentum)));
            (parameter, Moments { velocity: Some(mean), square: Some(square) })
        }
    }
}

/// Scales all gradients so that the norm of them together is at most `limit`. Nothing is read from the device.
pub(crate) fn clip<B: Backend>(gradients: &mut [(String, FloatTensor<B>)], limit: f64) {
    let squares =
        gradients.iter().map(|(_, gradient)| B::float_sum(B::float_mul(gradient.clone(), gradient.clone())));
    let Some(square) = squares.reduce(B::float_add) else { return };
    let norm = B::float_add_scalar(B::float_sqrt(square), Scalar::Float(CLIP_EPSILON));
    let factor = B::float_clamp_max(scaled::<B>(B::float_recip(norm), limit), Scalar::Float(1.0));
    for (_, gradient) in gradients {
        let shape = gradient.shape();
        let ones = vec![1; shape.num_dims()];
        let factor = B::float_expand(B::float_reshape(factor.clone(), ones.into()), shape);
        *gradient = B::float_mul(gradient.clone(), factor);
    }
}

/// β · before + (1 − β) · now.
fn running<B: Backend>(before: Option<FloatTensor<B>>, now: FloatTensor<B>, beta: f64) -> FloatTensor<B> {
    let now = scaled::<B>(now, 1.0 - beta);
    match before {
        Some(before) => B::float_add(scaled::<B>(before, beta), now),
        None => now,
    }
}

fn scaled<B: Backend>(tensor: FloatTensor<B>, factor: f64) -> FloatTensor<B> {
    B::float_mul_scalar(tensor, Scalar::Float(factor))
}
