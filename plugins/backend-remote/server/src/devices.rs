//! What is lent, in the order of the numbers that sessions ask for.

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use std::{process, thread, time::Duration};

use burn_flex::FlexDevice;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use crate::error::ServerError;

/// A device, and what users know it as.
pub(crate) type Named<D> = (D, String);

/// The processor.
pub(crate) fn flex() -> Vec<Named<FlexDevice>> {
    vec![(FlexDevice, "CPU (burn-flex)".into())]
}

/// The GPUs of backend `wgpu`, by the numbers that they have there.
#[cfg(feature = "wgpu")]
pub(crate) fn wgpu() -> Result<Vec<Named<cubecl::Device>>, ServerError> {
    let devices = crate::numbers::adapters().into_iter().map(cubecl::Device::Wgpu);
    named("wgpu", devices.collect())
}

/// The GPUs of backend `cuda`, by the numbers that they have there. Without a driver they are not asked for: burn-cuda
/// would panic in a thread of its own.
#[cfg(feature = "cuda")]
pub(crate) fn cuda() -> Result<Vec<Named<cubecl::Device>>, ServerError> {
    let devices = match expanse_sdk::has_library(&expanse_sdk::CUDA_DRIVER) {
        true => (0..).map_while(|number| cubecl::Device::cuda(number).ok()).collect(),
        false => Vec::new(),
    };
    named("cuda", devices)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn named(
    backend: &'static str,
    devices: Vec<cubecl::Device>,
) -> Result<Vec<Named<cubecl::Device>>, ServerError> {
    if devices.is_empty() {
        return Err(ServerError::NoDevice { backend });
    }
    let named = |device: cubecl::Device| {
        let name = device.client().properties().identity.name.clone();
        (device, format!("{name} (burn-{backend})"))
    };
    Ok(devices.into_iter().map(named).collect())
}

/// How often the memory that is taken is looked at.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
const BEAT: Duration = Duration::from_millis(100);

/// The same devices. Once this process has taken more of their memory than so many MiB, it ends.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(crate) fn bounded(devices: Vec<Named<cubecl::Device>>, mib: Option<u64>) -> Vec<Named<cubecl::Device>> {
    if let Some(mib) = mib {
        let clients: Vec<_> = devices.iter().map(|(device, _)| device.client()).collect();
        let taken = move |client: &cubecl::client::Client| {
            client.memory_report(cubecl::MemoryScope::Device).usage().bytes_reserved
        };
        thread::spawn(move || {
            while clients.iter().map(taken).sum::<u64>() <= mib.saturating_mul(1 << 20) {
                thread::sleep(BEAT);
            }
            process::exit(1);
        });
    }
    devices
}
