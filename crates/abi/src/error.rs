use abi_stable::{StableAbi, std_types::RString};

/// What kind of thing went wrong in a plugin; an open set, so that newer plugins may name more.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// An option is unknown, of the wrong type or out of range; `detail` names it.
    pub const OPTIONS: Self = Self(1);
    /// The request cannot be served: shapes, labels, values or counts are wrong.
    pub const INPUT: Self = Self(2);
    /// The host asked to stop.
    pub const CANCELLED: Self = Self(3);
    /// The plugin panicked; the instance is poisoned.
    pub const PANIC: Self = Self(4);
    /// The library holds no plugin of the name asked for.
    pub const UNKNOWN_NAME: Self = Self(5);
    /// The plugin failed in a way that the caller could not have avoided.
    pub const INTERNAL: Self = Self(6);
    /// The plugin is older than what it is asked for.
    pub const UNSUPPORTED: Self = Self(7);
}

/// An error that crosses the boundary.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct PluginError {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// One line: subject, got, allowed, remedy.
    pub message: RString,
    /// A JSON object with what a program may want to know, such as `{"option": "k_neighbors"}`.
    pub detail: RString,
}
