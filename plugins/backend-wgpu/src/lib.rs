//! GPUs by Vulkan, Metal, DirectX 12 or OpenGL: the engine on burn's `wgpu` backend.

mod adapters;
mod memory;
mod numbers;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use burn_wgpu::{
    RuntimeOptions, Wgpu, WgpuDevice, graphics::AutoGraphicsApi, try_init_setup, wgpu::DeviceType,
};
use expanse_sdk::{Backend, Device, Error, Host, Memory, OneOrMore, Plugin, Precision, options};

options! {
    /// Options of `wgpu`.
    pub struct WgpuOptions {
        /// Number of the device, from 0: GPUs of their own first, then those in the processor, then virtual ones, then
        /// devices in software. Or a list of such, and each has an equal part of every batch.
        pub device: OneOrMore<usize> = OneOrMore::One(0),
        /// In what the factors of products are rounded: f32 (not at all), bf16 or f16. The error: docs/gpu.md.
        pub precision: Precision = Precision::F32,
        /// Most MiB of a GPU's memory that may be taken; 0 for all that it has.
        pub memory: u64 = 0,
    }
}

struct WgpuBackend(WgpuOptions);

impl Plugin for WgpuBackend {
    const NAME: &'static str = "wgpu";
    const SUMMARY: &'static str = "GPUs by Vulkan, Metal, DirectX 12 or OpenGL, by burn-wgpu";
    type Options = WgpuOptions;

    fn new(options: WgpuOptions) -> Result<Self, Error> {
        Ok(Self(options))
    }
}

impl Backend for WgpuBackend {
    type Burn = Wgpu;

    fn device(&self, _: &Host) -> Result<Device<Wgpu>, Error> {
        open(self.0.device.as_slice()[0])
    }

    fn others(&self, _: &Host) -> Result<Vec<Device<Wgpu>>, Error> {
        self.0.device.as_slice()[1..].iter().map(|&number| open(number)).collect()
    }

    fn precision(&self) -> Precision {
        self.0.precision
    }

    fn memory(&self, device: &Device<Wgpu>) -> Option<Memory> {
        Some(memory::of(&device.burn, self.0.memory))
    }
}

fn open(number: usize) -> Result<Device<Wgpu>, Error> {
    // A device is registered once in a process; all instances share it.
    static OPEN: Mutex<BTreeMap<usize, (WgpuDevice, String)>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (device, name) = match open.get(&number).cloned() {
        Some(known) => known,
        None => {
            let acquired = acquire(number)?;
            open.insert(number, acquired.clone());
            acquired
        }
    };
    Ok(Device { burn: cubecl::Device::Wgpu(device), name })
}

/// Opens an adapter, and tells what users know it as.
fn acquire(number: usize) -> Result<(WgpuDevice, String), Error> {
    let device = adapters::numbered(number)?;
    let refused = |error| Error::input(format!("GPU {number} is there and cannot be used: {error}"));
    let setup = RuntimeOptions::try_default()
        .and_then(|options| try_init_setup::<AutoGraphicsApi>(&device, options))
        .map_err(refused)?;
    let adapter = setup.adapter.get_info();
    let software = adapter.device_type == DeviceType::Cpu;
    if software {
        tracing::warn!("{} is a GPU in software; the backend `cpu` is faster", adapter.name);
    }
    let kind = if software { ", in software" } else { "" };
    Ok((device, format!("{} ({:?}{kind}, burn-wgpu)", adapter.name, setup.backend)))
}

expanse_sdk::export_backend!(WgpuBackend);
