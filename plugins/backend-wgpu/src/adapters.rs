//! Which devices there are, and in which order they are numbered.

use burn_wgpu::WgpuDevice;
use cubecl::device::WgpuDeviceKind;
use expanse_sdk::{Error, has_library};

/// The device with that number. None of them is opened for it: the machine is asked, and answers no device without a
/// panic.
pub(crate) fn numbered(number: usize) -> Result<WgpuDevice, Error> {
    let mut devices = devices();
    devices.sort_by_key(|device| rank(&device.kind));
    let count = devices.len();
    let device = devices.into_iter().nth(number);
    device.ok_or_else(|| match count {
        0 => Error::input(none()),
        _ => Error::option(
            "device",
            format!("there is no GPU {number} here; the numbers go from 0 to {}", count - 1),
        ),
    })
}

fn devices() -> Vec<WgpuDevice> {
    let all = cubecl::Device::enumerate_all().into_iter();
    let devices = all.filter_map(|device| match device {
        cubecl::Device::Wgpu(device) => Some(device),
        _ => None,
    });
    devices.collect()
}

/// What is worth more comes first; devices of one kind stay in the order of the system.
fn rank(kind: &WgpuDeviceKind) -> usize {
    match kind {
        WgpuDeviceKind::DiscreteGpu(_) => 0,
        WgpuDeviceKind::IntegratedGpu(_) => 1,
        WgpuDeviceKind::VirtualGpu(_) => 2,
        WgpuDeviceKind::Cpu => 4,
        _ => 3,
    }
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
