use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use expanse_abi::{ErrorCode, Fallible, PluginError, abi_stable::std_types::RResult};

use crate::Error;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers message and place of a panic instead of printing them: the host tells the user.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("it gave no message");
        LAST_PANIC.set(Some(format!("the plugin panicked{place}: {message}")));
    }));
}

/// An instance with the memory of whether it has panicked.
pub(crate) struct Guarded<T> {
    instance: T,
    poisoned: AtomicBool,
}

impl<T> Guarded<T> {
    pub fn new(instance: T) -> Self {
        Self { instance, poisoned: AtomicBool::new(false) }
    }

    /// Calls into the instance; after a panic every further call is refused.
    pub fn call<R>(&self, call: impl FnOnce(&T) -> Result<R, Error>) -> Fallible<R> {
        guarded(&self.poisoned, || call(&self.instance))
    }

    /// As [`call`](Self::call), with the instance to change.
    #[cfg(feature = "engine")]
    pub fn call_mut<R>(&mut self, call: impl FnOnce(&mut T) -> Result<R, Error>) -> Fallible<R> {
        let Self { instance, poisoned } = self;
        guarded(poisoned, || call(instance))
    }
}

/// Calls plugin code where there is no instance yet.
pub(crate) fn call<R>(call: impl FnOnce() -> Result<R, Error>) -> Fallible<R> {
    guarded(&AtomicBool::new(false), call)
}

fn guarded<R>(poisoned: &AtomicBool, call: impl FnOnce() -> Result<R, Error>) -> Fallible<R> {
    let refused = |message: String| {
        RResult::RErr(PluginError { code: ErrorCode::PANIC, message: message.into(), detail: "{}".into() })
    };
    if poisoned.load(Ordering::Acquire) {
        return refused("this instance panicked before and is not used again; open a new one".into());
    }
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(PluginError::from).into(),
        Err(_) => {
            poisoned.store(true, Ordering::Release);
            refused(LAST_PANIC.take().unwrap_or_else(|| "the plugin panicked".into()))
        }
    }
}
