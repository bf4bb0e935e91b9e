use expanse_abi::{
    BackendBox, BackendObject, BackendObject_TO, Fallible, SessionBox, SessionObject, SessionObject_TO,
    TensorMut, TensorRef,
    abi_stable::{
        erased_types::TD_Opaque,
        std_types::{RSlice, RSliceMut, RStr, RString, RVec},
    },
};
use expanse_engine::{Kind, Running, Session, missing_operations};
use expanse_program::{DIALECT, Optimizer, Program};
use serde::Serialize;

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
    type Session = Session<P::Burn>;

    fn name(&self, host: &Host) -> Result<String, Error> {
        Ok(self.device(host)?.name)
    }

    fn missing_operations(&self, program: &Program, host: &Host) -> Result<Vec<String>, Error> {
        missing_operations::<P::Burn>(program, &self.device(host)?.burn).map_err(Error::input)
    }

    fn open_session(&self, optimizer: Optimizer, host: &Host) -> Result<Self::Session, Error> {
        Ok(Session::new(self.device(host)?.burn, optimizer))
    }
}

#[derive(Serialize)]
struct Description<'a> {
    name: &'a str,
    threads: usize,
}

struct Object<P>(Guarded<P>);

impl<P: Runtime> BackendObject for Object<P> {
    fn device(&self) -> Fallible<RString> {
        self.0.call(|backend| {
            let host = Host::new();
            let name = backend.name(&host)?;
            let description = Description { name: &name, threads: host.threads() };
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
