use std::sync::OnceLock;

use expanse_abi::{HostServices_Ref, LogRecord, PluginError};

use crate::logging;

static SERVICES: OnceLock<(HostServices_Ref, &'static str)> = OnceLock::new();

/// What the host does for a plugin.
#[derive(Clone, Copy, Debug)]
pub struct Host(());

impl Host {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Whether the plugin should stop, with [`Error::Cancelled`](crate::Error::Cancelled). Long work asks often.
    pub fn cancelled(&self) -> bool {
        SERVICES.get().is_some_and(|(services, _)| services.cancelled()())
    }

    /// Tells how far long work has come.
    pub fn progress(&self, done: u64, total: u64) {
        if let Some((services, library)) = SERVICES.get() {
            services.progress()((*library).into(), done, total);
        }
    }

    /// How many threads the plugin may use; 1 without a host.
    pub fn threads(&self) -> usize {
        SERVICES.get().map_or(1, |(services, _)| services.threads()())
    }
}

impl expanse_sampling::Control for Host {
    fn cancelled(&self) -> bool {
        Host::cancelled(self)
    }

    fn progress(&self, done: u64, total: u64) {
        Host::progress(self, done, total);
    }
}

/// Takes over the host's services, and routes logs to it. A second call changes nothing.
pub(crate) fn install(services: HostServices_Ref, library: &'static str) -> Result<(), PluginError> {
    if SERVICES.set((services, library)).is_ok() {
        logging::install();
    }
    Ok(())
}

pub(crate) fn log_enabled(level: u8, target: &str) -> bool {
    SERVICES.get().is_some_and(|(services, library)| match services.log_enabled_in() {
        Some(enabled) => enabled((*library).into(), level, target.into()),
        // A host that is older than this plugin.
        None => services.log_enabled()(level, target.into()),
    })
}

pub(crate) fn log(level: u8, target: &str, message: &str) {
    if let Some((services, library)) = SERVICES.get() {
        let record =
            LogRecord { level, library: (*library).into(), target: target.into(), message: message.into() };
        services.log()(record);
    }
}
