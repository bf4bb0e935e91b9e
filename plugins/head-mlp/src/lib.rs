//! A classifier with one hidden layer: logits = relu(x · W₁ᵀ + b₁) · W₂ᵀ + b₂.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor, activation::relu, module::linear},
};
use expanse_sdk::{Error, Head, HeadRequest, Plugin, options};

options! {
    /// Options of `mlp`.
    pub struct MlpOptions {
        /// Values of the hidden layer.
        #[schemars(range(min = 1, max = 65536))]
        pub hidden: usize = 128,
    }
}

struct Mlp {
    hidden: usize,
}

/// The names and shapes are PyTorch's: `fc1.weight` of `[hidden, features]`, `fc2.weight` of `[classes, hidden]`.
#[derive(Module, Debug)]
struct Classifier {
    fc1: Layer,
    fc2: Layer,
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Plugin for Mlp {
    const NAME: &'static str = "mlp";
    const SUMMARY: &'static str = "two linear layers with ReLU between them, Kaiming-normal weights";
    type Options = MlpOptions;

    fn new(MlpOptions { hidden }: MlpOptions) -> Result<Self, Error> {
        if !(1..=65536).contains(&hidden) {
            let message = format!("a hidden layer of {hidden} values is not in 1 to 65536");
            return Err(Error::option("hidden", message));
        }
        Ok(Self { hidden })
    }
}

impl Head for Mlp {
    type Module = Classifier;

    fn module(&self, request: &HeadRequest, device: &Device) -> Result<Classifier, Error> {
        Ok(Classifier {
            fc1: Layer::new(request.features, self.hidden, device),
            fc2: Layer::new(self.hidden, request.classes, device),
        })
    }

    fn forward(&self, module: &Classifier, embedding: Tensor<2>) -> Tensor<2> {
        module.fc2.forward(relu(module.fc1.forward(embedding)))
    }
}

impl Layer {
    /// Weights Kaiming-normal with gain √2 over the fan-in, the bias uniform in ±1/√from, as PyTorch's `Linear`.
    fn new(from: usize, to: usize, device: &Device) -> Self {
        let bound = 1.0 / (from as f64).sqrt();
        let weight = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false };
        let bias = Initializer::Uniform { min: -bound, max: bound };
        Self {
            weight: weight.init_with([to, from], Some(from), Some(to), device),
            bias: bias.init([to], device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, self.weight.val().transpose(), Some(self.bias.val()))
    }
}

expanse_sdk::export_head!(Mlp);
