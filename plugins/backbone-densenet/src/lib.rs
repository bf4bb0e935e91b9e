//! DenseNet-BC of depth 6n + 4 for small images: three stages in which every layer sees what all before it have made,
//! with bottlenecks, and transitions that keep half of the channels.
//!
//! Source: Huang, Liu, van der Maaten, Weinberger, *Densely Connected Convolutional Networks* (CVPR 2017).

mod densenet;

use burn::tensor::{Device, Tensor};
use densenet::{DenseNet, DenseNetConfig};
use expanse_sdk::{Backbone, BackboneRequest, Error, Plugin, options};

options! {
    /// Options of `densenet`.
    pub struct DenseNetOptions {
        /// Number of layers, 6n + 4: 40, 100, 190, 250 …
        #[schemars(range(min = 10, max = 1204))]
        pub depth: usize = 40,
        /// Channels k that each layer adds; the first convolution makes 2k.
        #[schemars(range(min = 1, max = 256))]
        pub growth: usize = 12,
    }
}

struct DenseNetPlugin(DenseNetConfig);

impl Plugin for DenseNetPlugin {
    const NAME: &'static str = "densenet";
    const SUMMARY: &'static str = "DenseNet-BC for small images, depth 6n + 4 (Huang et al. 2017)";
    type Options = DenseNetOptions;

    fn new(DenseNetOptions { depth, growth }: DenseNetOptions) -> Result<Self, Error> {
        if !(10..=1204).contains(&depth) || depth % 6 != 4 {
            let message = format!("a depth of {depth} is not 6n + 4; use 40, 100, 190 or 250");
            return Err(Error::option("depth", message));
        }
        if !(1..=256).contains(&growth) {
            return Err(Error::option("growth", format!("a growth of {growth} is not in 1 to 256")));
        }
        Ok(Self(DenseNetConfig { layers: (depth - 4) / 6, growth }))
    }
}

impl Backbone for DenseNetPlugin {
    type Module = DenseNet;

    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<DenseNet, Error> {
        let BackboneRequest { channels, height, width, .. } = *request;
        if height < 4 || width < 4 {
            let message = format!("images of {height}×{width} are too small, which are halved twice");
            return Err(Error::input(format!("{message}; use at least 4×4")));
        }
        Ok(self.0.init(channels, device))
    }

    fn forward(&self, module: &DenseNet, images: Tensor<4>) -> Tensor<2> {
        module.forward(images)
    }

    fn usual_names(&self) -> &[(&str, &str)] {
        &[("linear", "fc")]
    }
}

expanse_sdk::export_backbone!(DenseNetPlugin);
