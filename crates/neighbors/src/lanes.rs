//! Vectors of whole numbers, as wide as the machine has them.

use bytemuck::Pod;

/// Vector registers for products of numbers of 16 bits, summed in 32.
pub(crate) trait Lanes: Copy {
    /// A number of 32 bits in every lane.
    type Sums: Pod;
    /// Two numbers of 16 bits for every lane.
    type Pairs: Pod;
    /// Lanes of a vector.
    const LANES: usize;
    /// Vectors of candidates in a panel. Where there are but sixteen registers, one leaves room for the sums.
    const VECTORS: usize;

    /// Where the first or second number of a lane stands in its [`Pairs`](Self::Pairs).
    #[inline(always)]
    fn place(lane: usize, second: bool) -> usize {
        2 * lane + usize::from(second)
    }

    fn splat(self, value: i32) -> Self::Sums;

    /// The same pair for every lane, where the two stand side by side.
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> Self::Pairs {
        bytemuck::cast(self.splat(bytemuck::cast(pair)))
    }

    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    fn min(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// By lane: `sum` and the products of both pairs.
    fn multiply_add(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Sums) -> Self::Sums;
    /// The lanes in which `a` is at most `b`, as bits, the first one lowest.
    fn at_most(self, a: Self::Sums, b: Self::Sums) -> u64;
}

/// What is done with whichever registers the machine has.
pub(crate) trait WithLanes {
    type Output;
    fn with<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Runs with the widest vectors that the machine has.
pub(crate) fn dispatch<Op: WithLanes>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(lanes) = pulp::x86::V4::try_new() {
            return lanes.vectorize(
                #[inline(always)]
                || op.with(lanes),
            );
        }
        if let Some(lanes) = pulp::x86::V3::try_new() {
            return lanes.vectorize(
                #[inline(always)]
                || op.with(lanes),
            );
        }
    }
    op.with(Portable)
}

#[cfg(target_arch = "x86_64")]
impl Lanes for pulp::x86::V4 {
    type Sums = pulp::i32x16;
    type Pairs = pulp::i16x32;
    const LANES: usize = 16;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn splat(self, value: i32) -> Self::Sums {
        self.splat_i32x16(value)
    }

    #[inline(always)]
    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        pulp::Simd::add_i32s(self, a, b)
    }

    #[inline(always)]
    fn min(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        pulp::Simd::min_i32s(self, a, b)
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Sums) -> Self::Sums {
        self.add(self.multiply_wrapping_add_adjacent_i16x32(a, b), sum)
    }

    #[inline(always)]
    fn at_most(self, a: Self::Sums, b: Self::Sums) -> u64 {
        u64::from(self.cmp_le_i32x16(a, b).0)
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for pulp::x86::V3 {
    type Sums = pulp::i32x8;
    type Pairs = pulp::i16x16;
    const LANES: usize = 8;
    const VECTORS: usize = 1;

    #[inline(always)]
    fn splat(self, value: i32) -> Self::Sums {
        self.splat_i32x8(value)
    }

    #[inline(always)]
    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        pulp::Simd::add_i32s(self, a, b)
    }

    #[inline(always)]
    fn min(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        pulp::Simd::min_i32s(self, a, b)
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Sums) -> Self::Sums {
        self.add(self.multiply_wrapping_add_adjacent_i16x16(a, b), sum)
    }

    #[inline(always)]
    fn at_most(self, a: Self::Sums, b: Self::Sums) -> u64 {
        let mask = self.cmp_le_i32x8(a, b);
        u64::from(self.avx._mm256_movemask_ps(bytemuck::cast(mask)) as u32)
    }
}

/// Loops that compilers turn into the vectors of any machine, NEON's among them.
#[derive(Clone, Copy)]
struct Portable;

impl Lanes for Portable {
    type Sums = [i32; 8];
    type Pairs = [i16; 16];
    const LANES: usize = 8;
    const VECTORS: usize = 1;

    #[inline(always)]
    fn place(lane: usize, second: bool) -> usize {
        lane + if second { Self::LANES } else { 0 }
    }

    #[inline(always)]
    fn splat(self, value: i32) -> Self::Sums {
        [value; 8]
    }

    #[inline(always)]
    fn splat_pair(self, [first, second]: [i16; 2]) -> Self::Pairs {
        std::array::from_fn(|place| if place < Self::LANES { first } else { second })
    }

    #[inline(always)]
    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn min(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        std::array::from_fn(|lane| a[lane].min(b[lane]))
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Sums) -> Self::Sums {
        let product = |place: usize| i32::from(a[place]) * i32::from(b[place]);
        std::array::from_fn(|lane| {
            sum[lane].wrapping_add(product(lane)).wrapping_add(product(lane + Self::LANES))
        })
    }

    #[inline(always)]
    fn at_most(self, a: Self::Sums, b: Self::Sums) -> u64 {
        (0..Self::LANES).fold(0, |bits, lane| bits | u64::from(a[lane] <= b[lane]) << lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a kind of registers computes, lane by lane.
    fn computed<L: Lanes>(lanes: L) -> Vec<(i32, i32, i32, bool)> {
        let number = |place: usize| (place as i16).wrapping_mul(7919);
        let pairs = |shift: usize| {
            let mut values = vec![0i16; 2 * L::LANES];
            for lane in 0..L::LANES {
                for second in [false, true] {
                    values[L::place(lane, second)] = number(2 * (lane % 8) + usize::from(second) + shift) / 2;
                }
            }
            bytemuck::pod_read_unaligned::<L::Pairs>(bytemuck::cast_slice(&values))
        };
        let two = lanes.splat_pair([-3, 16_000]);
        let products = lanes.multiply_add(pairs(0), two, lanes.splat(-11));
        let others = lanes.multiply_add(pairs(5), two, lanes.splat(4));
        let read = |sums: L::Sums| bytemuck::cast_slice::<u8, i32>(bytemuck::bytes_of(&sums)).to_vec();
        let (least, sum) = (read(lanes.min(products, others)), read(lanes.add(products, others)));
        let low = lanes.at_most(products, others);
        assert_eq!(low >> L::LANES, 0);
        let lane = |lane: usize| (read(products)[lane], least[lane], sum[lane], low >> lane & 1 == 1);
        (0..8).map(lane).collect()
    }

    #[test]
    fn all_registers_compute_the_same() {
        let expected = computed(Portable);
        assert!(expected.iter().any(|lane| lane.3) && expected.iter().any(|lane| !lane.3));
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = pulp::x86::V3::try_new() {
                assert_eq!(computed(lanes), expected);
            }
            if let Some(lanes) = pulp::x86::V4::try_new() {
                assert_eq!(computed(lanes), expected);
            }
        }
    }
}
