//! pooled: two blocks of convolution, gate and max pooling, and the mean of each channel.
//!
//! A small network for small images, with two operations that no shipped backbone uses: max pooling, and the gate
//! x · sigmoid(x) (Ramachandran et al., *Searching for Activation Functions*, 2017). Neither Expanse nor its backends
//! know it: it is recorded into a program, and backends have the operations.

use expanse_sdk::{
    Backbone, BackboneRequest, Error, Plugin,
    burn::{
        self,
        module::Module,
        nn::{
            BatchNorm, BatchNormConfig, PaddingConfig2d,
            conv::{Conv2d, Conv2dConfig},
            pool::{MaxPool2d, MaxPool2dConfig},
        },
        tensor::{Device, Tensor, activation::sigmoid},
    },
    options,
};

options! {
    /// Options of `pooled`.
    pub struct PooledOptions {
        /// Channels of the first block; the embedding has twice as many values.
        #[schemars(range(min = 1, max = 1024))]
        pub width: usize = 16,
    }
}

struct Pooled {
    width: usize,
}

/// Two blocks.
#[derive(Module, Debug)]
pub struct Network {
    block1: Block,
    block2: Block,
}

/// pool(gate(bn(conv(x)))): half as high and half as wide.
#[derive(Module, Debug)]
pub struct Block {
    conv: Conv2d,
    bn: BatchNorm,
    pool: MaxPool2d,
}

impl Plugin for Pooled {
    const NAME: &'static str = "pooled";
    const SUMMARY: &'static str = "two blocks of convolution, gate and max pooling, for small images";
    type Options = PooledOptions;

    fn new(PooledOptions { width }: PooledOptions) -> Result<Self, Error> {
        if !(1..=1024).contains(&width) {
            return Err(Error::option("width", format!("a width of {width} is not in 1 to 1024")));
        }
        Ok(Self { width })
    }
}

impl Backbone for Pooled {
    type Module = Network;

    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<Network, Error> {
        let BackboneRequest { channels, height, width, .. } = *request;
        if height < 4 || width < 4 {
            let message =
                format!("images of {height}×{width} are too small for pooled, which halves them twice");
            return Err(Error::input(format!("{message}; use at least 4×4")));
        }
        Ok(Network {
            block1: Block::new(channels, self.width, device),
            block2: Block::new(self.width, 2 * self.width, device),
        })
    }

    fn forward(&self, module: &Network, images: Tensor<4>) -> Tensor<2> {
        let x = module.block2.forward(module.block1.forward(images));
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

impl Block {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        let conv = Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        Self {
            conv: conv.with_bias(false).init(device),
            bn: BatchNormConfig::new(to).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pool.forward(gate(self.bn.forward(self.conv.forward(x))))
    }
}

/// x · sigmoid(x)
fn gate(x: Tensor<4>) -> Tensor<4> {
    sigmoid(x.clone()) * x
}

expanse_sdk::export_backbone!(Pooled);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_what_its_formula_says() {
        let device = Device::flex();
        let x = Tensor::<1>::from_floats([0.0, 1.0, -20.0], &device).reshape([1, 1, 1, 3]);
        let values: Vec<f32> = gate(x).into_data().try_to_vec().unwrap();
        assert_eq!(values[0], 0.0);
        assert!((values[1] - 1.0 / (1.0 + (-1f32).exp())).abs() < 1e-6);
        assert!(values[2].abs() < 1e-6);
    }

    #[test]
    fn the_embedding_is_twice_as_wide_as_the_first_block() {
        let plugin = Pooled::new(PooledOptions { width: 4 }).unwrap();
        let device = Device::flex();
        let request = BackboneRequest { batch: 2, channels: 3, height: 9, width: 8 };
        let module = plugin.module(&request, &device).unwrap();
        assert_eq!(plugin.forward(&module, Tensor::zeros([2, 3, 9, 8], &device)).dims(), [2, 8]);
        assert!(plugin.module(&BackboneRequest { height: 3, ..request }, &device).is_err());
    }
}
