//! __NAME__: a hidden layer before the linear one.
//!
//! This is an example that works. Put your own head in its place.

use expanse_sdk::{
    Error, Head, HeadRequest, Plugin,
    burn::{
        self,
        module::Module,
        nn::{Linear, LinearConfig},
        tensor::{Device, Tensor, activation::relu},
    },
    options,
};

options! {
    /// Options of `__NAME__`.
    pub struct __TYPE__Options {
        /// Values of the hidden layer.
        #[schemars(range(min = 1, max = 4096))]
        pub hidden: usize = 64,
    }
}

struct __TYPE__ {
    hidden: usize,
}

/// The two layers, an ordinary burn module.
#[derive(Module, Debug)]
pub struct Layers {
    hidden: Linear,
    linear: Linear,
}

impl Plugin for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "a hidden layer before the linear one";
    type Options = __TYPE__Options;

    fn new(__TYPE__Options { hidden }: __TYPE__Options) -> Result<Self, Error> {
        if !(1..=4096).contains(&hidden) {
            let message = format!("a hidden layer of {hidden} is not in 1 to 4096");
            return Err(Error::option("hidden", message));
        }
        Ok(Self { hidden })
    }
}

impl Head for __TYPE__ {
    type Module = Layers;

    fn module(&self, request: &HeadRequest, device: &Device) -> Result<Layers, Error> {
        Ok(Layers {
            hidden: LinearConfig::new(request.features, self.hidden).init(device),
            linear: LinearConfig::new(self.hidden, request.classes).init(device),
        })
    }

    fn forward(&self, module: &Layers, embedding: Tensor<2>) -> Tensor<2> {
        module.linear.forward(relu(module.hidden.forward(embedding)))
    }
}

expanse_sdk::export_head!(__TYPE__);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_logit_for_each_class() {
        let plugin = __TYPE__::new(__TYPE__Options::default()).unwrap();
        let device = Device::flex();
        let request = HeadRequest { batch: 2, features: 5, classes: 3 };
        let module = plugin.module(&request, &device).unwrap();
        assert_eq!(plugin.forward(&module, Tensor::zeros([2, 5], &device)).dims(), [2, 3]);
        assert!(__TYPE__::new(__TYPE__Options { hidden: 0 }).is_err());
    }
}
