//! A plugin may end the process in the middle of a run, with an exit code that says all is well. It is not.

use std::sync::atomic::{AtomicBool, Ordering};

static RUNNING: AtomicBool = AtomicBool::new(false);

/// While it lives, the process does not end as if all were well.
pub struct Unfinished(());

impl Unfinished {
    /// Something begins that must not end before this is dropped.
    pub fn new() -> Self {
        if !RUNNING.swap(true, Ordering::Relaxed) {
            watch();
        }
        Self(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        RUNNING.store(false, Ordering::Relaxed);
    }
}

/// Ends the process at once, at the user's will.
pub fn end(code: u8) -> ! {
    RUNNING.store(false, Ordering::Relaxed);
    std::process::exit(i32::from(code));
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn watch() {
    use crate::exit;

    extern "C" fn ending() {
        if RUNNING.load(Ordering::Relaxed) {
            eprintln!(
                "error: a plugin ended the process in the middle of the run, which has left nothing; with augment.isolation = \"process\" a sampler cannot"
            );
            // SAFETY: the process ends here, with nothing left to run.
            unsafe { libc::_exit(i32::from(exit::FAILED)) };
        }
    }

    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function takes nothing, unwinds nowhere and lives as long as the program.
        if unsafe { libc::atexit(ending) } != 0 {
            tracing::warn!("a plugin that ends the process will not be noticed");
        }
    });
}

#[cfg(not(unix))]
fn watch() {}
