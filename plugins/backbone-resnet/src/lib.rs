//! ResNet for small images, of depth 6n + 2, with shortcuts of option A or B.
//!
//! Source: He, Zhang, Ren, Sun, *Deep Residual Learning for Image Recognition* (CVPR 2016), section 4.2.

mod resnet;

use burn::tensor::{Device, Tensor};
use expanse_sdk::{Backbone, BackboneRequest, Error, Plugin, options};
use resnet::{ResNet, ResNetConfig, Shortcut};

options! {
    /// Options of `resnet`.
    pub struct ResNetOptions {
        /// Number of layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110 …
        #[schemars(range(min = 8, max = 1202))]
        pub depth: usize = 32,
        /// Channels of the first stage; the embedding has four times as many values.
        #[schemars(range(min = 1, max = 1024))]
        pub width: usize = 16,
        /// The shortcut where channels grow: "A" (zeros for the new channels) or "B" (a 1×1 convolution with batch norm).
        #[schemars(extend("enum" = ["A", "B"]))]
        pub shortcut: String = "A".into(),
    }
}

struct ResNetPlugin(ResNetConfig);

impl Plugin for ResNetPlugin {
    const NAME: &'static str = "resnet";
    const SUMMARY: &'static str =
        "ResNet for small images, depth 6n + 2, shortcuts of option A or B (He et al. 2016)";
    type Options = ResNetOptions;

    fn new(ResNetOptions { depth, width, shortcut }: ResNetOptions) -> Result<Self, Error> {
        if !(8..=1202).contains(&depth) || depth % 6 != 2 {
            let message = format!("a depth of {depth} is not 6n + 2; use 8, 14, 20, 32, 44, 56 or 110");
            return Err(Error::option("depth", message));
        }
        if !(1..=1024).contains(&width) {
            return Err(Error::option("width", format!("a width of {width} is not in 1 to 1024")));
        }
        let shortcut = match shortcut.as_str() {
            "A" => Shortcut::A,
            "B" => Shortcut::B,
            other => {
                return Err(Error::option(
                    "shortcut",
                    format!("a shortcut `{other}` is not there; use A or B"),
                ));
            }
        };
        Ok(Self(ResNetConfig { blocks: (depth - 2) / 6, width, shortcut }))
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
