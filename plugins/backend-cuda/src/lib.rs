//! NVIDIA's GPUs by CUDA: the engine on burn's `cuda` backend.

use burn_cuda::Cuda;
use cubecl::device::DeviceUnavailable;
use expanse_sdk::{Backend, Device, Error, Host, Plugin, has_library, options};

options! {
    /// Options of `cuda`.
    pub struct CudaOptions {
        /// Number of the GPU, from 0, as `nvidia-smi` lists them and CUDA_VISIBLE_DEVICES leaves them.
        pub device: usize = 0,
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

/// What the driver's library is called on the systems that have one.
const DRIVER: [&str; 3] = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];

const OTHERWISE: &str = "or use another backend, such as `wgpu` or `cpu`";

impl Backend for CudaBackend {
    type Burn = Cuda;

    /// The driver is asked only where it is there, and a GPU is touched only where the driver has it: otherwise
    /// burn-cuda would panic in a thread of its own.
    fn device(&self, _: &Host) -> Result<Device<Cuda>, Error> {
        if !has_library(&DRIVER) {
            let message = "no GPU is here: there is no NVIDIA driver (libcuda.so.1); install it (Debian: nvidia-driver)";
            return Err(Error::input(format!("{message}, {OTHERWISE}")));
        }
        let number = self.0.device;
        let burn = cubecl::Device::cuda(number).map_err(|error| match error {
            DeviceUnavailable::NoSuchDevice { available: 0, .. } => Error::input(format!(
                "no GPU is here: the NVIDIA driver finds none; `nvidia-smi` says why, {OTHERWISE}"
            )),
            DeviceUnavailable::NoSuchDevice { available, .. } => Error::option(
                "device",
                format!("there is no GPU {number} here; the numbers go from 0 to {}", available - 1),
            ),
            other => Error::internal(other),
        })?;
        let name = burn.client().properties().identity.name.clone();
        Ok(Device { burn, name: format!("{name} (CUDA, burn-cuda)") })
    }
}

expanse_sdk::export_backend!(CudaBackend);
