use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use expanse_abi::{ErrorCode, Fallible, PluginError, abi_stable::std_types::RResult};

use crate::Error;

/// Message and place of the last panics of this library. A panic may come from another thread than the call that
/// it ends, such as one of a thread pool, so they are told apart by their message.
static LAST_PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Panics remembered; more than threads that could panic at the same moment.
const REMEMBERED: usize = 64;

/// Remembers message and place of a panic instead of printing them: the host tells the user.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place =
                panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
            let message = message(panic.payload());
            let mut last = LAST_PANICS.lock().unwrap_or_else(PoisonError::into_inner);
            last.retain(|(known, _)| *known != message);
            last.truncate(REMEMBERED - 1);
            last.insert(0, (message, place));
        }))
    });
}

/// One line for a panic that has been caught.
fn describe(payload: &(dyn Any + Send)) -> String {
    let message = message(payload);
    let last = LAST_PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = last.iter().find(|(known, _)| *known == message).map(|(_, place)| place.as_str());
    format!("the plugin panicked{}: {message}", place.unwrap_or_default())
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it gave no message").into()
}

/// An instance with the memory of whether it has panicked.
pub(crate) struct Guarded<T> {
    /// Always there until it is dropped.
    instance: Option<T>,
    poisoned: AtomicBool,
}

impl<T> Guarded<T> {
    pub fn new(instance: T) -> Self {
        Self { instance: Some(instance), poisoned: AtomicBool::new(false) }
    }

    /// Calls into the instance; after a panic every further call is refused.
    pub fn call<R>(&self, call: impl FnOnce(&T) -> Result<R, Error>) -> Fallible<R> {
        guarded(&self.poisoned, || self.instance.as_ref().map_or_else(gone, call))
    }

    /// As [`call`](Self::call), with the instance to change.
    #[cfg(feature = "engine")]
    pub fn call_mut<R>(&mut self, call: impl FnOnce(&mut T) -> Result<R, Error>) -> Fallible<R> {
        let Self { instance, poisoned } = self;
        guarded(poisoned, || instance.as_mut().map_or_else(gone, call))
    }
}

impl<T> Drop for Guarded<T> {
    /// Dropping runs code of the plugin, too; a panic there ends nothing but the instance.
    fn drop(&mut self) {
        let instance = self.instance.take();
        // The payload of a panic may be anything, and dropping it may panic again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(instance))).map_err(std::mem::forget);
    }
}

fn gone<R>() -> Result<R, Error> {
    Err(Error::internal("this instance is gone"))
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
        Err(panic) => {
            poisoned.store(true, Ordering::Release);
            let described = describe(&*panic);
            std::mem::forget(panic);
            refused(described)
        }
    }
}
