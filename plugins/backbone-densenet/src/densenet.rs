//! The network itself, an ordinary burn module.

use burn::{
    module::{Initializer, Module},
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        pool::{AvgPool2d, AvgPool2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};

/// Layers in each stage, and the channels that each adds.
#[derive(Clone, Copy, Debug)]
pub struct DenseNetConfig {
    pub layers: usize,
    pub growth: usize,
}

/// Three stages with transitions between them.
#[derive(Module, Debug)]
pub struct DenseNet {
    conv1: Conv2d,
    block1: Stage,
    trans1: Transition,
    block2: Stage,
    trans2: Transition,
    block3: Stage,
    bn1: BatchNorm,
}

/// PyTorch's common implementation calls the layers of a stage its `layer`.
#[derive(Module, Debug)]
pub struct Stage {
    layer: Vec<Layer>,
}

/// x with conv3×3(relu(bn(conv1×1(relu(bn(x)))))) behind it.
#[derive(Module, Debug)]
pub struct Layer {
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: BatchNorm,
    conv2: Conv2d,
}

/// conv1×1(relu(bn(x))) to half of the channels, and the mean of every 2×2 pixels.
#[derive(Module, Debug)]
pub struct Transition {
    bn1: BatchNorm,
    conv1: Conv2d,
    pool: AvgPool2d,
}

impl DenseNetConfig {
    /// A network for images of that many channels; convolutions Kaiming-normal with gain √2 over the fan-in.
    pub fn init(&self, channels: usize, device: &Device) -> DenseNet {
        let Self { layers, growth } = *self;
        let stage = |from: usize| {
            let layer = |index| Layer::new(from + index * growth, growth, device);
            (Stage { layer: (0..layers).map(layer).collect() }, from + layers * growth)
        };
        let first = 2 * growth;
        let (block1, width1) = stage(first);
        let (block2, width2) = stage(width1 / 2);
        let (block3, width3) = stage(width2 / 2);
        DenseNet {
            conv1: convolution(channels, first, 3, device),
            block1,
            trans1: Transition::new(width1, device),
            block2,
            trans2: Transition::new(width2, device),
            block3,
            bn1: BatchNormConfig::new(width3).init(device),
        }
    }
}

impl DenseNet {
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`
    /// - output: `[batch, features]`, the mean of each channel of the last stage
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.block1.forward(self.conv1.forward(images));
        let x = self.block2.forward(self.trans1.forward(x));
        let x = self.block3.forward(self.trans2.forward(x));
        let x = relu(self.bn1.forward(x));
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.layer.iter().fold(x, |x, layer| layer.forward(x))
    }
}

impl Layer {
    fn new(from: usize, growth: usize, device: &Device) -> Self {
        let inner = 4 * growth;
        Self {
            bn1: BatchNormConfig::new(from).init(device),
            conv1: convolution(from, inner, 1, device),
            bn2: BatchNormConfig::new(inner).init(device),
            conv2: convolution(inner, growth, 3, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.conv1.forward(relu(self.bn1.forward(x.clone())));
        let y = self.conv2.forward(relu(self.bn2.forward(y)));
        Tensor::cat(vec![x, y], 1)
    }
}

impl Transition {
    fn new(from: usize, device: &Device) -> Self {
        Self {
            bn1: BatchNormConfig::new(from).init(device),
            conv1: convolution(from, from / 2, 1, device),
            pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pool.forward(self.conv1.forward(relu(self.bn1.forward(x))))
    }
}

fn convolution(from: usize, to: usize, kernel: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false })
        .init(device)
}
