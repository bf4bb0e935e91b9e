//! From a file to a root module. The one place that runs code of a file.

#![allow(unsafe_code)]

use std::{error::Error as _, path::Path};

use expanse_abi::{
    BackboneRoot_Ref, BackendBox, BackendRoot_Ref, Fallible, HeadRoot_Ref, HostServices_Ref, LossRoot_Ref,
    Manifest, PluginError, RecorderBox, SamplerBox, SamplerRoot_Ref,
    abi_stable::{
        StableAbi,
        abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals},
        library::{AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModule},
        std_types::{RResult, RString},
    },
};
use expanse_program::DIALECT;

use crate::{HostError, Kind, file::Checked, sealed, services};

/// A library that is open and will stay so.
pub(crate) struct Library {
    pub kind: Kind,
    pub manifest: Manifest,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    root: Root,
}

enum Root {
    Backbone(BackboneRoot_Ref),
    Head(HeadRoot_Ref),
    Loss(LossRoot_Ref),
    Sampler(SamplerRoot_Ref),
    Backend(BackendRoot_Ref),
}

impl Library {
    /// Opens the bytes that were read from a path, reads the manifest and hands over the host's services.
    pub fn open(path: &Path, kind: Kind, Checked { bytes, sha256 }: Checked) -> Result<Self, HostError> {
        let header = header(path, kind, &bytes)?;
        drop(bytes);
        let root = match kind {
            Kind::Backbone => Root::Backbone(module(path, header)?),
            Kind::Head => Root::Head(module(path, header)?),
            Kind::Loss => Root::Loss(module(path, header)?),
            Kind::Sampler => Root::Sampler(module(path, header)?),
            Kind::Backend => Root::Backend(module(path, header)?),
        };
        let (manifest, init) = root.functions();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let failed = |error: PluginError| HostError::of_plugin(kind, &name, error, &[]);
        let json = manifest().into_result().map_err(failed)?;
        let manifest: Manifest = serde_json::from_str(&json).map_err(|error| HostError::Contract {
            kind,
            name: name.to_string(),
            problem: format!("its manifest cannot be read: {error}"),
        })?;
        if let Some(found) = manifest.dialect.clone().filter(|dialect| dialect != DIALECT) {
            return Err(HostError::Dialect { path: path.into(), found, expected: DIALECT.into() });
        }
        init(services::services()).into_result().map_err(failed)?;
        Ok(Self { kind, manifest, sha256, root })
    }

    /// Hands over the host's services; opening has done it once.
    pub fn init(&self) -> Result<(), PluginError> {
        let (_, init) = self.root.functions();
        init(services::services()).into_result()
    }

    pub fn open_recorder(&self, name: &str, options: &str) -> Result<RecorderBox, PluginError> {
        let open = match &self.root {
            Root::Backbone(root) => root.open(),
            Root::Head(root) => root.open(),
            Root::Loss(root) => root.open(),
            Root::Sampler(_) | Root::Backend(_) => return Err(other_kind()),
        };
        open(name.into(), options.into()).into_result()
    }

    pub fn open_sampler(&self, name: &str, options: &str) -> Result<SamplerBox, PluginError> {
        match &self.root {
            Root::Sampler(root) => root.open()(name.into(), options.into()).into_result(),
            _ => Err(other_kind()),
        }
    }

    pub fn open_backend(&self, name: &str, options: &str) -> Result<BackendBox, PluginError> {
        match &self.root {
            Root::Backend(root) => root.open()(name.into(), options.into()).into_result(),
            _ => Err(other_kind()),
        }
    }
}

type ManifestFn = extern "C" fn() -> Fallible<RString>;
type InitFn = extern "C" fn(HostServices_Ref) -> RResult<(), PluginError>;

impl Root {
    fn functions(&self) -> (ManifestFn, InitFn) {
        match self {
            Root::Backbone(root) => (root.manifest(), root.init()),
            Root::Head(root) => (root.manifest(), root.init()),
            Root::Loss(root) => (root.manifest(), root.init()),
            Root::Sampler(root) => (root.manifest(), root.init()),
            Root::Backend(root) => (root.manifest(), root.init()),
        }
    }
}

/// A library is opened for one kind; asking it for another is a mistake of the host.
fn other_kind() -> PluginError {
    let message = "the library was opened for another kind of plugin".into();
    PluginError { code: expanse_abi::ErrorCode::INTERNAL, message, detail: "{}".into() }
}

