//! NVIDIA's GPUs by CUDA: the engine on burn's `cuda` backend.

#[path = "../../backend-wgpu/src/memory.rs"]
mod memory;

use burn_cuda::Cuda;
use cubecl::device::DeviceUnavailable;
use expanse_sdk::{
    Backend, CUDA_DRIVER, Device, Error, Host, Memory, OneOrMore, Plugin, Precision, has_library,
    no_such_gpu, options,
};

options! {
    /// Options of `cuda`.
    pub struct CudaOptions {
        /// Number of the GPU, from 0, as `nvidia-smi` lists them and CUDA_VISIBLE_DEVICES leaves them; or a list of such, and
        /// each has an equal part of every batch.
        pub device: OneOrMore<usize> = OneOrMore::One(0),
        /// In what the factors of products are rounded: f32 (not at all), bf16 or f16. The error: docs/gpu.md.
        pub precision: Precision = Precision::F32,
        /// Most MiB of a GPU's memory that may be taken; 0 for all that it has.
        pub memory: u64 = 0,
    }
}

struct CudaBackend(CudaOptions);

impl Plugin for CudaBackend {
    const NAME: &'static str = "cuda";
    const SUMMARY: &'static str = "NVIDIA's GPUs by CUDA, by burn-cuda";
    type Options = CudaOptions;

    fn new(options: CudaOptions) -> Result<Self, Error> {
        Ok(Self(options))
    }
}

const OTHERWISE: &str = "or use another backend, such as `wgpu` or `cpu`";

impl Backend for CudaBackend {
    type Burn = Cuda;

    fn device(&self, _: &Host) -> Result<Device<Cuda>, Error> {
        open(self.0.device.as_slice()[0])
    }

    fn others(&self, _: &Host) -> Result<Vec<Device<Cuda>>, Error> {
        self.0.device.as_slice()[1..].iter().map(|&number| open(number)).collect()
    }

    fn precision(&self) -> Precision {
        self.0.precision
    }

    fn memory(&self, device: &Device<Cuda>) -> Option<Memory> {
        Some(memory::of(&device.burn, self.0.memory))
    }
}

/// The driver is asked only where it is there, and a GPU is touched only where the driver has it: otherwise burn-cuda would
/// panic in a thread of its own.
fn open(number: usize) -> Result<Device<Cuda>, Error> {
    if !has_library(&CUDA_DRIVER) {
        let message =
            "no GPU is here: there is no NVIDIA driver (libcuda.so.1); install it (Debian: nvidia-driver)";
        return Err(Error::input(format!("{message}, {OTHERWISE}")));
    }
    let burn = cubecl::Device::cuda(number).map_err(|error| match error {
        DeviceUnavailable::NoSuchDevice { available: 0, .. } => Error::input(format!(
            "no GPU is here: the NVIDIA driver finds none; `nvidia-smi` says why, {OTHERWISE}"
        )),
        DeviceUnavailable::NoSuchDevice { available, .. } => no_such_gpu(number, available),
        other => Error::internal(other),
    })?;
    let name = burn.client().properties().identity.name.clone();
    Ok(Device { burn, name: format!("{name} (CUDA, burn-cuda)") })
}

expanse_sdk::export_backend!(CudaBackend);
