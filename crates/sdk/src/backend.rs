use burn_backend::{Backend as _, FloatDType};
use expanse_abi::{
    BackendBox, BackendObject, BackendObject_TO, Fallible, SessionBox, SessionObject, SessionObject_TO,
    TensorMut, TensorRef,
    abi_stable::{
        erased_types::TD_Opaque,
        std_types::{RSlice, RSliceMut, RStr, RString, RVec},
    },
};
use expanse_engine::{Kind, Limit, Parallel, Running, Session, missing_operations};
use expanse_program::{DIALECT, Optimizer, Program};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Host, Plugin, export::Member, guard::Guarded, tensor::views};

/// A device that runs programs through the engine.
pub trait Backend: Plugin {
    /// The burn backend.
    type Burn: burn_backend::Backend;

    /// Opens the device, or says why it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the machine has no such device: what is missing, and what to do.
    fn device(&self, host: &Host) -> Result<Device<Self::Burn>, Error>;

    /// Opens the devices that share every batch with the first, as [`Parallel`] does; none, unless the options name some.
    ///
    /// # Errors
    ///
    /// As of [`device`](Self::device).
    fn others(&self, _: &Host) -> Result<Vec<Device<Self::Burn>>, Error> {
        Ok(Vec::new())
    }

    /// In what products are computed.
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// The memory of a device; none where it is that of the host.
    fn memory(&self, _: &Device<Self::Burn>) -> Option<Memory> {
        None
    }
}

/// The memory of a device that has its own.
pub struct Memory {
    /// Bytes of the largest tensor that it takes.
    pub largest: u64,
    /// Bytes that this process may take of it, where that is bounded.
    pub limit: Option<Limit>,
}

impl Memory {
    /// Bytes of inputs that may stay there: all that one tensor can have, or half of what may be taken.
    fn keeps(&self) -> u64 {
        self.limit.as_ref().map_or(self.largest, |limit| self.largest.min(limit.bytes / 2))
    }
}

/// In what the factors of convolutions, linear layers and products of matrices are rounded. All else is in `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Not rounded.
    #[default]
    F32,
    /// 8 bits of fraction, the range of `f32`.
    BF16,
    /// 11 bits of fraction; gradients below 6e-11 become 0, and those above 64 are not finite.
    F16,
}

impl From<Precision> for FloatDType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::BF16 => Self::BF16,
            Precision::F16 => Self::F16,
        }
    }
}

/// A device that is open.
pub struct Device<B: burn_backend::Backend> {
    /// The device of the burn backend.
    pub burn: B::Device,
    /// What users know it as.
    pub name: String,
}

/// A device that runs programs in its own way. A burn backend implements [`Backend`] and is one thereby.
pub trait Runtime: Plugin {
    /// What runs programs.
    type Session: Running + 'static;

    /// What users know the device as, or why it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the machine has no such device: what is missing, and what to do.
    fn name(&self, host: &Host) -> Result<String, Error>;

    /// Devices that share a batch: each runs programs that are loaded for its part of it.
    ///
    /// # Errors
    ///
    /// As of [`name`](Self::name).
    fn devices(&self, _: &Host) -> Result<usize, Error> {
        Ok(1)
    }

    /// Bytes of inputs that may stay on the device, where it has memory of its own.
    ///
    /// # Errors
    ///
    /// As of [`name`](Self::name).
    fn keeps(&self, _: &Host) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// The operations of a program that it lacks, each once, in order; empty if it can run it.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the program cannot be decoded.
    fn missing_operations(&self, program: &Program, host: &Host) -> Result<Vec<String>, Error>;

    /// A session without programs.
    ///
    /// # Errors
    ///
    /// If the device cannot be opened.
    fn open_session(&self, optimizer: Optimizer, host: &Host) -> Result<Self::Session, Error>;
}

impl<P: Backend> Runtime for P {
    type Session = Parallel<P::Burn>;

    fn name(&self, host: &Host) -> Result<String, Error> {
        let names: Vec<_> = opened(self, host)?.into_iter().map(|device| device.name).collect();
        Ok(names.join(" + "))
    }

    fn devices(&self, host: &Host) -> Result<usize, Error> {
        Ok(self.others(host)?.len() + 1)
    }

    fn keeps(&self, host: &Host) -> Result<Option<u64>, Error> {
        let devices = opened(self, host)?;
        let keeps: Option<Vec<u64>> =
            devices.iter().map(|device| self.memory(device).map(|memory| memory.keeps())).collect();
        Ok(keeps.and_then(|keeps| keeps.into_iter().min()))
    }

    fn missing_operations(&self, program: &Program, host: &Host) -> Result<Vec<String>, Error> {
        missing_operations::<P::Burn>(program, &self.device(host)?.burn).map_err(Error::input)
    }

    fn open_session(&self, optimizer: Optimizer, host: &Host) -> Result<Self::Session, Error> {
        let products = self.precision().into();
        let sessions = opened(self, host)?.into_iter();
        let mut sessions = sessions.map(|device| {
            let limit = self.memory(&device).and_then(|memory| memory.limit);
            Session::new(device.burn, optimizer).with_products_in(products).with_limit(limit)
        });
        let first = sessions.next().ok_or_else(|| Error::internal("there is no device"))?;
        Parallel::new(first, sessions).map_err(Error::internal)
    }
}

