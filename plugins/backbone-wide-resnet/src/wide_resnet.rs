//! The network itself, an ordinary burn module.

use burn::{
    module::{Initializer, Module},
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};
use expanse_sdk::dropout;

/// Blocks in each stage, the factor of the channels, the channels before it, and the share that is dropped.
#[derive(Clone, Copy, Debug)]
pub struct WideResNetConfig {
    pub blocks: usize,
    pub widen: usize,
    pub width: usize,
    pub dropout: f64,
}

/// Three stages; the second and third halve the image and double the channels.
#[derive(Module, Debug)]
pub struct WideResNet {
    conv1: Conv2d,
    block1: Stage,
    block2: Stage,
    block3: Stage,
    bn1: BatchNorm,
}

/// PyTorch's common implementation calls the blocks of a stage its `layer`.
#[derive(Module, Debug)]
pub struct Stage {
    layer: Vec<Block>,
}

/// conv(dropout(relu(bn(conv(relu(bn(x))))))) + shortcut(x).
#[derive(Module, Debug)]
pub struct Block {
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: BatchNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
    dropout: f64,
}

impl WideResNetConfig {
    /// A network for images of that many channels; convolutions Kaiming-normal with gain √2 over the fan-in.
    pub fn init(&self, channels: usize, device: &Device) -> WideResNet {
        let Self { blocks, widen, width, dropout } = *self;
        let wide = width * widen;
        let stage = |from: usize, to: usize, stride: usize| {
            let block = |index| match index {
                0 => Block::new(from, to, stride, dropout, device),
                _ => Block::new(to, to, 1, dropout, device),
            };
            Stage { layer: (0..blocks).map(block).collect() }
        };
        WideResNet {
            conv1: convolution(channels, width, 3, 1, device),
            block1: stage(width, wide, 1),
            block2: stage(wide, 2 * wide, 2),
            block3: stage(2 * wide, 4 * wide, 2),
            bn1: BatchNormConfig::new(4 * wide).init(device),
        }
    }
}

impl WideResNet {
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`
    /// - output: `[batch, 4 · width · widen]`, the mean of each channel of the last stage
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.conv1.forward(images);
        for stage in [&self.block1, &self.block2, &self.block3] {
            for block in &stage.layer {
                x = block.forward(x);
            }
        }
        let x = relu(self.bn1.forward(x));
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

impl Block {
    fn new(from: usize, to: usize, stride: usize, dropout: f64, device: &Device) -> Self {
        Self {
            bn1: BatchNormConfig::new(from).init(device),
            conv1: convolution(from, to, 3, stride, device),
            bn2: BatchNormConfig::new(to).init(device),
            conv2: convolution(to, to, 3, 1, device),
            shortcut: (from != to).then(|| convolution(from, to, 1, stride, device)),
            dropout,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = relu(self.bn1.forward(x.clone()));
        // A convolution on the way takes what is activated already, for both ways.
        let shortcut = match &self.shortcut {
            Some(convolution) => convolution.forward(activated.clone()),
            None => x,
        };
        let y = relu(self.bn2.forward(self.conv1.forward(activated)));
        self.conv2.forward(dropout(y, self.dropout)) + shortcut
    }
}

fn convolution(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: false })
        .init(device)
}
