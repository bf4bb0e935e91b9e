//! ResNet-18, 34 and 50 for photographs: a 7×7 convolution and a pooling that reduce the image four times, and then four
//! stages of blocks.
//!
//! Source: He, Zhang, Ren, Sun, *Deep Residual Learning for Image Recognition* (CVPR 2016), table 1; the stride of a
//! bottleneck is that of its 3×3 convolution, as in torchvision, whose parameter names these are.

mod resnet;

use burn::tensor::{Device, Tensor};
use expanse_sdk::{Backbone, BackboneRequest, Error, Plugin, options};
use resnet::{Block, ResNet, ResNetConfig};

options! {
    /// Options of `resnet-imagenet`.
    pub struct ResNetOptions {
        /// Number of layers.
        #[schemars(extend("enum" = [18, 34, 50]))]
        pub depth: usize = 18,
        /// Channels of the first stage; the embedding has 8 times as many values, 32 times with depth 50.
        #[schemars(range(min = 1, max = 1024))]
        pub width: usize = 64,
    }
}

struct ResNetPlugin(ResNetConfig);

impl Plugin for ResNetPlugin {
    const NAME: &'static str = "resnet-imagenet";
    const SUMMARY: &'static str =
        "ResNet-18, 34 and 50 for photographs, as torchvision has them (He et al. 2016)";
    type Options = ResNetOptions;

    fn new(ResNetOptions { depth, width }: ResNetOptions) -> Result<Self, Error> {
        let (block, blocks) = match depth {
            18 => (Block::Basic, [2, 2, 2, 2]),
            34 => (Block::Basic, [3, 4, 6, 3]),
            50 => (Block::Bottleneck, [3, 4, 6, 3]),
            _ => {
                let message = format!("a depth of {depth} is not there; use 18, 34 or 50");
                return Err(Error::option("depth", message));
            }
        };
        if !(1..=1024).contains(&width) {
            return Err(Error::option("width", format!("a width of {width} is not in 1 to 1024")));
        }
        Ok(Self(ResNetConfig { block, blocks, width }))
    }
}

impl Backbone for ResNetPlugin {
    type Module = ResNet;

    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<ResNet, Error> {
        let BackboneRequest { channels, height, width, .. } = *request;
        if height <= 32 || width <= 32 {
            let message = format!("images of {height}×{width} would end as one pixel, halved five times");
            return Err(Error::input(format!("{message}; use at least 33×33, or the backbone `resnet`")));
        }
        Ok(self.0.init(channels, device))
    }

    fn forward(&self, module: &ResNet, images: Tensor<4>) -> Tensor<2> {
        module.forward(images)
    }

    fn usual_names(&self) -> &[(&str, &str)] {
        &[("linear", "fc")]
    }
}

expanse_sdk::export_backbone!(ResNetPlugin);