/// Opens the bytes of a library and finds the header of its root module.
fn header(path: &Path, kind: Kind, bytes: &[u8]) -> Result<&'static LibHeader, HostError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = sealed::copy(&name, bytes).map_err(|source| HostError::Copy { path: path.into(), source })?;
    // SAFETY: opening runs the constructors of the library; its bytes are those that the host admitted, which is all
    // the trust that running native code can rest on.
    let library = unsafe { open(&copy) }.map_err(|error| {
        // What the loader itself says is the cause of the error.
        let message = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        HostError::Open { path: path.into(), message }
    })?;
    // Its constructors have run and may have started anything: it stays, even if it turns out to be no plugin.
    let library = std::mem::ManuallyDrop::new(library);
    // SAFETY: the name belongs to abi_stable, which exports a `LibHeader` under it; a reference to it begins
    // with the header that `upgrade` compares before anything else is read.
    let symbol = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let Ok(header) = symbol.map(|symbol| *symbol) else {
        return Err(HostError::NoPlugin { path: path.into(), kind });
    };
    let header = header.upgrade().map_err(|error| layout(path, "unknown", error.to_string()))?;
    let found = header.root_mod_consts().name();
    if found.as_str() != kind.name() {
        return Err(HostError::OtherKind { path: path.into(), found: found.as_str().into(), kind });
    }
    Ok(header)
}

/// # Safety
///
/// The constructors of the library run.
#[cfg(unix)]
unsafe fn open(path: &Path) -> Result<libloading::os::unix::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // Lazy binding would end the process at the first missing symbol.
    // SAFETY: as the caller's.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
}

#[cfg(not(unix))]
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: as the caller's.
    unsafe { libloading::Library::new(path) }
}

/// The root module, if its types are laid out as this program's, or as those of a version that one of the two has
/// grown from.
fn module<R: RootModule>(path: &Path, header: &'static LibHeader) -> Result<R, HostError> {
    let version = header.version_strings().version.as_str();
    match compare::<R>(header) {
        Growth::Broken(difference) => return Err(layout(path, version, difference)),
        Growth::Same | Growth::Program | Growth::Library => {}
    }
    // SAFETY: the layouts have just been compared.
    unsafe { header.init_root_module_with_unchecked_layout::<R>() }
        .map_err(|error: LibraryError| layout(path, version, error.to_string()))
}

/// How the boundary of a library and that of this program differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Not at all.
    Same,
    /// This program's has grown since.
    Program,
    /// The library's has grown since.
    Library,
    /// One is not what the other has grown into; the difference, for those who maintain the boundary.
    Broken(String),
}

/// Either may be the newer one, so the layouts are compared both ways, and each comparison has its own state: shared
/// state would make the outcome depend on what was loaded before.
fn compare<R: RootModule>(header: &'static LibHeader) -> Growth {
    let ours = <R as StableAbi>::LAYOUT;
    let Some(theirs) = header.layout() else { return Growth::Broken("the library hides its layout".into()) };
    let check = |a, b| check_layout_compatibility_with_globals(a, b, &CheckingGlobals::new());
    match (check(ours, theirs), check(theirs, ours)) {
        (Ok(()), Ok(())) => Growth::Same,
        (Err(_), Ok(())) => Growth::Program,
        (Ok(()), Err(_)) => Growth::Library,
        (Err(difference), Err(_)) => Growth::Broken(difference.to_string()),
    }
}

/// Compares the boundary of a library with this program's; answers also the version of the library's.
pub(crate) fn growth(
    path: &Path,
    kind: Kind,
    Checked { bytes, .. }: &Checked,
) -> Result<(String, Growth), HostError> {
    let header = header(path, kind, bytes)?;
    let growth = match kind {
        Kind::Backbone => compare::<BackboneRoot_Ref>(header),
        Kind::Head => compare::<HeadRoot_Ref>(header),
        Kind::Loss => compare::<LossRoot_Ref>(header),
        Kind::Sampler => compare::<SamplerRoot_Ref>(header),
        Kind::Backend => compare::<BackendRoot_Ref>(header),
    };
    Ok((header.version_strings().version.as_str().to_owned(), growth))
}

fn layout(path: &Path, version: &str, difference: String) -> HostError {
    tracing::debug!(path = %path.display(), "{difference}");
    HostError::Layout {
        path: path.into(),
        version: version.into(),
        expected: env!("CARGO_PKG_VERSION").into(),
        difference,
    }
}
