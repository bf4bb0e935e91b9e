//! Wide ResNet of depth 6n + 4: three stages of pre-activated blocks with k times the channels, and dropout between the
//! convolutions of a block.
//!
//! Source: Zagoruyko, Komodakis, *Wide Residual Networks* (BMVC 2016).

mod wide_resnet;

use burn::tensor::{Device, Tensor};
use expanse_sdk::{Backbone, BackboneRequest, Error, Plugin, options};
use wide_resnet::{WideResNet, WideResNetConfig};

options! {
    /// Options of `wide-resnet`.
    pub struct WideResNetOptions {
        /// Number of layers, 6n + 4: 10, 16, 22, 28, 40 …
        #[schemars(range(min = 10, max = 1204))]
        pub depth: usize = 16,
        /// Factor k of the channels, which are 16k, 32k and 64k; the embedding has 64k values.
        #[schemars(range(min = 1, max = 64))]
        pub widen: usize = 2,
        /// Channels of the first convolution, and of the first stage before they are widened.
        #[schemars(range(min = 1, max = 1024))]
        pub width: usize = 16,
        /// Share of the values between a block's convolutions that training sets to 0, in [0, 1).
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        pub dropout: f64 = 0.0,
    }
}

struct WideResNetPlugin(WideResNetConfig);

impl Plugin for WideResNetPlugin {
    const NAME: &'static str = "wide-resnet";
    const SUMMARY: &'static str =
        "Wide ResNet for small images, depth 6n + 4, with dropout (Zagoruyko and Komodakis 2016)";
    type Options = WideResNetOptions;

    fn new(options: WideResNetOptions) -> Result<Self, Error> {
        let WideResNetOptions { depth, widen, width, dropout } = options;
        if !(10..=1204).contains(&depth) || depth % 6 != 4 {
            let message = format!("a depth of {depth} is not 6n + 4; use 10, 16, 22, 28 or 40");
            return Err(Error::option("depth", message));
        }
        if !(1..=64).contains(&widen) {
            return Err(Error::option("widen", format!("a widen of {widen} is not in 1 to 64")));
        }
        if !(1..=1024).contains(&width) {
            return Err(Error::option("width", format!("a width of {width} is not in 1 to 1024")));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::option("dropout", format!("a dropout of {dropout} is not in [0, 1)")));
        }
        Ok(Self(WideResNetConfig { blocks: (depth - 4) / 6, widen, width, dropout }))
    }
}

impl Backbone for WideResNetPlugin {
    type Module = WideResNet;

    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<WideResNet, Error> {
        let BackboneRequest { channels, height, width, .. } = *request;
        if height < 4 || width < 4 {
            let message = format!("images of {height}×{width} are too small, which are halved twice");
            return Err(Error::input(format!("{message}; use at least 4×4")));
        }
        Ok(self.0.init(channels, device))
    }

    fn forward(&self, module: &WideResNet, images: Tensor<4>) -> Tensor<2> {
        module.forward(images)
    }

    fn usual_names(&self) -> &[(&str, &str)] {
        &[("linear", "fc"), ("shortcut", "convShortcut")]
    }
}

expanse_sdk::export_backbone!(WideResNetPlugin);