/// All devices of a backend, the first of which is that of [`Backend::device`].
fn opened<P: Backend>(backend: &P, host: &Host) -> Result<Vec<Device<P::Burn>>, Error> {
    let mut devices = vec![backend.device(host)?];
    devices.extend(backend.others(host)?);
    let products = backend.precision();
    let lacks =
        |device: &&Device<P::Burn>| !P::Burn::supports_dtype(&device.burn, FloatDType::from(products).into());
    match devices.iter().find(lacks) {
        Some(Device { name, .. }) => {
            Err(Error::option("precision", format!("{name} does not compute in {products:?}; use f32")))
        }
        None => Ok(devices),
    }
}

#[derive(Serialize)]
struct Description<'a> {
    name: &'a str,
    threads: usize,
    devices: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    keeps: Option<u64>,
}

struct Object<P>(Guarded<P>);

impl<P: Runtime> BackendObject for Object<P> {
    fn device(&self) -> Fallible<RString> {
        self.0.call(|backend| {
            let host = Host::new();
            let name = backend.name(&host)?;
            let (devices, keeps) = (backend.devices(&host)?, backend.keeps(&host)?);
            let description = Description { name: &name, threads: host.threads(), devices, keeps };
            Ok(serde_json::to_string(&description).map_err(Error::internal)?.into())
        })
    }

    fn missing_operations(&self, program: RSlice<'_, u8>) -> Fallible<RString> {
        self.0.call(|backend| {
            let program = Program::from_bytes(program.as_slice()).map_err(Error::input)?;
            let missing = backend.missing_operations(&program, &Host::new())?;
            Ok(serde_json::to_string(&missing).map_err(Error::internal)?.into())
        })
    }

    fn open_session(&self, optimizer: RStr<'_>) -> Fallible<SessionBox> {
        self.0.call(|backend| {
            let optimizer: Optimizer = serde_json::from_str(&optimizer)
                .map_err(|e| Error::input(format!("the optimiser cannot be read: {e}")))?;
            let session = OpenSession(Guarded::new(backend.open_session(optimizer, &Host::new())?));
            Ok(SessionObject_TO::from_value(session, TD_Opaque))
        })
    }
}

struct OpenSession<S>(Guarded<S>);

impl<S: Running> SessionObject for OpenSession<S> {
    fn load(&mut self, programs: RSlice<'_, RSlice<'_, u8>>) -> Fallible<usize> {
        self.0.call_mut(|session| {
            let programs: Result<Vec<_>, _> =
                programs.iter().map(|bytes| Program::from_bytes(bytes.as_slice())).collect();
            session.load(&programs.map_err(Error::input)?).map_err(Error::input)
        })
    }

    fn import(&mut self, kind: u8, tensors: RSlice<'_, u8>) -> Fallible<()> {
        self.0.call_mut(|session| session.import(which(kind)?, tensors.as_slice()).map_err(Error::input))
    }

    fn export(&self, kind: u8) -> Fallible<RVec<u8>> {
        self.0.call(|session| Ok(session.export(which(kind)?).map_err(Error::internal)?.into()))
    }

    fn step(
        &mut self,
        program: usize,
        inputs: RSlice<'_, TensorRef<'_>>,
        learning_rate: f64,
    ) -> Fallible<()> {
        self.0.call_mut(|session| {
            session.step(program, &views(inputs.as_slice())?, learning_rate).map_err(Error::input)
        })
    }

    fn losses(&mut self) -> Fallible<RVec<f32>> {
        self.0.call_mut(|session| Ok(session.losses().map_err(Error::internal)?.into()))
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: RSlice<'_, TensorRef<'_>>,
        mut outputs: RSliceMut<'_, TensorMut<'_>>,
    ) -> Fallible<()> {
        self.0.call_mut(|session| {
            let mut outputs: Vec<_> = outputs
                .as_mut_slice()
                .iter_mut()
                .map(|output| (output.name.as_str(), output.data.as_mut_slice()))
                .collect();
            session.forward(program, &views(inputs.as_slice())?, &mut outputs).map_err(Error::input)
        })
    }

    fn gradients(&mut self, program: usize, inputs: RSlice<'_, TensorRef<'_>>) -> Fallible<RVec<u8>> {
        self.0.call_mut(|session| {
            Ok(session.gradients(program, &views(inputs.as_slice())?).map_err(Error::input)?.into())
        })
    }
}

fn which(kind: u8) -> Result<Kind, Error> {
    match kind {
        0 => Ok(Kind::Parameters),
        1 => Ok(Kind::Optimizer),
        2 => Ok(Kind::Kept),
        other => Err(Error::input(format!("kind {other} of tensors is not known here"))),
    }
}

impl Member<BackendBox> {
    /// A backend of a library.
    pub fn backend<P: Runtime>() -> Self {
        Self::new::<P>(|json| {
            crate::export::instance::<P, BackendBox>(json, |backend| {
                BackendObject_TO::from_value(Object(Guarded::new(backend)), TD_Opaque)
            })
        })
    }
}

crate::export::kind!(backend_root, BackendRoot, BackendRoot_Ref, BackendBox, Some(DIALECT));
