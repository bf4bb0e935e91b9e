//! What stands around a plugin while it is checked in its own crate: the smallest head and loss, and burn's CPU.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Int, Tensor, activation::log_softmax, module::linear},
};
use expanse_abi::{Fallible, PluginError};
use expanse_conformance::References;
use expanse_host::{HostError, Kind, backend_of, recorder_of};
use expanse_program::{HeadRequest, LossRequest};

use crate::{Backend, Error, Head, Host, Loss, NoOptions, Plugin, export::Member};

/// The references of this process.
pub(super) fn references() -> Result<References, HostError> {
    let (flex, head, loss) =
        (Member::backend::<Flex>(), Member::head::<Linear>(), Member::loss::<CrossEntropy>());
    Ok(References {
        backend: Some(backend_of("flex", opened(Kind::Backend, flex.open("{}"))?)),
        backbone: None,
        head: Some(recorder_of(Kind::Head, "linear", opened(Kind::Head, head.open("{}"))?)),
        loss: Some(recorder_of(Kind::Loss, "cross-entropy", opened(Kind::Loss, loss.open("{}"))?)),
    })
}

fn opened<T>(kind: Kind, opened: Fallible<T>) -> Result<T, HostError> {
    opened.into_result().map_err(|PluginError { message, .. }| HostError::Plugin {
        kind,
        name: "reference".into(),
        message: message.into(),
    })
}

macro_rules! reference {
    ($type:ident, $name:literal) => {
        struct $type;

        impl Plugin for $type {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = "a reference of the conformance kit";
            type Options = NoOptions;

            fn new(_: NoOptions) -> Result<Self, Error> {
                Ok(Self)
            }
        }
    };
}

reference!(Flex, "flex");
reference!(Linear, "linear");
reference!(CrossEntropy, "cross-entropy");

impl Backend for Flex {
    type Burn = burn::backend::Flex;

    fn device(&self, _: &Host) -> Result<crate::Device<Self::Burn>, Error> {
        Ok(crate::Device { burn: Default::default(), name: "CPU (burn-flex)".into() })
    }
}

/// logits = embedding · Wᵀ, without bias.
#[derive(Module, Debug)]
struct Weight {
    reference: Param<Tensor<2>>,
}

impl Head for Linear {
    type Module = Weight;

    fn module(&self, request: &HeadRequest, device: &Device) -> Result<Weight, Error> {
        let std = 1.0 / (request.features as f64).sqrt();
        let reference = Initializer::Normal { mean: 0.0, std };
        Ok(Weight { reference: reference.init([request.classes, request.features], device) })
    }

    fn forward(&self, module: &Weight, embedding: Tensor<2>) -> Tensor<2> {
        linear(embedding, module.reference.val().transpose(), None)
    }
}

/// −log of the target's probability, the mean weighted by class.
impl Loss for CrossEntropy {
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error> {
        let rows = targets.clone().reshape([request.batch, 1]);
        let target = log_softmax(logits, 1).gather(1, rows).reshape([request.batch]);
        let weights = class_weights.select(0, targets);
        Ok((target.neg() * weights.clone()).sum() / weights.sum())
    }
}
