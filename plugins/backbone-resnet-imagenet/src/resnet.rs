//! The network itself, an ordinary burn module.

use burn::{
    module::{Initializer, Module},
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};

/// The kind of block, how many of them each stage has, and the channels of the first.
#[derive(Clone, Copy, Debug)]
pub struct ResNetConfig {
    pub block: Block,
    pub blocks: [usize; 4],
    pub width: usize,
}

/// What a stage is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3 and 1×1, the last to four times the channels.
    Bottleneck,
}

/// Four stages; each but the first halves the image and doubles the channels.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: MaxPool2d,
    layer1: Vec<Residual>,
    layer2: Vec<Residual>,
    layer3: Vec<Residual>,
    layer4: Vec<Residual>,
}

/// relu(f(x) + shortcut(x)), where f is two convolutions with batch norm, or three.
#[derive(Module, Debug)]
pub struct Residual {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl ResNetConfig {
    /// A network for images of that many channels; convolutions Kaiming-normal over the fan-out, as in torchvision.
    pub fn init(&self, channels: usize, device: &Device) -> ResNet {
        let Self { block, blocks, width } = *self;
        let mut from = width;
        let mut stage = |index: usize| {
            let inner = width << index;
            let one = |number| {
                let stride = if number == 0 && index > 0 { 2 } else { 1 };
                let (residual, to) = Residual::new(block, from, inner, stride, device);
                from = to;
                residual
            };
            (0..blocks[index]).map(one).collect()
        };
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        ResNet {
            conv1: convolution(channels, width, 7, 2, device),
            bn1: BatchNormConfig::new(width).init(device),
            maxpool: MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_padding(padding).init(),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
        }
    }
}

impl ResNet {
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`
    /// - output: `[batch, features]`, the mean of each channel of the last stage
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.maxpool.forward(relu(self.bn1.forward(self.conv1.forward(images))));
        for block in [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten() {
            x = block.forward(x);
        }
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

impl Residual {
    /// The block, and the channels of its output.
    fn new(block: Block, from: usize, inner: usize, stride: usize, device: &Device) -> (Self, usize) {
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let bottleneck = block == Block::Bottleneck;
        let to = if bottleneck { 4 * inner } else { inner };
        let (first, second) = if bottleneck { ((1, 1), stride) } else { ((3, stride), 1) };
        let downsampled = stride != 1 || from != to;
        let residual = Self {
            conv1: convolution(from, inner, first.0, first.1, device),
            bn1: norm(inner),
            conv2: convolution(inner, inner, 3, second, device),
            bn2: norm(inner),
            conv3: bottleneck.then(|| convolution(inner, to, 1, 1, device)),
            bn3: bottleneck.then(|| norm(to)),
            downsample: downsampled.then(|| (convolution(from, to, 1, stride, device), norm(to))),
        };
        (residual, to)
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.bn1.forward(self.conv1.forward(x.clone())));
        let mut y = self.bn2.forward(self.conv2.forward(y));
        if let (Some(convolution), Some(norm)) = (&self.conv3, &self.bn3) {
            y = norm.forward(convolution.forward(relu(y)));
        }
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.forward(convolution.forward(x)),
            None => x,
        };
        relu(y + shortcut)
    }
}

fn convolution(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true })
        .init(device)
}
