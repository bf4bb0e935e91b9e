/// The integer that `x` stands for when it misses it only by rounding (a relative 1e-9), else `x`.
///
/// To be called before `floor` and `ceil`: 0.55 · 100 is 55.000000000000007 in `f64`, and its ceiling 56.
pub(crate) fn snap(x: f64) -> f64 {
    let nearest = x.round();
    if (x - nearest).abs() <= 1e-9 * nearest.max(1.0) { nearest } else { x }
}
