//! Memory that is had in large pages.

#![allow(unsafe_code)]

use bytemuck::Pod;

/// Values for which large pages are asked for: fewer gain nothing that could be measured. NumPy has the same bound.
const FEWEST_BYTES: usize = 4 << 20;

/// Asks the system to back these values with large pages where it gives them on request: memory that is touched for the
/// first time then costs one fault for 2 MB in place of 512. The values stay as they are.
pub(crate) fn ask_for_large<T: Pod>(values: &mut [T]) {
    #[cfg(target_os = "linux")]
    if size_of_val(values) >= FEWEST_BYTES {
        let page = rustix::param::page_size();
        let range = values.as_mut_ptr_range();
        let before = (range.start as usize).next_multiple_of(page) - range.start as usize;
        let whole = (size_of_val(values) - before) / page * page;
        // SAFETY: these whole pages lie within `values`, to which nobody else has access, and the advice changes what
        // memory they have and never what they hold. Where it is not heeded, nothing is lost.
        unsafe { libc::madvise(range.start.byte_add(before).cast(), whole, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (values, FEWEST_BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_are() {
        for values in [0, 1, FEWEST_BYTES / 4 - 1, FEWEST_BYTES / 4, FEWEST_BYTES + 3] {
            let mut asked: Vec<u32> = (0..values as u32).collect();
            ask_for_large(&mut asked);
            assert!(asked.iter().enumerate().all(|(place, &value)| value == place as u32), "{values}");
        }
    }
}
