//! From a list of plugins to the functions of a root module.

use expanse_abi::{
    ErrorCode, Fallible, Manifest, PluginEntry, PluginError,
    abi_stable::std_types::{RResult, RString},
};

use crate::{Plugin, guard, options};

/// The plugins of one library; implemented by the `export_*!` macros.
pub trait Family<Object>: 'static {
    /// The crate's name, such as `sampler-eos`.
    const LIBRARY: &'static str;
    /// The crate's version.
    const VERSION: &'static str;
    /// The crate's licence.
    const LICENCE: &'static str;
    /// What the library holds.
    fn members() -> Vec<Member<Object>>;
}

/// One plugin of a library.
pub struct Member<Object> {
    entry: PluginEntry,
    open: fn(&str) -> Fallible<Object>,
}

impl<Object> Member<Object> {
    /// Describes a plugin, with the function that makes an instance an object.
    pub(crate) fn new<P: Plugin>(open: fn(&str) -> Fallible<Object>) -> Self {
        let entry = PluginEntry {
            name: P::NAME.into(),
            summary: P::SUMMARY.into(),
            citation: P::CITATION.into(),
            options: options::schema::<P::Options>(),
        };
        Self { entry, open }
    }

    /// Opens the plugin in this process.
    #[cfg(all(feature = "conformance", feature = "engine", feature = "record"))]
    pub(crate) fn open(&self, options: &str) -> Fallible<Object> {
        (self.open)(options)
    }
}

/// Reads options and makes an instance.
pub(crate) fn instance<P: Plugin, Object>(json: &str, object: fn(P) -> Object) -> Fallible<Object> {
    guard::call(|| P::new(options::parse(json)?).map(object))
}

pub(crate) fn manifest<Object, F: Family<Object>>(dialect: Option<&str>) -> Fallible<RString> {
    // The first that a host asks of a library, and already code of the plugin.
    guard::install_hook();
    guard::call(|| {
        let manifest = Manifest {
            version: F::VERSION.into(),
            sdk: env!("CARGO_PKG_VERSION").into(),
            abi: expanse_abi::VERSION.into(),
            licence: F::LICENCE.into(),
            dialect: dialect.map(Into::into),
            plugins: F::members().into_iter().map(|member| member.entry).collect(),
        };
        let json = serde_json::to_string(&manifest).map_err(crate::Error::internal)?;
        Ok(json.into())
    })
}

pub(crate) fn open<Object, F: Family<Object>>(name: &str, options: &str) -> Fallible<Object> {
    let members = match guard::call(|| Ok(F::members())) {
        RResult::ROk(members) => members,
        RResult::RErr(error) => return RResult::RErr(error),
    };
    match members.iter().find(|member| member.entry.name == name) {
        Some(member) => {
            tracing::trace!(options, "opening `{name}`");
            (member.open)(options)
        }
        None => {
            let known: Vec<_> = members.iter().map(|member| format!("`{}`", member.entry.name)).collect();
            let message = format!("library {} holds no `{name}`; it holds {}", F::LIBRARY, known.join(", "));
            let (code, detail) = (ErrorCode::UNKNOWN_NAME, "{}".into());
            RResult::RErr(PluginError { code, message: message.into(), detail })
        }
    }
}

/// Defines the function that makes the root module of one kind.
macro_rules! kind {
    ($root_fn:ident, $root:ident, $reference:ident, $object:ident, $dialect:expr) => {
        /// Makes the root module.
        pub fn $root_fn<F: crate::export::Family<expanse_abi::$object>>() -> expanse_abi::$reference {
            use expanse_abi::{
                Fallible, HostServices_Ref,
                abi_stable::{
                    prefix_type::PrefixTypeTrait,
                    std_types::{RStr, RString},
                },
            };

            extern "C" fn manifest<F: crate::export::Family<expanse_abi::$object>>() -> Fallible<RString> {
                crate::export::manifest::<_, F>($dialect)
            }
            extern "C" fn init<F: crate::export::Family<expanse_abi::$object>>(
                services: HostServices_Ref,
            ) -> Fallible<()> {
                crate::host::install(services, F::LIBRARY).into()
            }
            extern "C" fn open<F: crate::export::Family<expanse_abi::$object>>(
                name: RStr<'_>,
                options: RStr<'_>,
            ) -> Fallible<expanse_abi::$object> {
                crate::export::open::<_, F>(name.as_str(), options.as_str())
            }
            expanse_abi::$root { manifest: manifest::<F>, init: init::<F>, open: open::<F> }
                .leak_into_prefix()
        }
    };
}

pub(crate) use kind;

/// Exports the samplers of a crate: `export_sampler!(Smote, Borderline);`.
#[macro_export]
macro_rules! export_sampler {
    ($($plugin:ty),+ $(,)?) => {
        $crate::export_root!(SamplerRoot_Ref, sampler_root, SamplerBox, sampler, $($plugin),+);
    };
}

/// Exports the backbones of a crate.
#[cfg(feature = "record")]
#[macro_export]
macro_rules! export_backbone {
    ($($plugin:ty),+ $(,)?) => {
        $crate::export_root!(BackboneRoot_Ref, backbone_root, RecorderBox, backbone, $($plugin),+);
    };
}

/// Exports the heads of a crate.
#[cfg(feature = "record")]
#[macro_export]
macro_rules! export_head {
    ($($plugin:ty),+ $(,)?) => {
        $crate::export_root!(HeadRoot_Ref, head_root, RecorderBox, head, $($plugin),+);
    };
}

/// Exports the losses of a crate.
#[cfg(feature = "record")]
#[macro_export]
macro_rules! export_loss {
    ($($plugin:ty),+ $(,)?) => {
        $crate::export_root!(LossRoot_Ref, loss_root, RecorderBox, loss, $($plugin),+);
    };
}

/// Exports the backends of a crate.
#[cfg(feature = "engine")]
#[macro_export]
macro_rules! export_backend {
    ($($plugin:ty),+ $(,)?) => {
        $crate::export_root!(BackendRoot_Ref, backend_root, BackendBox, backend, $($plugin),+);
    };
}

/// The symbol that a host looks for; the same for every kind.
#[doc(hidden)]
#[macro_export]
macro_rules! export_root {
    ($reference:ident, $root:ident, $object:ident, $member:ident, $($plugin:ty),+) => {
        const _: () = {
            use $crate::macro_support::{Family, Member, abi, abi_stable::library};

            struct Library;

            impl Family<abi::$object> for Library {
                const LIBRARY: &'static str = env!("CARGO_PKG_NAME");
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");
                const LICENCE: &'static str = env!("CARGO_PKG_LICENSE");
                fn members() -> Vec<Member<abi::$object>> {
                    vec![$(Member::$member::<$plugin>()),+]
                }
            }

            extern "C" fn root() -> library::RootModuleResult {
                library::__call_root_module_loader(|| $crate::macro_support::$root::<Library>())
            }

            // SAFETY: the name belongs to abi_stable, whose attribute `export_root_module` writes this static;
            // a test of the sdk compares it. `root` returns the module that the type names.
            #[allow(unsafe_code)]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: library::LibHeader = unsafe {
                library::LibHeader::from_constructor::<abi::$reference>(root, library::CheckTypeLayout::Yes)
            };
        };
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_exported_name_is_the_one_that_hosts_look_for() {
        let name = expanse_abi::abi_stable::library::ROOT_MODULE_LOADER_NAME;
        let source = include_str!("export.rs");
        assert!(source.contains(&format!("export_name = \"{name}\"")), "{name}");
    }
}
