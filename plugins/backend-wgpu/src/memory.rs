//! What of a GPU's memory may be taken. The backend `cuda` has this file, too.

use cubecl::{Device, MemoryScope};
use expanse_sdk::{Memory, engine::Limit};

/// Of a GPU whose memory is bounded to so many MiB, or not at all by 0.
pub(crate) fn of(device: &Device, mib: u64) -> Memory {
    let client = device.client();
    let largest = client.properties().memory.max_page_size;
    let taken = Box::new(move || client.memory_report(MemoryScope::Device).usage().bytes_reserved);
    let limit = (mib > 0).then(|| Limit { bytes: mib.saturating_mul(1 << 20), taken });
    Memory { largest, limit }
}
