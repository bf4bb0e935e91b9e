use expanse_abi::{BackendBox, PluginError, RecorderBox, SamplerBox};
use expanse_host::{
    Backend, Bare, BareObject, Kind, PluginEntry, Sampler, backend_of, recorder_of, sampler_of,
};
use serde_json::{Map, Value};

use crate::{Golden, References, model::Part, outcome::Reason, records::Records};

/// One plugin of a library with all that its checks need.
pub(crate) struct Subject<'a> {
    pub bare: &'a Bare,
    pub entry: &'a PluginEntry,
    /// Options for every check that is not about options.
    pub options: Map<String, Value>,
    pub references: &'a References,
    pub golden: Option<&'a Golden>,
    pub records: &'static Records,
    /// How many threads the plugin may use.
    pub threads: usize,
}

impl Subject<'_> {
    pub fn kind(&self) -> Kind {
        self.bare.kind()
    }

    /// Opens the plugin with the given options, which need not be any.
    pub fn open_with(&self, options: &Value) -> Result<BareObject, PluginError> {
        self.bare.open(&self.entry.name, &options.to_string())
    }

    /// Opens the plugin.
    pub fn open(&self) -> Result<BareObject, PluginError> {
        self.open_with(&Value::Object(self.options.clone()))
    }

    /// The properties of the options' schema.
    pub fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.entry.options["properties"].as_object().into_iter().flatten()
    }

    pub fn sampler_object(&self) -> Result<SamplerBox, Reason> {
        sampler(self.open()?)
    }

    pub fn sampler(&self) -> Result<Box<dyn Sampler>, Reason> {
        Ok(sampler_of(&self.entry.name, self.sampler_object()?))
    }

    pub fn recorder_object(&self) -> Result<RecorderBox, Reason> {
        recorder(self.open()?)
    }

    pub fn backend_object(&self) -> Result<BackendBox, Reason> {
        match self.open()? {
            BareObject::Backend(object) => Ok(object),
            _ => Err(other_kind()),
        }
    }

    pub fn backend(&self) -> Result<Box<dyn Backend>, Reason> {
        Ok(backend_of(&self.entry.name, self.backend_object()?))
    }

    /// The plugin as a part of a model, with a size that it takes.
    pub fn part(&self) -> Result<Part, Reason> {
        let (kind, name) = (self.kind(), &self.entry.name);
        match kind {
            Kind::Backbone => Part::backbone(recorder_of(kind, name, self.recorder_object()?)),
            Kind::Head => Ok(Part::head(recorder_of(kind, name, self.recorder_object()?))),
            Kind::Loss => Ok(Part::loss(recorder_of(kind, name, self.recorder_object()?))),
            Kind::Sampler | Kind::Backend => Err(other_kind()),
        }
    }
}

pub(crate) fn sampler(object: BareObject) -> Result<SamplerBox, Reason> {
    match object {
        BareObject::Sampler(object) => Ok(object),
        _ => Err(other_kind()),
    }
}

fn recorder(object: BareObject) -> Result<RecorderBox, Reason> {
    match object {
        BareObject::Recorder(object) => Ok(object),
        _ => Err(other_kind()),
    }
}

/// A library opens what its root module says; the table of checks goes by that.
fn other_kind() -> Reason {
    Reason::Failed("the library has opened something of another kind".into())
}
