//! The device of a number, or why it is not there.

use burn_wgpu::WgpuDevice;
use expanse_sdk::{Error, has_library, no_such_gpu};

use crate::numbers::adapters;

/// The device with that number, not opened yet.
pub(crate) fn numbered(number: usize) -> Result<WgpuDevice, Error> {
    let devices = adapters();
    let count = devices.len();
    let device = devices.into_iter().nth(number);
    device.ok_or_else(|| match count {
        0 => Error::input(none()),
        _ => no_such_gpu(number, count),
    })
}

/// Why there is no device, and what to do about it, in one line.
fn none() -> String {
    let missing = if cfg!(any(windows, target_vendor = "apple")) {
        "the system offers no graphics device; install the driver of the GPU"
    } else if has_library(&["libvulkan.so.1", "libvulkan.so"]) {
        "the Vulkan loader finds no driver with a device; install that of the GPU (Debian: mesa-vulkan-drivers, or \
         nvidia-driver)"
    } else {
        "there is no Vulkan loader (libvulkan.so.1); install it and the driver of the GPU (Debian: libvulkan1, and \
         mesa-vulkan-drivers or nvidia-driver)"
    };
    format!("no GPU is here: {missing}, or use another backend, such as `cpu`")
}
