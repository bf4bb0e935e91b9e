//! Exit codes, for scripts.

/// The command failed while it worked.
pub const FAILED: u8 = 1;
/// The command line cannot be understood (clap's own code).
pub const USAGE: u8 = 2;
/// The configuration is wrong; nothing was begun.
pub const CONFIGURATION: u8 = 3;
/// Stopped by the user.
pub const INTERRUPTED: u8 = 130;
