/// The number that IEEE 754's binary16 writes with these bits.
pub fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (fraction / 1024.0 + 1.0) * 2.0_f32.powi(exponent - 15),
    }
}

/// The number that bfloat16, the upper half of an `f32`, writes with these bits.
pub fn bfloat16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision() {
        // Values of IEEE 754-2019, binary16.
        let check = |bits, expected| assert_eq!(half_to_f32(bits), expected, "{bits:#x}");
        check(0x3c00, 1.0);
        check(0xc000, -2.0);
        check(0x7bff, 65504.0);
        check(0x0001, 5.960_464_5e-8);
        check(0x3555, 0.333_251_95);
        check(0x7c00, f32::INFINITY);
        assert!(half_to_f32(0x7e00).is_nan());
        assert_eq!(bfloat16_to_f32(0xc040), -3.0);
    }
}
