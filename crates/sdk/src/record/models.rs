use std::sync::{Mutex, PoisonError};

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};
use expanse_abi::{
    Fallible, RecorderBox, RecorderObject, RecorderObject_TO, TensorMut, TensorRef,
    abi_stable::{
        erased_types::TD_Opaque,
        std_types::{RSlice, RSliceMut, RStr, RVec},
    },
};
use expanse_program::{
    BackboneRequest, DIALECT, HeadRequest, LossRequest, Meaning, Program, TensorData, TensorView,
    tensors_to_bytes,
};
use serde::de::DeserializeOwned;

use super::{names, recording::record};
use crate::{Error, Plugin, export::Member, guard::Guarded, tensor};

/// Turns images into embeddings.
pub trait Backbone: Plugin {
    /// The burn module.
    type Module: Module;

    /// A freshly initialised module for images of that shape.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the images do not suit it.
    fn module(&self, request: &BackboneRequest, device: &Device) -> Result<Self::Module, Error>;

    /// `[batch, channels, height, width]` → `[batch, features]`.
    fn forward(&self, module: &Self::Module, images: Tensor<4>) -> Tensor<2>;

    /// What PyTorch's common implementation calls parts of the names of parameters, the head's among them, where it
    /// differs: with `("linear", "fc")` checkpoints travel with `fc.weight`, and are read with either name.
    fn usual_names(&self) -> &[(&str, &str)] {
        &[]
    }
}

/// Turns embeddings into logits.
pub trait Head: Plugin {
    /// The burn module.
    type Module: Module;

    /// A freshly initialised module for embeddings of that length and that many classes.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if it cannot serve them.
    fn module(&self, request: &HeadRequest, device: &Device) -> Result<Self::Module, Error>;

    /// `[batch, features]` → `[batch, classes]`.
    fn forward(&self, module: &Self::Module, embedding: Tensor<2>) -> Tensor<2>;

    /// What its logits are, where there are losses that take such logits alone.
    fn gives(&self) -> Option<Meaning> {
        None
    }
}

/// Turns logits and targets into one number to make small.
pub trait Loss: Plugin {
    /// Logits `[batch, classes]`, targets `[batch]`, class weights `[classes]` → `[1]`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if it cannot serve the request.
    fn forward(
        &self,
        request: &LossRequest,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        class_weights: Tensor<1>,
    ) -> Result<Tensor<1>, Error>;

    /// The only logits that it makes sense for, where there are such. A head that gives others is refused before a run.
    fn takes(&self) -> Option<Meaning> {
        None
    }
}

/// What the three kinds have in common.
trait Recordable: Send + Sync {
    type Request: DeserializeOwned;
    fn program(&self, request: &Self::Request) -> Result<Program, Error>;
    fn values(&self, request: &Self::Request, device: &Device) -> Result<Vec<u8>, Error>;
    /// The one output of the module itself, run on a device that computes.
    fn run(&self, request: &Self::Request, device: &Device, inputs: &Inputs<'_>) -> Result<Vec<f32>, Error>;
}

/// The tensors that a module is run with, by the names of its ports.
struct Inputs<'a>(Vec<TensorView<'a>>);

impl Inputs<'_> {
    fn float<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, Error> {
        match self.values(name, &shape)? {
            TensorData::F32(values) => {
                Ok(Tensor::from_data(burn::tensor::TensorData::new(values.to_vec(), shape), device))
            }
            TensorData::I64(_) => Err(Error::input(format!("input `{name}` holds integers; it takes f32"))),
        }
    }

    fn int(&self, name: &str, len: usize, device: &Device) -> Result<Tensor<1, Int>, Error> {
        match self.values(name, &[len])? {
            TensorData::I64(values) => {
                Ok(Tensor::from_data(burn::tensor::TensorData::new(values.to_vec(), [len]), device))
            }
            TensorData::F32(_) => Err(Error::input(format!("input `{name}` holds f32; it takes integers"))),
        }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<TensorData<'_>, Error> {
        let found = self.0.iter().find(|input| input.name == name);
        let found = found.ok_or_else(|| Error::input(format!("there is no input `{name}`")))?;
        let shaped = found.shape == shape && found.data.len() == shape.iter().product::<usize>();
        let message =
            || format!("input `{name}` has the shape {:?}; the request says {shape:?}", found.shape);
        shaped.then_some(found.data).ok_or_else(|| Error::input(message()))
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    tensor.into_data().try_to_vec().map_err(|error| Error::internal(format!("{error:?}")))
}

struct OfBackbone<P>(P);
struct OfHead<P>(P);
struct OfLoss<P>(P);

impl<P: Backbone> Recordable for OfBackbone<P> {
    type Request = BackboneRequest;

    fn program(&self, request: &BackboneRequest) -> Result<Program, Error> {
        let module = self.0.module(request, &Device::flex())?;
        record(format!("backbone `{}`", P::NAME), module, |module, recording| {
            let shape = [request.batch, request.channels, request.height, request.width];
            let images = recording.input("images", shape);
            recording.output("embedding", &self.0.forward(module, images));
            recording.call(self.0.usual_names());
        })
    }

    fn values(&self, request: &BackboneRequest, device: &Device) -> Result<Vec<u8>, Error> {
        values(&self.0.module(request, device)?)
    }

    fn run(
        &self,
        request: &BackboneRequest,
        device: &Device,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<f32>, Error> {
        let shape = [request.batch, request.channels, request.height, request.width];
        let images = inputs.float("images", shape, device)?;
        floats(self.0.forward(&drawn(self.0.module(request, device)?)?, images))
    }
}

impl<P: Head> Recordable for OfHead<P> {
    type Request = HeadRequest;

