//! The shipped model as an ordinary burn module, run by burn itself: what recording and replay must equal.

use std::{any::Any, collections::HashMap};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{
        Device, Gradients, Int, Tensor, TensorData, activation::log_softmax, module::linear as linear_layer,
    },
};
use expanse_program::NamedTensor;

use crate::model::{Batch, Model};

#[path = "../../plugins/backbone-resnet/src/resnet.rs"]
mod resnet;

use resnet::{ResNet, ResNetConfig, Shortcut};

/// Backbone and head on burn's `flex` device with autodiff.
pub struct Eager {
    backbone: ResNet,
    head: Classifier,
    device: Device,
    velocities: Velocities,
}

/// The optimiser's velocities by the name of their parameter, each a tensor of the parameter's rank.
type Velocities = HashMap<String, Box<dyn Any>>;

#[derive(Module, Debug)]
struct Classifier {
    linear: Linear,
}

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Eager {
    /// The model with the given values of its parameters.
    ///
    /// # Panics
    ///
    /// If a parameter has no value.
    pub fn new(model: &Model, values: &[NamedTensor]) -> Self {
        let device = Device::flex().autodiff();
        let config = ResNetConfig { blocks: (model.depth - 2) / 6, width: 16, shortcut: Shortcut::A };
        let weight = Param::from_tensor(Tensor::zeros([model.classes, 64], &device));
        let bias = Param::from_tensor(Tensor::zeros([model.classes], &device));
        let head = Classifier { linear: Linear { weight, bias } };
        let mut load = Load { names: Names::default(), values, device: device.clone() };
        let backbone = config.init(model.image[0], &device).map(&mut load);
        Self { backbone, head: head.map(&mut load), device, velocities: HashMap::new() }
    }

    /// The loss of a batch in training form.
    ///
    /// Formula and operations are those of the plugin `cross-entropy`.
    pub fn loss(&self, batch: &Batch) -> Tensor<1> {
        let rows = batch.targets.len();
        let data = TensorData::new(batch.targets.clone(), [rows]);
        let targets = Tensor::<1, Int>::from_data(data, &self.device);
        let data = TensorData::new(batch.class_weights.clone(), [batch.class_weights.len()]);
        let class_weights = Tensor::<1>::from_data(data, &self.device);

        let logits = logits(&self.backbone, &self.head, batch, &self.device);
        let log_probabilities = log_softmax(logits, 1);
        let target = log_probabilities.gather(1, targets.clone().reshape([rows, 1])).reshape([rows]);
        let weights = class_weights.select(0, targets);
        (target.neg() * weights.clone()).sum() / weights.sum()
    }

    /// The logits of a batch in evaluation form.
    pub fn logits(&self, batch: &Batch) -> Vec<f32> {
        let (backbone, head) = (self.backbone.valid(), self.head.valid());
        values(logits(&backbone, &head, batch, &Device::flex()))
    }

    /// The gradient of every trainable parameter, sorted by name, under its PyTorch name.
    pub fn gradients(&self, loss: &Tensor<1>) -> Vec<NamedTensor> {
        let gradients = loss.backward();
        self.tensors(&mut Gradient(&gradients))
    }

    /// Mean and variance, as burn's batch norm keeps them: the variance moves by that of the batch without
    /// Bessel's correction.
    pub fn running_statistics(&self) -> Vec<NamedTensor> {
        // What the last batch has left is taken over where the module changes its form.
        let (backbone, head) = (self.backbone.valid().train(), self.head.valid().train());
        let mut tensors = Vec::new();
        collect(&backbone, &mut RunningStatistics, &mut tensors);
        collect(&head, &mut RunningStatistics, &mut tensors);
        tensors
    }

    /// One training step as a session takes it; answers the loss.
    pub fn step(&mut self, batch: &Batch, learning_rate: f64, momentum: f64, weight_decay: f64) -> f32 {
        let loss = self.loss(batch);
        let gradients = loss.backward();
        let velocities = std::mem::take(&mut self.velocities);
        let names = Names::default();
        let mut descent = Descent { names, gradients, velocities, learning_rate, momentum, weight_decay };
        self.backbone = self.backbone.clone().map(&mut descent);
        self.head = self.head.clone().map(&mut descent);
        self.velocities = descent.velocities;
        values(loss)[0]
    }

    fn tensors(&self, select: &mut impl Select) -> Vec<NamedTensor> {
        let mut tensors = Vec::new();
        collect(&self.backbone, select, &mut tensors);
        collect(&self.head, select, &mut tensors);
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    }
}

/// # Shapes
///
/// - output: `[batch, classes]`
fn logits(backbone: &ResNet, head: &Classifier, batch: &Batch, device: &Device) -> Tensor<2> {
    let images = TensorData::new(batch.images.clone(), batch.image_shape);
    let embedding = backbone.forward(Tensor::from_data(images, device));
    let Linear { weight, bias } = &head.linear;
    linear_layer(embedding, weight.val().transpose(), Some(bias.val()))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("the model computes in f32")
}

/// Follows the path of a module to PyTorch's name of a parameter.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn enter(&mut self, name: &str, container: &str) {
        let name = match name {
            "gamma" if container.contains("Norm") => "weight",
            "beta" if container.contains("Norm") => "bias",
            name => name,
        };
        self.0.push(name.into());
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Which tensor is wanted of a parameter, if any.
trait Select {
    fn select<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>>;
}

struct Gradient<'a>(&'a Gradients);

impl Select for Gradient<'_> {
    fn select<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        param.val().grad(self.0)
    }
}

struct RunningStatistics;

impl Select for RunningStatistics {
    fn select<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        (!param.is_require_grad()).then(|| param.val())
    }
}

fn collect(module: &impl Module, select: &mut impl Select, tensors: &mut Vec<NamedTensor>) {
    struct Collect<'a, S> {
        names: Names,
        select: &'a mut S,
        tensors: &'a mut Vec<NamedTensor>,
    }

    impl<S: Select> ModuleVisitor for Collect<'_, S> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.names.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.names.0.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(tensor) = self.select.select(param) {
                let shape = tensor.dims().to_vec();
                self.tensors.push(NamedTensor { name: self.names.name(), shape, values: values(tensor) });
            }
        }
    }

    module.visit(&mut Collect { names: Names::default(), select, tensors });
}

/// Gives every parameter its value.
struct Load<'a> {
    names: Names,
    values: &'a [NamedTensor],
    device: Device,
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.names.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.names.name();
        let value = self.values.iter().find(|value| value.name == name);
        let NamedTensor { shape, values, .. } = value.unwrap_or_else(|| panic!("`{name}` has no value"));
        let data = TensorData::new(values.clone(), shape.clone());
        param.map(|old| Tensor::from_data(data, &self.device).set_require_grad(old.is_require_grad()))
    }
}

/// Stochastic gradient descent by the formula of `expanse_program::Optimizer`.
struct Descent {
    names: Names,
    gradients: Gradients,
    velocities: Velocities,
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
}

impl ModuleMapper for Descent {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.names.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(&mut self.gradients) else { return param };
        let name = self.names.name();
        let velocity = self.velocities.remove(&name).and_then(|tensor| tensor.downcast::<Tensor<D>>().ok());
        param.map(|parameter| {
            let parameter = parameter.inner();
            let gradient = gradient + parameter.clone() * self.weight_decay;
            let velocity = match velocity {
                Some(velocity) => *velocity * self.momentum + gradient,
                None => gradient,
            };
            let parameter = parameter - velocity.clone() * self.learning_rate;
            self.velocities.insert(name, Box::new(velocity));
            Tensor::from_inner(parameter).require_grad()
        })
    }
}
