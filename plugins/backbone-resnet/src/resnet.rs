//! The network itself, an ordinary burn module.

use burn::{
    module::{Initializer, Module},
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};

/// Blocks in each of the three stages, and channels of the first.
#[derive(Clone, Copy, Debug)]
pub struct ResNetConfig {
    /// Blocks in each stage; the depth is 6 · blocks + 2.
    pub blocks: usize,
    /// Channels of the first stage.
    pub width: usize,
    /// What a block adds where its channels grow.
    pub shortcut: Shortcut,
}

/// How a block's input is brought to the shape of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Every second pixel, and channels of zeros, half of them before and half behind.
    A,
    /// A 1×1 convolution with batch norm.
    B,
}

/// Three stages of basic blocks; the second and third halve the image and double the channels.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
}

/// relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)).
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    /// Of option B; PyTorch calls its layers `shortcut.0` and `shortcut.1`.
    shortcut: Option<(Conv2d, BatchNorm)>,
    stride: usize,
    added_channels: usize,
}

impl ResNetConfig {
    /// A network for images of that many channels; convolutions Kaiming-normal with gain √2 over the fan-in.
    pub fn init(&self, channels: usize, device: &Device) -> ResNet {
        let Self { blocks, width, shortcut } = *self;
        let stage = |from: usize, to: usize| {
            let block = |index| match index {
                0 => BasicBlock::new(from, to, if from == to { 1 } else { 2 }, shortcut, device),
                _ => BasicBlock::new(to, to, 1, shortcut, device),
            };
            (0..blocks).map(block).collect()
        };
        ResNet {
            conv1: convolution(channels, width, 3, 1, device),
            bn1: BatchNormConfig::new(width).init(device),
            layer1: stage(width, width),
            layer2: stage(width, 2 * width),
            layer3: stage(2 * width, 4 * width),
        }
    }
}

impl ResNet {
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`
    /// - output: `[batch, 4 · width]`, the mean of each channel of the last stage
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = relu(self.bn1.forward(self.conv1.forward(images)));
        for block in self.layer1.iter().chain(&self.layer2).chain(&self.layer3) {
            x = block.forward(x);
        }
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

impl BasicBlock {
    fn new(from: usize, to: usize, stride: usize, shortcut: Shortcut, device: &Device) -> Self {
        let projected = shortcut == Shortcut::B && (stride != 1 || from != to);
        let projection = || {
            let convolution = convolution(from, to, 1, stride, device);
            (convolution, BatchNormConfig::new(to).init(device))
        };
        Self {
            conv1: convolution(from, to, 3, stride, device),
            bn1: BatchNormConfig::new(to).init(device),
            conv2: convolution(to, to, 3, 1, device),
            bn2: BatchNormConfig::new(to).init(device),
            shortcut: projected.then(projection),
            stride,
            added_channels: to - from,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.bn1.forward(self.conv1.forward(x.clone())));
        let y = self.bn2.forward(self.conv2.forward(y));
        relu(y + self.shortcut(x))
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        if let Some((convolution, norm)) = &self.shortcut {
            return norm.forward(convolution.forward(x));
        }
        if self.stride == 1 && self.added_channels == 0 {
            return x;
        }
        let x = every(x, 2, self.stride);
        let x = every(x, 3, self.stride);
        let [batch, _, height, width] = x.dims();
        let before = self.added_channels / 2;
        let zeros = |channels| Tensor::zeros([batch, channels, height, width], &x.device());
        Tensor::cat(vec![zeros(before), x.clone(), zeros(self.added_channels - before)], 1)
    }
}

/// Every `step`-th index of a dimension, from the first.
fn every(x: Tensor<4>, dim: usize, step: usize) -> Tensor<4> {
    x.slice_dim(dim, burn::tensor::s![..;step as isize])
}

/// A square kernel that keeps the size of the image but for its stride, Kaiming-normal with gain √2 over the fan-in.
fn convolution(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false })
        .init(device)
}
