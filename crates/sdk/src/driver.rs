use std::mem::forget;

use libloading::Library;

use crate::Error;

/// What the driver of NVIDIA's GPUs is called on the systems that have one.
pub const CUDA_DRIVER: [&str; 3] = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];

/// Whether this machine has a library of one of these names, such as the driver of a device: for a backend that says
/// what is missing before it touches a device, because where the driver is missing some libraries panic in threads of
/// their own.
///
/// The library stays loaded, as the backend is about to use it.
#[allow(unsafe_code)]
pub fn has_library(names: &[&str]) -> bool {
    names.iter().any(|name| {
        // SAFETY: it is a driver of the system, which any program may load; no symbol of it is used here.
        unsafe { Library::new(*name) }.map(forget).is_ok()
    })
}

/// The GPU of that number is not among those that are here; their numbers go from 0.
pub fn no_such_gpu(number: usize, here: usize) -> Error {
    Error::option(
        "device",
        format!("there is no GPU {number} here; the numbers go from 0 to {}", here.saturating_sub(1)),
    )
}

#[cfg(test)]
mod tests {
    use super::has_library;

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_not() {
        assert!(!has_library(&[]));
        assert!(!has_library(&["libno-such-driver.so.1"]));
        #[cfg(target_os = "linux")]
        assert!(has_library(&["libno-such-driver.so.1", "libc.so.6"]));
    }
}
