//! Cosines of an embedding and a direction of each class: logits = s · (x / ‖x‖) · (W / ‖W‖)ᵀ, row by row, no bias.
//!
//! Source: the head of Cao, Wei, Gaidon, Arechiga, Ma, *Learning Imbalanced Datasets with Label-Distribution-Aware
//! Margin Loss* (NeurIPS 2019).

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor, module::linear},
};
use expanse_sdk::{Error, Head, HeadRequest, Meaning, Plugin, options};

options! {
    /// Options of `cosine`.
    pub struct CosineOptions {
        /// Factor s of the cosines; 1 for losses that scale them, such as `ldam`, otherwise 10 to 30.
        #[schemars(range(min = 1.0, max = 1000.0))]
        pub scale: f64 = 1.0,
    }
}

struct Cosine {
    scale: f64,
}

/// The names and shapes are PyTorch's: `linear.weight` of `[classes, features]`.
#[derive(Module, Debug)]
struct Classifier {
    linear: Layer,
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
}

/// The smallest squared length that is divided by, as in PyTorch's `normalize`: that of zeros has no direction.
const LEAST: f64 = 1e-24;

impl Plugin for Cosine {
    const NAME: &'static str = "cosine";
    const SUMMARY: &'static str =
        "cosines of embeddings and class directions, without bias (Cao et al. 2019)";
    type Options = CosineOptions;

    fn new(CosineOptions { scale }: CosineOptions) -> Result<Self, Error> {
        if !(1.0..=1000.0).contains(&scale) {
            return Err(Error::option("scale", format!("a scale of {scale} is not in [1, 1000]")));
        }
        Ok(Self { scale })
    }
}

impl Head for Cosine {
    type Module = Classifier;

    /// Directions uniform over the sphere.
    fn module(&self, request: &HeadRequest, device: &Device) -> Result<Classifier, Error> {
        let weight = Initializer::Normal { mean: 0.0, std: 1.0 };
        Ok(Classifier { linear: Layer { weight: weight.init([request.classes, request.features], device) } })
    }

    fn forward(&self, module: &Classifier, embedding: Tensor<2>) -> Tensor<2> {
        let weight = directions(module.linear.weight.val());
        let cosines = linear(directions(embedding), weight.transpose(), None);
        if self.scale == 1.0 { cosines } else { cosines * self.scale }
    }

    fn gives(&self) -> Option<Meaning> {
        (self.scale == 1.0).then(|| Meaning::cosines(""))
    }
}

/// x / max(‖x‖, ε) for every row x.
fn directions(rows: Tensor<2>) -> Tensor<2> {
    let squares = (rows.clone() * rows.clone()).sum_dim(1);
    rows / squares.clamp_min(LEAST).sqrt()
}

expanse_sdk::export_head!(Cosine);
