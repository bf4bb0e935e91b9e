//! The devices that burn-wgpu finds, in the order of their numbers. The server that lends them has this file, too.

use burn_wgpu::WgpuDevice;
use cubecl::{Device, device::WgpuDeviceKind};

/// GPUs of their own first, then those in the processor, then virtual ones, then others, devices in software last; those of
/// one kind stay in the order of the system. None is opened for it: the machine is asked, and answers no device without a
/// panic.
pub(crate) fn adapters() -> Vec<WgpuDevice> {
    let all = Device::enumerate_all().into_iter();
    let devices = all.filter_map(|device| match device {
        Device::Wgpu(device) => Some(device),
        _ => None,
    });
    let mut devices: Vec<_> = devices.collect();
    devices.sort_by_key(|device| rank(&device.kind));
    devices
}

/// What is worth more comes first.
fn rank(kind: &WgpuDeviceKind) -> usize {
    match kind {
        WgpuDeviceKind::DiscreteGpu(_) => 0,
        WgpuDeviceKind::IntegratedGpu(_) => 1,
        WgpuDeviceKind::VirtualGpu(_) => 2,
        WgpuDeviceKind::Cpu => 4,
        _ => 3,
    }
}
