//! Sixteen floats at a time, on whatever the processor has.
//!
//! A kernel is written once over [`Simd`], is inlined into one function for each instruction set, and the
//! function that fits the processor is chosen at run time ([`Isa::detect`]).

#![allow(unsafe_code, reason = "kernels use vector instructions and pointers")]

/// The lanes of a vector, and the channels of a block.
pub(crate) const LANES: usize = 16;

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit registers with fused multiply–add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of it.
    Portable,
}

impl Isa {
    /// The widest that this processor has.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// All that this processor has, the widest first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx2);
            }
        }
        found.push(Self::Portable);
        found
    }

    /// The most output pixels that kernels keep in registers.
    pub(crate) fn pixels(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            Self::Portable => 4,
        }
    }

    /// Multiply–add operations of a thread in a second, as convolutions reach them on a processor of 2024; for
    /// estimates.
    pub(crate) fn rate(self) -> f64 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 1.0e11,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 4.5e10,
            Self::Portable => 8e9,
        }
    }

    /// What users know it as.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            Self::Portable => "portable",
        }
    }
}

/// Floats in registers: sixteen of them, or as many as a [`Part`](Self::Part) has.
///
/// # Safety
///
/// Every function needs a processor with the instruction set, and pointers to [`WIDTH`](Self::WIDTH) floats.
pub(crate) trait Simd: Copy {
    /// The registers.
    type V: Copy;
    /// What kernels use that keep many sums: a block of channels one part after the other.
    type Part: Simd;
    /// The floats of a vector, which divide [`LANES`].
    const WIDTH: usize;
    /// The most vectors of sums that there are registers for, beside those of what is multiplied.
    const SUMS: usize;
    /// Sixteen times the same.
    unsafe fn splat(value: f32) -> Self::V;
    /// From memory.
    unsafe fn load(from: *const f32) -> Self::V;
    /// To memory.
    unsafe fn store(to: *mut f32, value: Self::V);
    /// Asks for the cache line of an address, which may lie anywhere.
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
    /// a · b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a + b.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// a − b.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// a · b.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// a / b.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// √a.
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// max(a, 0).
    unsafe fn relu(a: Self::V) -> Self::V;
    /// a where b > 0, and 0 elsewhere.
    unsafe fn where_positive(a: Self::V, b: Self::V) -> Self::V;
}

/// One register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

/// Two registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

/// One register of AVX2: half of a block.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct HalfAvx2;