    fn program(&self, request: &HeadRequest) -> Result<Program, Error> {
        let module = self.0.module(request, &Device::flex())?;
        record(format!("head `{}`", P::NAME), module, |module, recording| {
            let embedding = recording.input("embedding", [request.batch, request.features]);
            recording.output("logits", &self.0.forward(module, embedding));
            recording.mean("logits", self.0.gives());
        })
    }

    fn values(&self, request: &HeadRequest, device: &Device) -> Result<Vec<u8>, Error> {
        values(&self.0.module(request, device)?)
    }

    fn run(&self, request: &HeadRequest, device: &Device, inputs: &Inputs<'_>) -> Result<Vec<f32>, Error> {
        let embedding = inputs.float("embedding", [request.batch, request.features], device)?;
        floats(self.0.forward(&drawn(self.0.module(request, device)?)?, embedding))
    }
}

/// A loss has no parameters.
#[derive(Module, Debug)]
struct NoModule {}

impl<P: Loss> Recordable for OfLoss<P> {
    type Request = LossRequest;

    fn program(&self, request: &LossRequest) -> Result<Program, Error> {
        let mut failure = None;
        let program = record(format!("loss `{}`", P::NAME), NoModule {}, |_, recording| {
            let logits = recording.input("logits", [request.batch, request.classes]);
            recording.mean("logits", self.0.takes());
            let targets = recording.int_input("targets", [request.batch]);
            let class_weights = recording.input("class_weights", [request.classes]);
            match self.0.forward(request, logits, targets, class_weights) {
                Ok(loss) => recording.output("loss", &loss),
                Err(error) => failure = Some(error),
            }
        });
        failure.map_or(program, Err)
    }

    fn values(&self, _: &LossRequest, _: &Device) -> Result<Vec<u8>, Error> {
        tensors_to_bytes(&[]).map_err(Error::internal)
    }

    fn run(&self, request: &LossRequest, device: &Device, inputs: &Inputs<'_>) -> Result<Vec<f32>, Error> {
        let logits = inputs.float("logits", [request.batch, request.classes], device)?;
        let targets = inputs.int("targets", request.batch, device)?;
        let class_weights = inputs.float("class_weights", [request.classes], device)?;
        floats(self.0.forward(request, logits, targets, class_weights)?)
    }
}

/// The module with its first values drawn in the order of its parameters, as [`values`] draws them, and not in the order
/// in which `forward` happens to look at them.
fn drawn<M: Module>(module: M) -> Result<M, Error> {
    names::draw(&module)?;
    Ok(module)
}

fn values<M: Module>(module: &M) -> Result<Vec<u8>, Error> {
    tensors_to_bytes(&names::values(module)?).map_err(Error::internal)
}

struct Object<R>(Guarded<R>);

/// The generator of a device belongs to the process, and recording draws values, too: one at a time.
static GENERATOR: Mutex<()> = Mutex::new(());

impl<R: Recordable> RecorderObject for Object<R> {
    fn record(&self, request: RStr<'_>) -> Fallible<RVec<u8>> {
        self.0.call(|recordable| {
            let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
            let program = recordable.program(&parse(&request)?)?;
            Ok(program.to_bytes().map_err(Error::internal)?.into())
        })
    }

    fn initialize(&self, request: RStr<'_>, seed: u64) -> Fallible<RVec<u8>> {
        self.0.call(|recordable| {
            let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
            let device = Device::flex();
            device.seed(seed);
            Ok(recordable.values(&parse(&request)?, &device)?.into())
        })
    }

    fn evaluate(
        &self,
        request: RStr<'_>,
        seed: u64,
        inputs: RSlice<'_, TensorRef<'_>>,
        mut outputs: RSliceMut<'_, TensorMut<'_>>,
    ) -> Fallible<()> {
        self.0.call(|recordable| {
            let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
            let device = Device::flex();
            device.seed(seed);
            let inputs = Inputs(tensor::views(inputs.as_slice())?);
            let values = recordable.run(&parse(&request)?, &device, &inputs)?;
            match outputs.as_mut_slice() {
                [output] if output.data.len() == values.len() => {
                    output.data.as_mut_slice().copy_from_slice(&values);
                    Ok(())
                }
                _ => Err(Error::input(format!("a module has one output, here of {} values", values.len()))),
            }
        })
    }
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::input(format!("the request cannot be read: {error}")))
}

fn object<R: Recordable + 'static>(recordable: R) -> RecorderBox {
    RecorderObject_TO::from_value(Object(Guarded::new(recordable)), TD_Opaque)
}

impl Member<RecorderBox> {
    /// A backbone of a library.
    pub fn backbone<P: Backbone>() -> Self {
        Self::new::<P>(|json| crate::export::instance::<P, _>(json, |plugin| object(OfBackbone(plugin))))
    }

    /// A head of a library.
    pub fn head<P: Head>() -> Self {
        Self::new::<P>(|json| crate::export::instance::<P, _>(json, |plugin| object(OfHead(plugin))))
    }

    /// A loss of a library.
    pub fn loss<P: Loss>() -> Self {
        Self::new::<P>(|json| crate::export::instance::<P, _>(json, |plugin| object(OfLoss(plugin))))
    }
}

crate::export::kind!(backbone_root, BackboneRoot, BackboneRoot_Ref, RecorderBox, Some(DIALECT));
crate::export::kind!(head_root, HeadRoot, HeadRoot_Ref, RecorderBox, Some(DIALECT));
crate::export::kind!(loss_root, LossRoot, LossRoot_Ref, RecorderBox, Some(DIALECT));
