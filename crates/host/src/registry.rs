use std::{
    collections::BTreeMap,
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use expanse_abi::{Manifest, PluginEntry};
use serde_json::{Map, Value};

use crate::{
    Backbone, Backend, Bare, Device, Head, HostError, Kind, Loss, Sampler, Sidecar, Trust,
    admission::admit,
    calls::{Frequency, watched},
    descriptions::Descriptions,
    isolated,
    isolated::Worker,
    library::{Growth, Library, growth},
    objects,
};

/// Finds and opens plugins.
#[derive(Default)]
pub struct Host {
    search_path: Vec<PathBuf>,
    trust: Trust,
    descriptions: Option<Descriptions>,
    worker: Option<Worker>,
    open: Mutex<Open>,
}

/// The libraries that are open.
#[derive(Default)]
struct Open {
    by_path: BTreeMap<PathBuf, Arc<Library>>,
    /// The same bytes are opened once, wherever they lie.
    by_sha256: BTreeMap<String, Arc<Library>>,
}

/// Where a library lies, its version, and the SHA-256 of the bytes that are open.
pub type Identified = (PathBuf, String, String);

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
    /// A host that looks for plugins in these folders, the first match winning, and opens whatever it is asked for.
    pub fn new(search_path: Vec<PathBuf>) -> Self {
        Self { search_path, ..Self::default() }
    }

    /// Opens only what is trusted.
    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// Remembers in this folder what libraries say of themselves.
    #[must_use]
    pub fn with_cache(self, folder: &Path) -> Self {
        Self { descriptions: Some(Descriptions::new(folder)), ..self }
    }

    /// Lets this program open libraries in processes of their own: for samplers, and to ask a library what it is.
    #[must_use]
    pub fn with_worker(self, worker: Worker) -> Self {
        Self { worker: Some(worker), ..self }
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

    /// What a library says of itself: by the manifest beside it, from memory, or else by opening it, in a process of
    /// its own if there is a worker.
    pub fn manifest(&self, found: &Found) -> Result<Manifest, HostError> {
        let path = canonical(&found.path)?;
        if let Some(library) = self.open().by_path.get(&path) {
            return Ok(library.manifest.clone());
        }
        let sidecar = Sidecar::read(&path)
            .map_err(|problem| HostError::Sidecar { path: path.clone(), problem })?
            .map(|sidecar| sidecar.manifest());
        let known = || Some(self.descriptions.as_ref()?.find(&path)?.1);
        if let Some(manifest) = sidecar.or_else(known) {
            return Ok(manifest);
        }
        let Some(worker) = &self.worker else {
            return Ok(self.library(found.kind, &path)?.manifest.clone());
        };
        let sha256 = admit(&path, found.kind, &self.trust)?.sha256;
        let manifest = isolated::describe(worker, found.kind, &path, &sha256)?;
        if let Some(descriptions) = &self.descriptions {
            descriptions.keep(&path, &sha256, &manifest);
        }
        Ok(manifest)
    }

    /// Whether the library may be opened.
    pub fn is_trusted(&self, found: &Found) -> Result<bool, HostError> {
        match admit(&canonical(&found.path)?, found.kind, &self.trust) {
            Ok(_) => Ok(true),
            Err(HostError::Untrusted { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How the boundary of a library differs from this program's, with the version of the library's. The library is
    /// opened for it and not used.
    pub fn growth(&self, found: &Found) -> Result<(String, Growth), HostError> {
        let path = canonical(&found.path)?;
        growth(&path, found.kind, &admit(&path, found.kind, &self.trust)?)
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
        Ok(self.sampler_at(&self.locate(Kind::Sampler, name)?, name, options)?.0)
    }

    /// Opens a sampler in a process of its own, which may take at most `memory` bytes: whatever its library does to
    /// that process, this one gets an error and goes on. Answers also what [`identify`](Self::identify) does.
    pub fn isolated_sampler(
        &self,
        name: &str,
        options: &Map<String, Value>,
        memory: Option<u64>,
    ) -> Result<(Box<dyn Sampler>, Identified), HostError> {
        let kind = Kind::Sampler;
        let Some(worker) = &self.worker else {
            let message = "this program has no worker for it".into();
            return Err(HostError::Process { kind, name: name.into(), message });
        };
        let path = canonical(&self.locate(kind, name)?)?;
        let sha256 = admit(&path, kind, &self.trust)?.sha256;
        let (sampler, version) = isolated::open(worker, name, &path, &sha256, options, memory)?;
        Ok((sampler, (path, version, sha256)))
    }

    /// Opens a backend.
    pub fn backend(&self, name: &str, options: &Map<String, Value>) -> Result<Box<dyn Backend>, HostError> {
        self.backend_at(&self.locate(Kind::Backend, name)?, name, options)
    }

    /// The device that a backend of a library has without any options, or why it has none: asked in a process of its
    /// own if there is a worker.
    pub fn device(&self, found: &Found, name: &str) -> Result<Device, HostError> {
        let path = canonical(&found.path)?;
        match &self.worker {
            Some(worker) => {
                let sha256 = admit(&path, found.kind, &self.trust)?.sha256;
                isolated::device(worker, name, &path, &sha256)
            }
            None => self.backend_at(&path, name, &Map::new())?.device(),
        }
    }

    /// A library file without the checks of this crate, for those that test plugins.
    pub fn bare(&self, kind: Kind, path: &Path) -> Result<Bare, HostError> {
        Ok(Bare { library: self.library(kind, path)? })
    }

    /// Where a plugin's library lies, its version and the SHA-256 of the file when it was opened.
    pub fn identify(&self, kind: Kind, name: &str) -> Result<Identified, HostError> {
        let path = self.locate(kind, name)?;
        let library = self.library(kind, &path)?;
        Ok((path, library.manifest.version.clone(), library.sha256.clone()))
    }

    /// Opens a backend of a library.
    pub(crate) fn backend_at(
        &self,
        path: &Path,
        name: &str,
        options: &Map<String, Value>,
    ) -> Result<Box<dyn Backend>, HostError> {
        let plugin = self.member(Kind::Backend, path, name, options)?;
        let object = plugin.open(Library::open_backend)?;
        Ok(Box::new(objects::Backend { plugin: plugin.named(), object }))
    }

    /// Opens a sampler of a library; answers also the sampler's name and the library's version.
    pub(crate) fn sampler_at(
        &self,
        path: &Path,
        name: &str,
        options: &Map<String, Value>,
    ) -> Result<(Box<dyn Sampler>, String, String), HostError> {
        let plugin = self.member(Kind::Sampler, path, name, options)?;
        let object = plugin.open(Library::open_sampler)?;
        let version = plugin.library.manifest.version.clone();
        let named = plugin.named();
        let opened = named.name.clone();
        Ok((Box::new(objects::Sampler { plugin: named, object }), opened, version))
    }

    fn find(&self, kind: Kind, name: &str, options: &Map<String, Value>) -> Result<Plugin, HostError> {
        self.member(kind, &self.locate(kind, name)?, name, options)
    }

    fn member(
        &self,
        kind: Kind,
        path: &Path,
        name: &str,
        options: &Map<String, Value>,
    ) -> Result<Plugin, HostError> {
        let library = self.library(kind, path)?;
        let plugins = &library.manifest.plugins;
        let entry = match plugins.iter().find(|entry| entry.name == name) {
            Some(entry) => entry,
            // A file named by its path holds one plugin whose name need not be known.
            None if is_path(name) && plugins.len() == 1 => &plugins[0],
            None => {
                let members = plugins.iter().map(|entry| entry.name.clone()).collect();
                return Err(HostError::NoMember { path: path.into(), name: name.into(), members });
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
        let path = canonical(path)?;
        let of_kind = |library: &Arc<Library>| {
            if library.kind == kind {
                return Ok(library.clone());
            }
            Err(HostError::OtherKind { path: path.clone(), found: library.kind.name().into(), kind })
        };
        let mut open = self.open();
        if let Some(library) = open.by_path.get(&path) {
            return of_kind(library);
        }
        let checked = admit(&path, kind, &self.trust)?;
        let sha256 = checked.sha256.clone();
        let library = match open.by_sha256.get(&sha256) {
            Some(library) => of_kind(library)?,
            None => Arc::new(Library::open(&path, kind, checked)?),
        };
        open.by_sha256.insert(sha256, library.clone());
        open.by_path.insert(path, library.clone());
        Ok(library)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn canonical(path: &Path) -> Result<PathBuf, HostError> {
    fs::canonicalize(path).map_err(|error| HostError::File { path: path.into(), problem: error.into() })
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
        let open = || open(&self.library, &self.entry.name, &options);
        watched(&self.named(), "open", Frequency::Rare, open)
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