/// An array that the compiler keeps in registers where it can.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Avx2, Avx512, HalfAvx2, LANES, Simd};

    impl Simd for Avx512 {
        type V = __m512;
        type Part = Self;
        const WIDTH: usize = LANES;
        const SUMS: usize = 24;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            // SAFETY: the caller has AVX-512; so it is below.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            // SAFETY: sixteen floats, by contract.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m512) {
            // SAFETY: sixteen floats, by contract.
            unsafe { _mm512_storeu_ps(to, value) }
        }

        #[inline(always)]
        unsafe fn prefetch(at: *const f32) {
            // SAFETY: it reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }

        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_mul_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn div(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_div_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sqrt(a: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_sqrt_ps(a) }
        }

        #[inline(always)]
        unsafe fn relu(a: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_max_ps(a, _mm512_setzero_ps()) }
        }

        #[inline(always)]
        unsafe fn where_positive(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(b, _mm512_setzero_ps()), a) }
        }
    }

    impl Simd for Avx2 {
        type V = [__m256; 2];
        type Part = HalfAvx2;
        const WIDTH: usize = LANES;
        const SUMS: usize = 4;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self::V {
            // SAFETY: the caller has AVX2 and FMA; so it is below.
            unsafe { [HalfAvx2::splat(value); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            // SAFETY: sixteen floats, by contract.
            unsafe { [HalfAvx2::load(from), HalfAvx2::load(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, value: Self::V) {
            // SAFETY: sixteen floats, by contract.
            unsafe {
                HalfAvx2::store(to, value[0]);
                HalfAvx2::store(to.add(8), value[1]);
            }
        }

        #[inline(always)]
        unsafe fn prefetch(at: *const f32) {
            // SAFETY: it reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }

        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::fma(a[0], b[0], c[0]), HalfAvx2::fma(a[1], b[1], c[1])] }
        }

        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::add(a[0], b[0]), HalfAvx2::add(a[1], b[1])] }
        }

        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::sub(a[0], b[0]), HalfAvx2::sub(a[1], b[1])] }
        }

        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::mul(a[0], b[0]), HalfAvx2::mul(a[1], b[1])] }
        }

        #[inline(always)]
        unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::div(a[0], b[0]), HalfAvx2::div(a[1], b[1])] }
        }

        #[inline(always)]
        unsafe fn sqrt(a: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::sqrt(a[0]), HalfAvx2::sqrt(a[1])] }
        }

        #[inline(always)]
        unsafe fn relu(a: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::relu(a[0]), HalfAvx2::relu(a[1])] }
        }

        #[inline(always)]
        unsafe fn where_positive(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [HalfAvx2::where_positive(a[0], b[0]), HalfAvx2::where_positive(a[1], b[1])] }
        }
    }

    impl Simd for HalfAvx2 {
        type V = __m256;
        type Part = Self;
        const WIDTH: usize = LANES / 2;
        const SUMS: usize = 12;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            // SAFETY: the caller has AVX2 and FMA; so it is below.
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            // SAFETY: eight floats, by contract.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m256) {
            // SAFETY: eight floats, by contract.
            unsafe { _mm256_storeu_ps(to, value) }
        }

        #[inline(always)]
        unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_mul_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn div(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_div_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sqrt(a: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_sqrt_ps(a) }
        }

        #[inline(always)]
        unsafe fn relu(a: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_max_ps(a, _mm256_setzero_ps()) }
        }

        #[inline(always)]
        unsafe fn where_positive(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_and_ps(a, _mm256_cmp_ps::<_CMP_GT_OQ>(b, _mm256_setzero_ps())) }
        }
    }
}

/// a · b + c, fused where that is one instruction: elsewhere it would be a call.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

impl Simd for Portable {
    type V = [f32; LANES];
    type Part = Self;
    const WIDTH: usize = LANES;
    const SUMS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: sixteen floats, by contract.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Self::V) {
        // SAFETY: sixteen floats, by contract.
        unsafe { to.cast::<Self::V>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|lane| multiply_add(a[lane], b[lane], c[lane]))
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] / b[lane])
    }

    #[inline(always)]
    unsafe fn sqrt(a: Self::V) -> Self::V {
        a.map(f32::sqrt)
    }

    #[inline(always)]
    unsafe fn relu(a: Self::V) -> Self::V {
        a.map(|a| if a > 0.0 { a } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn where_positive(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| if b[lane] > 0.0 { a[lane] } else { 0.0 })
    }
}

/// Makes of a body that is generic over [`Simd`] a function that runs it on an instruction set:
/// `dispatch!(name, body, (argument: Type, …) -> Result)`.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident, $body:ident, ($($argument:ident: $type:ty),*)) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "the sizes of a kernel are plain numbers")]
        pub(crate) fn $name(isa: $crate::kernels::simd::Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx512($($argument: $type),*) {
                // SAFETY: the function is called on processors with AVX-512 only.
                unsafe { $body::<$crate::kernels::simd::Avx512>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx2($($argument: $type),*) {
                // SAFETY: the function is called on processors with AVX2 only.
                unsafe { $body::<$crate::kernels::simd::Avx2>($($argument),*) }
            }
            match isa {
                // SAFETY: `Isa` is made by `detect` and `available`, from what the processor has.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::simd::Isa::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::simd::Isa::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: it needs nothing special.
                $crate::kernels::simd::Isa::Portable => unsafe {
                    $body::<$crate::kernels::simd::Portable>($($argument),*)
                },
            }
        }
    };
}

pub(crate) use dispatch;
