use std::sync::{Mutex, PoisonError};

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};
use expanse_abi::{
    Fallible, RecorderBox, RecorderObject, RecorderObject_TO,
    abi_stable::{
        erased_types::TD_Opaque,
        std_types::{RStr, RVec},
    },
};
use expanse_program::{BackboneRequest, DIALECT, HeadRequest, LossRequest, Program, tensors_to_bytes};
use serde::de::DeserializeOwned;

use super::{names, recording::record};
use crate::{Error, Plugin, export::Member, guard::Guarded};

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
}

/// What the three kinds have in common.
trait Recordable: Send + Sync {
    type Request: DeserializeOwned;
    fn program(&self, request: &Self::Request) -> Result<Program, Error>;
    fn values(&self, request: &Self::Request, device: &Device) -> Result<Vec<u8>, Error>;
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
        })
    }

    fn values(&self, request: &BackboneRequest, device: &Device) -> Result<Vec<u8>, Error> {
        values(&self.0.module(request, device)?)
    }
}

impl<P: Head> Recordable for OfHead<P> {
    type Request = HeadRequest;

    fn program(&self, request: &HeadRequest) -> Result<Program, Error> {
        let module = self.0.module(request, &Device::flex())?;
        record(format!("head `{}`", P::NAME), module, |module, recording| {
            let embedding = recording.input("embedding", [request.batch, request.features]);
            recording.output("logits", &self.0.forward(module, embedding));
        })
    }

    fn values(&self, request: &HeadRequest, device: &Device) -> Result<Vec<u8>, Error> {
        values(&self.0.module(request, device)?)
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
