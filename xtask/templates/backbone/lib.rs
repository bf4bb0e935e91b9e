//! __NAME__: two convolutions and the mean of each channel.
//!
//! This is an example that works. Put your own network in its place, and say here where it is published.

use expanse_sdk::{
    Backbone, BackboneRequest, Error, Plugin,
    burn::{
        self,
        module::Module,
        nn::{
            BatchNorm, BatchNormConfig, PaddingConfig2d,
            conv::{Conv2d, Conv2dConfig},
        },
        tensor::{Device, Tensor, activation::relu},
    },
    options,
};

options! {
    /// Options of `__NAME__`.
    pub struct __TYPE__Options {
        /// Channels of the first layer; the embedding has twice as many values.
        #[schemars(range(min = 1, max = 1024))]
        pub width: usize = 16,
    }
}

struct __TYPE__ {
    width: usize,
}

/// The network, an ordinary burn module.
#[derive(Module, Debug)]
pub struct Network {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
}

impl Plugin for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "two convolutions and the mean of each channel";
    type Options = __TYPE__Options;

    fn new(__TYPE__Options { width }: __TYPE__Options) -> Result<Self, Error> {
        if !(1..=1024).contains(&width) {
            return Err(Error::option("width", format!("a width of {width} is not in 1 to 1024")));
        }
        Ok(Self { width })
    }
}

impl Backbone for __TYPE__ {
    type Module = Network;

    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<Network, Error> {
        let BackboneRequest { channels, height, width, .. } = *request;
        if height < 2 || width < 2 {
            let message = format!("images of {height}×{width} are too small; use at least 2×2");
            return Err(Error::input(message));
        }
        Ok(Network {
            conv1: conv3x3(channels, self.width, 1, device),
            bn1: BatchNormConfig::new(self.width).init(device),
            conv2: conv3x3(self.width, 2 * self.width, 2, device),
            bn2: BatchNormConfig::new(2 * self.width).init(device),
        })
    }

    fn forward(&self, module: &Network, images: Tensor<4>) -> Tensor<2> {
        let x = relu(module.bn1.forward(module.conv1.forward(images)));
        let x = relu(module.bn2.forward(module.conv2.forward(x)));
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

fn conv3x3(from: usize, to: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .init(device)
}

expanse_sdk::export_backbone!(__TYPE__);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedding_is_twice_as_wide_as_the_first_layer() {
        let plugin = __TYPE__::new(__TYPE__Options { width: 4 }).unwrap();
        let device = Device::flex();
        let request = BackboneRequest { batch: 2, channels: 3, height: 8, width: 8 };
        let module = plugin.module(&request, &device).unwrap();
        assert_eq!(plugin.forward(&module, Tensor::zeros([2, 3, 8, 8], &device)).dims(), [2, 8]);
    }

    #[test]
    fn what_it_cannot_serve_is_refused() {
        assert!(__TYPE__::new(__TYPE__Options { width: 0 }).is_err());
        let plugin = __TYPE__::new(__TYPE__Options::default()).unwrap();
        let tiny = BackboneRequest { batch: 1, channels: 1, height: 1, width: 9 };
        assert!(plugin.module(&tiny, &Device::flex()).is_err());
    }
}
