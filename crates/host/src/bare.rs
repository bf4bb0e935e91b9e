//! Plugins without the checks of this crate around their answers, for those that test plugins; and objects of the
//! boundary as components, for plugins of this process.

use std::sync::Arc;

use expanse_abi::{BackendBox, Manifest, PluginError, RecorderBox, SamplerBox};
use serde::Serialize;

use crate::{
    Backend, Kind, Recorder, Sampler,
    library::Library,
    objects::{self, Named},
};

/// A library that is open, without the checks of the host.
pub struct Bare {
    pub(crate) library: Arc<Library>,
}

/// What a library opens.
pub enum BareObject {
    /// A backbone, head or loss.
    Recorder(RecorderBox),
    /// A sampler.
    Sampler(SamplerBox),
    /// A backend.
    Backend(BackendBox),
}

impl Bare {
    /// What the library is for.
    pub fn kind(&self) -> Kind {
        self.library.kind
    }

    /// What the library says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.library.manifest
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.library.sha256
    }

    /// Hands the library the host's services once more.
    pub fn init(&self) -> Result<(), PluginError> {
        self.library.init()
    }

    /// Opens a plugin of the library with options in JSON, as they are.
    pub fn open(&self, name: &str, options: &str) -> Result<BareObject, PluginError> {
        match self.library.kind {
            Kind::Sampler => self.library.open_sampler(name, options).map(BareObject::Sampler),
            Kind::Backend => self.library.open_backend(name, options).map(BareObject::Backend),
            Kind::Backbone | Kind::Head | Kind::Loss => {
                self.library.open_recorder(name, options).map(BareObject::Recorder)
            }
        }
    }
}

/// A sampler's object as a component.
pub fn sampler_of(name: &str, object: SamplerBox) -> Box<dyn Sampler> {
    Box::new(objects::Sampler { plugin: named(Kind::Sampler, name), object })
}

/// A backend's object as a component.
pub fn backend_of(name: &str, object: BackendBox) -> Box<dyn Backend> {
    Box::new(objects::Backend { plugin: named(Kind::Backend, name), object })
}

/// The object of a backbone, head or loss as a component.
pub fn recorder_of<Request: Serialize>(
    kind: Kind,
    name: &str,
    object: RecorderBox,
) -> Box<dyn Recorder<Request>> {
    Box::new(objects::Recorder { plugin: named(kind, name), object })
}

fn named(kind: Kind, name: &str) -> Named {
    Named { kind, name: name.into() }
}
