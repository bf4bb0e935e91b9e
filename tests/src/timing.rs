//! What the benchmarks share: order statistics of what they measure, and the memory of a process.

use std::{env, fs};

/// The interval that holds the median with 95 % confidence, by the normal approximation of the binomial ranks:
/// n/2 ± 0.98·√n. Source: Conover, *Practical Nonparametric Statistics* (1999), section 3.2.
pub fn confidence(sorted: &[f64]) -> (f64, f64) {
    let (middle, reach) = ((sorted.len() - 1) / 2, (0.98 * (sorted.len() as f64).sqrt()).ceil() as usize);
    (sorted[middle.saturating_sub(reach)], sorted[(middle + 1 + reach).min(sorted.len() - 1)])
}

/// The values in ascending order.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile of sorted values, interpolated between its neighbours.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The most memory that this process has had, in MiB; `None` where the system does not tell.
pub fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// `--pairs N`; cargo's own argument `--bench` is of no interest.
pub fn pairs(otherwise: usize) -> usize {
    let arguments: Vec<String> = env::args().collect();
    let given = arguments.iter().position(|argument| argument == "--pairs");
    given.and_then(|at| arguments.get(at + 1)?.parse().ok()).filter(|pairs| *pairs > 0).unwrap_or(otherwise)
}
