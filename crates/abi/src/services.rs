use abi_stable::{StableAbi, std_types::RStr};

/// Names of the log levels; a level crosses as its place in this list.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// One log record of a plugin.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LogRecord<'a> {
    /// Place in [`LEVELS`].
    pub level: u8,
    /// The library that logs, such as `sampler-eos`.
    pub library: RStr<'a>,
    /// The module that logs.
    pub target: RStr<'a>,
    /// The message with its fields.
    pub message: RStr<'a>,
}

/// What the host does for a plugin. Every function may be called from any thread at any time.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostServices_Ref)))]
#[sabi(missing_field(option))]
pub struct HostServices {
    /// Whether a record of this level and target would be written.
    pub log_enabled: extern "C" fn(level: u8, target: RStr<'_>) -> bool,
    /// Writes a record.
    pub log: extern "C" fn(record: LogRecord<'_>),
    /// Whether the host wants the plugin to stop; long work asks often.
    pub cancelled: extern "C" fn() -> bool,
    /// How many threads a plugin may use.
    pub threads: extern "C" fn() -> usize,
    /// Tells how far long work has come.
    #[sabi(last_prefix_field)]
    pub progress: extern "C" fn(library: RStr<'_>, done: u64, total: u64),
    /// As `log_enabled`, for one library: hosts since 0.1.1 filter by library.
    pub log_enabled_in: extern "C" fn(library: RStr<'_>, level: u8, target: RStr<'_>) -> bool,
}
