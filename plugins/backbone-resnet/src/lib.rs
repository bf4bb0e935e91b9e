//! ResNet for small images, of depth 6n + 2, with parameter-free shortcuts.
//!
//! Source: He, Zhang, Ren, Sun, *Deep Residual Learning for Image Recognition* (CVPR 2016), section 4.2.

mod resnet;

use burn::tensor::{Device, Tensor};
use expanse_sdk::{Backbone, BackboneRequest, Error, Plugin, options};
use resnet::{ResNet, ResNetConfig};

options! {
    /// Options of `resnet`.
    pub struct ResNetOptions {
        /// Number of layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110 …
        #[schemars(range(min = 8, max = 1202))]
        pub depth: usize = 32,
        /// Channels of the first stage; the embedding has four times as many values.
        #[schemars(range(min = 1, max = 1024))]
        pub width: usize = 16,
    }
}

struct ResNetPlugin(ResNetConfig);

impl Plugin for ResNetPlugin {
    const NAME: &'static str = "resnet";
    const SUMMARY: &'static str =
        "ResNet for small images, depth 6n + 2, option A shortcuts (He et al. 2016)";
    type Options = ResNetOptions;

    fn new(ResNetOptions { depth, width }: ResNetOptions) -> Result<Self, Error> {
        if !(8..=1202).contains(&depth) || depth % 6 != 2 {
            let message = format!("a depth of {depth} is not 6n + 2; use 8, 14, 20, 32, 44, 56 or 110");
            return Err(Error::option("depth", message));
        }
        if !(1..=1024).contains(&width) {
            return Err(Error::option("width", format!("a width of {width} is not in 1 to 1024")));
        }
        Ok(Self(ResNetConfig { blocks: (depth - 2) / 6, width }))
    }
}

impl Backbone for ResNetPlugin {
    type Module = ResNet;

    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<ResNet, Error> {
        let BackboneRequest { channels, height, width, .. } = *request;
        if height < 4 || width < 4 {
            let message =
                format!("images of {height}×{width} are too small for resnet, which halves them twice");
            return Err(Error::input(format!("{message}; use at least 4×4")));
        }
        Ok(self.0.init(channels, device))
    }

    fn forward(&self, module: &ResNet, images: Tensor<4>) -> Tensor<2> {
        module.forward(images)
    }
}

expanse_sdk::export_backbone!(ResNetPlugin);
