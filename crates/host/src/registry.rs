use std::{
    collections::BTreeMap,
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use expanse_abi::{Manifest, PluginEntry};
use serde_json::{Map, Value};

use crate::{Backbone, Backend, Head, HostError, Kind, Loss, Sampler, library::Library, objects};

/// Finds and opens plugins.
pub struct Host {
    search_path: Vec<PathBuf>,
    open: Mutex<BTreeMap<PathBuf, Arc<Library>>>,
}

/// A library in the search path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is for.
    pub kind: Kind,
    /// Its name as its file gives it: `eos` for `libsampler_eos.so`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl Host {
    /// A host that looks for plugins in these folders, the first match winning.
    pub fn new(search_path: Vec<PathBuf>) -> Self {
        Self { search_path, open: Mutex::default() }
    }

    /// All libraries in the search path, by kind and name; none is opened.
    pub fn list(&self) -> Vec<Found> {
        let mut found: BTreeMap<(Kind, String), PathBuf> = BTreeMap::new();
        let folders = self.search_path.iter().filter_map(|folder| fs::read_dir(folder).ok());
        for path in folders.flatten().flatten().map(|entry| entry.path()) {
            if let Some(key) = path.file_name().and_then(|name| parse(name.to_str()?)) {
                found.entry(key).or_insert(path);
            }
        }
        found.into_iter().map(|((kind, name), path)| Found { kind, name, path }).collect()
    }

    /// What a library says of itself.
    pub fn manifest(&self, found: &Found) -> Result<Manifest, HostError> {
        Ok(self.library(found.kind, &found.path)?.manifest.clone())
    }

    /// Opens a backbone.
    pub fn backbone(&self, name: &str, options: &Map<String, Value>) -> Result<Box<Backbone>, HostError> {
        let plugin = self.find(Kind::Backbone, name, options)?;
        let object = plugin.open(Library::open_recorder)?;
        Ok(Box::new(objects::Recorder { plugin: plugin.named(), object }))
    }

    /// Opens a head.
    pub fn head(&self, name: &str, options: &Map<String, Value>) -> Result<Box<Head>, HostError> {
        let plugin = self.find(Kind::Head, name, options)?;
        let object = plugin.open(Library::open_recorder)?;
        Ok(Box::new(objects::Recorder { plugin: plugin.named(), object }))
    }

    /// Opens a loss.
    pub fn loss(&self, name: &str, options: &Map<String, Value>) -> Result<Box<Loss>, HostError> {
        let plugin = self.find(Kind::Loss, name, options)?;
        let object = plugin.open(Library::open_recorder)?;
        Ok(Box::new(objects::Recorder { plugin: plugin.named(), object }))
    }

    /// Opens a sampler.
    pub fn sampler(&self, name: &str, options: &Map<String, Value>) -> Result<Box<dyn Sampler>, HostError> {
        let plugin = self.find(Kind::Sampler, name, options)?;
        let object = plugin.open(Library::open_sampler)?;
        Ok(Box::new(objects::Sampler { plugin: plugin.named(), object }))
    }

    /// Opens a backend.
    pub fn backend(&self, name: &str, options: &Map<String, Value>) -> Result<Box<dyn Backend>, HostError> {
        let plugin = self.find(Kind::Backend, name, options)?;
        let object = plugin.open(Library::open_backend)?;
        Ok(Box::new(objects::Backend { plugin: plugin.named(), object }))
    }

    /// Where a plugin's library lies, its version and the SHA-256 of the file when it was opened.
    pub fn identify(&self, kind: Kind, name: &str) -> Result<(PathBuf, String, String), HostError> {
        let path = self.locate(kind, name)?;
        let library = self.library(kind, &path)?;
        Ok((path, library.manifest.version.clone(), library.sha256.clone()))
    }

    fn find(&self, kind: Kind, name: &str, options: &Map<String, Value>) -> Result<Plugin, HostError> {
        let path = self.locate(kind, name)?;
        let library = self.library(kind, &path)?;
        let plugins = &library.manifest.plugins;
        let entry = match plugins.iter().find(|entry| entry.name == name) {
            Some(entry) => entry,
            // A file named by its path holds one plugin whose name need not be known.
            None if is_path(name) && plugins.len() == 1 => &plugins[0],
            None => {
                let members = plugins.iter().map(|entry| entry.name.clone()).collect();
                return Err(HostError::NoMember { path, name: name.into(), members });
            }
        };
        let plugin =
            Plugin { kind, entry: entry.clone(), library: library.clone(), options: options.clone() };
        plugin.check_names()?;
        Ok(plugin)
    }

    fn locate(&self, kind: Kind, name: &str) -> Result<PathBuf, HostError> {
        if is_path(name) {
            return Ok(PathBuf::from(name));
        }
        let mut libraries = self.list();
        libraries.retain(|found| found.kind == kind);
        if let Some(found) = libraries.iter().find(|found| found.name == name) {
            return Ok(found.path.clone());
        }
        // A library may hold a family, under names that its file does not tell.
        let holds = |found: &&Found| {
            let manifest = self.manifest(found);
            manifest.is_ok_and(|manifest| manifest.plugins.iter().any(|entry| entry.name == name))
        };
        let found = libraries.iter().find(holds);
        found.map(|found| found.path.clone()).ok_or_else(|| self.not_found(kind, name))
    }

    fn not_found(&self, kind: Kind, name: &str) -> HostError {
        let known: Vec<String> =
            self.list().into_iter().filter(|found| found.kind == kind).map(|found| found.name).collect();
        HostError::NotFound {
            kind,
            name: name.into(),
            nearest: nearest(name, &known),
            known,
            searched: self.search_path.clone(),
        }
    }

    fn library(&self, kind: Kind, path: &Path) -> Result<Arc<Library>, HostError> {
        let path = fs::canonicalize(path)
            .map_err(|error| HostError::File { path: path.into(), problem: error.into() })?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = open.get(&path) {
            if library.kind != kind {
                let found = library.kind.name().into();
                return Err(HostError::OtherKind { path, found, kind });
            }
            return Ok(library.clone());
        }
        let library = Arc::new(Library::open(&path, kind)?);
        open.insert(path, library.clone());
        Ok(library)
    }
}

