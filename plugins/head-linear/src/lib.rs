//! A linear classifier: logits = embedding · Wᵀ + b.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor, module::linear},
};
use expanse_sdk::{Error, Head, HeadRequest, NoOptions, Plugin};

struct Linear;

/// The names and shapes are PyTorch's: `linear.weight` of `[classes, features]`, `linear.bias` of `[classes]`.
#[derive(Module, Debug)]
struct Classifier {
    linear: Layer,
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Plugin for Linear {
    const NAME: &'static str = "linear";
    const SUMMARY: &'static str = "one linear layer with bias, Kaiming-normal weights";
    type Options = NoOptions;

    fn new(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Head for Linear {
    type Module = Classifier;

    /// Weights Kaiming-normal with gain √2 over the fan-in, as PyTorch's `kaiming_normal_`; the bias is uniform in
    /// ±1/√features, as PyTorch's `Linear`.
    fn module(&self, request: &HeadRequest, device: &Device) -> Result<Classifier, Error> {
        let (features, classes) = (request.features, request.classes);
        let bound = 1.0 / (features as f64).sqrt();
        let weight = Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false };
        let bias = Initializer::Uniform { min: -bound, max: bound };
        Ok(Classifier {
            linear: Layer {
                weight: weight.init_with([classes, features], Some(features), Some(classes), device),
                bias: bias.init([classes], device),
            },
        })
    }

    fn forward(&self, module: &Classifier, embedding: Tensor<2>) -> Tensor<2> {
        let Layer { weight, bias } = &module.linear;
        linear(embedding, weight.val().transpose(), Some(bias.val()))
    }
}

expanse_sdk::export_head!(Linear);
