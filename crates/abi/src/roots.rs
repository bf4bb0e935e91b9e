//! One root module type for each kind of plugin, so that a change for one kind leaves the others loadable.

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings,
    sabi_types::VersionStrings,
    std_types::{RStr, RString},
};

use crate::{BackendBox, Fallible, HostServices_Ref, RecorderBox, SamplerBox};

macro_rules! root {
    ($(#[$doc:meta])* $root:ident, $reference:ident, $object:ty, $name:literal) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = $reference)))]
        #[sabi(missing_field(option))]
        pub struct $root {
            /// What the library holds, as JSON: see `Manifest` of the host.
            pub manifest: extern "C" fn() -> Fallible<RString>,
            /// Hands over the host's services; called once, before anything is opened.
            pub init: extern "C" fn(services: HostServices_Ref) -> Fallible<()>,
            /// Opens the named plugin of this library with options in JSON.
            #[sabi(last_prefix_field)]
            pub open: extern "C" fn(name: RStr<'_>, options: RStr<'_>) -> Fallible<$object>,
        }

        impl RootModule for $reference {
            abi_stable::declare_root_module_statics! {$reference}
            const BASE_NAME: &'static str = $name;
            const NAME: &'static str = $name;
            const VERSION_STRINGS: VersionStrings = package_version_strings!();
        }
    };
}

root!(
    /// Root of a library of backbones: images in, embedding out.
    BackboneRoot, BackboneRoot_Ref, RecorderBox, "backbone"
);
root!(
    /// Root of a library of heads: embedding in, logits out.
    HeadRoot, HeadRoot_Ref, RecorderBox, "head"
);
root!(
    /// Root of a library of losses: logits, targets and class weights in, loss out.
    LossRoot, LossRoot_Ref, RecorderBox, "loss"
);
root!(
    /// Root of a library of samplers.
    SamplerRoot, SamplerRoot_Ref, SamplerBox, "sampler"
);
root!(
    /// Root of a library of backends.
    BackendRoot, BackendRoot_Ref, BackendBox, "backend"
);