/// A plugin that has been found, with the options that it is to have.
struct Plugin {
    kind: Kind,
    entry: PluginEntry,
    library: Arc<Library>,
    options: Map<String, Value>,
}

impl Plugin {
    fn option_names(&self) -> Vec<String> {
        let properties = self.entry.options.get("properties").and_then(Value::as_object);
        properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
    }

    fn check_names(&self) -> Result<(), HostError> {
        let allowed = self.option_names();
        match self.options.keys().find(|option| !allowed.contains(option)) {
            None => Ok(()),
            Some(option) => Err(HostError::Option {
                kind: self.kind,
                name: self.entry.name.clone(),
                option: option.clone(),
                message: format!("there is no option `{option}`"),
                allowed,
            }),
        }
    }

    fn open<T>(
        &self,
        open: impl Fn(&Library, &str, &str) -> Result<T, expanse_abi::PluginError>,
    ) -> Result<T, HostError> {
        let options = Value::Object(self.options.clone()).to_string();
        open(&self.library, &self.entry.name, &options)
            .map_err(|error| HostError::of_plugin(self.kind, &self.entry.name, error, &self.option_names()))
    }

    fn named(&self) -> objects::Named {
        objects::Named { kind: self.kind, name: self.entry.name.clone() }
    }
}

/// Whether a plugin is named by the path of its file.
fn is_path(name: &str) -> bool {
    name.contains(std::path::MAIN_SEPARATOR) || name.ends_with(DLL_SUFFIX)
}

/// `libsampler_eos.so` → sampler, `eos`.
fn parse(file_name: &str) -> Option<(Kind, String)> {
    let stem = file_name.strip_prefix(DLL_PREFIX)?.strip_suffix(DLL_SUFFIX)?;
    let (kind, name) = stem.split_once('_')?;
    let kind = Kind::ALL.into_iter().find(|candidate| candidate.name() == kind)?;
    Some((kind, name.replace('_', "-")))
}

fn nearest(name: &str, known: &[String]) -> Option<String> {
    let distance = |other: &&String| strsim::damerau_levenshtein(name, other);
    known.iter().min_by_key(distance).filter(|other| distance(other) <= 3).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_kind_and_name_and_the_first_folder_wins() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |name: &str| format!("{DLL_PREFIX}{name}{DLL_SUFFIX}");
        for (folder, name) in [
            (&first, file("sampler_my_own")),
            (&first, file("samplers_x")),
            (&second, file("sampler_my_own")),
            (&second, file("head_linear")),
            (&second, "readme.txt".into()),
        ] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        let host = Host::new(vec![first.path().into(), "/does/not/exist".into(), second.path().into()]);
        let found: Vec<_> = host.list().into_iter().map(|f| (f.kind, f.name, f.path)).collect();
        assert_eq!(
            found,
            [
                (Kind::Head, "linear".into(), second.path().join(file("head_linear"))),
                (Kind::Sampler, "my-own".into(), first.path().join(file("sampler_my_own"))),
            ]
        );
        let error = host.sampler("my-one", &Map::new()).err().unwrap().to_string();
        assert!(error.contains("no sampler is called `my-one`; did you mean `my-own`?"), "{error}");
        let error = host.sampler("my-own", &Map::new()).err().unwrap().to_string();
        assert!(error.contains("this is no shared library"), "{error}");
    }
}
