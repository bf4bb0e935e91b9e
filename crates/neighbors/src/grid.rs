use std::ops::Range;

use expanse_domain::MatrixView;
use rayon::prelude::*;

use crate::{
    lanes::{Lanes, WithLanes, dispatch},
    tile::{NO_CANDIDATE, QUERIES, panel_width},
};

/// Rows that the origin and the scale are found from.
const SAMPLED: usize = 1024;

/// How much further from the origin than the one in the middle a row may lie before it is drawn in.
const SPREAD: f64 = 4.0;

/// Whole numbers of 16 bits in place of the values of a row, so that products are exact.
///
/// # The bound
///
/// A row x is shifted and scaled to x' = s (x − μ), drawn in to the ball of radius R around the origin, which gives p, and
/// rounded to the numbers P. Then
///
/// ‖P − Q‖ − ρ(P) − ρ(Q) ≤ ‖x' − y'‖ ≤ ‖P − Q‖ + e(P) + e(Q), with ρ(P) = ‖p − P‖ and e(P) = ‖x' − P‖.
///
/// On the left, since the nearest points of a ball lie no further apart than the points themselves; on the right by the
/// triangle inequality. With R = 2¹⁴ − 1 − √d / 2 no ‖P‖ exceeds 2¹⁴ − 1, so that −2Q has 16 bits, and −2 P · Q and
/// ‖P − Q‖² = ‖P‖² + ‖Q‖² − 2 P · Q have 32.
///
/// The *score* of a candidate P is ‖P‖² − 2 P · Q, which orders as ‖P − Q‖ does.
pub(crate) struct Grid {
    columns: Range<usize>,
    origin: Vec<f64>,
    scale: f64,
    radius: f64,
    /// What rounding may do to a distance that is summed in `f64`, as a factor.
    slack: f64,
}

/// A row whose error is no more than so many times the greatest rounding was not drawn in far.
const NEAR: f64 = 1.1;

/// What is known of a row besides its numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounded {
    /// ‖P‖².
    pub norm: i32,
    /// ρ(P), not less.
    pub rounding: f64,
    /// e(P), not less.
    pub error: f64,
}

/// Candidates, packed for products.
pub(crate) struct Panels {
    /// P of every row, `i16[panels, pairs of columns, vectors, 2 · lanes]`; 0 beyond the last.
    pub values: Vec<i16>,
    /// ‖P‖²; `i32[panels, panel width]`, [`NO_CANDIDATE`] beyond the last.
    pub norms: Vec<i32>,
    /// e(P), by row.
    errors: Vec<f32>,
    /// The greatest ρ(P).
    pub rounding: f64,
}

impl Panels {
    /// Whether the row at a place was drawn in by little more than rounding.
    #[inline(always)]
    pub(crate) fn is_near(&self, place: usize) -> bool {
        self.errors[place] <= (NEAR * self.rounding) as f32
    }
}

/// Queries, packed for products.
pub(crate) struct Queries {
    /// −2Q of every row, `i16[groups, pairs of columns, QUERIES, 2]`; 0 beyond the last.
    pub values: Vec<i16>,
    /// What is known of each.
    pub rounded: Vec<Rounded>,
}

impl Grid {
    /// A grid in which most of the rows use all of the bits.
    pub(crate) fn fit(points: MatrixView<'_>, columns: Range<usize>, rows: &[usize]) -> Self {
        let sampled = || {
            let rows = rows.iter().step_by(rows.len().div_ceil(SAMPLED).max(1));
            rows.map(|&row| &points.row(row)[columns.clone()])
        };
        let mut origin = vec![0.0; columns.len()];
        for values in sampled() {
            origin.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let count = sampled().count().max(1) as f64;
        origin.iter_mut().for_each(|sum| *sum /= count);
        let radius = (f64::from((1 << 14) - 1) - (columns.len() as f64).sqrt() / 2.0).max(0.0);
        let slack = 1.0 + (columns.len() as f64 + 12.0) * 2.0_f64.powi(-50);
        let mut grid = Self { columns: columns.clone(), origin, scale: 1.0, radius, slack };
        let mut shifted = vec![0.0; columns.len()];
        let norm = |values| {
            grid.shift(values, &mut shifted);
            sum_of_squares(shifted.iter().copied())
        };
        let mut norms: Vec<f64> = sampled().map(norm).collect();
        norms.sort_unstable_by(f64::total_cmp);
        let middle = norms.get(norms.len() / 2).map_or(0.0, |norm| SPREAD * norm.sqrt());
        // Where most rows are one and the same, the others tell the scale.
        let reach = if middle > 0.0 { middle } else { norms.last().map_or(0.0, |norm| norm.sqrt()) };
        grid.scale = if reach > 0.0 { radius / reach } else { 1.0 };
        grid
    }

    pub(crate) fn candidates(&self, points: MatrixView<'_>, rows: &[u32]) -> Panels {
        let (width, pairs) = (panel_width(), self.pairs());
        let panels = rows.len().div_ceil(width);
        let mut values = vec![0; panels * pairs * width * 2];
        let mut norms = vec![NO_CANDIDATE; panels * width];
        let mut errors = vec![0.0; rows.len()];
        let places = values.par_chunks_mut(pairs * width * 2).zip(norms.par_chunks_mut(width));
        let places = places.zip(errors.par_chunks_mut(width)).zip(rows.par_chunks(width));
        let rounding = places.map(|(((values, norms), errors), rows)| {
            dispatch(PackPanel { grid: self, points, rows, values, norms, errors })
        });
        let rounding = rounding.reduce(|| 0.0, f64::max);
        Panels { values, norms, errors, rounding }
    }

    pub(crate) fn queries(&self, points: MatrixView<'_>, rows: &[usize]) -> Queries {
        let mut values = vec![0; rows.len().div_ceil(QUERIES) * self.pairs() * QUERIES * 2];
        let rounded = dispatch(PackQueries { grid: self, points, rows, values: &mut values });
        Queries { values, rounded }
    }

    /// Pairs of columns; the second of the last one may be missing.
    pub(crate) fn pairs(&self) -> usize {
        self.columns.len().div_ceil(2)
    }

    /// The distance that no score up to which a limit tells exceeds: rows of a greater one are further from the query
    /// than a row whose squared distance, as summed in `f64`, is `distance`.
    pub(crate) fn limit_of_distance(&self, distance: f64, query: &Rounded, rounding: f64) -> i32 {
        self.limit(distance.sqrt() * self.scale, query, rounding)
    }

    /// The score beyond which a row is further from the query than one of that score that is
    /// [near](Panels::is_near).
    pub(crate) fn limit_of_score(&self, score: i32, query: &Rounded, rounding: f64) -> i32 {
        let apart = (f64::from(score) + f64::from(query.norm)).max(0.0).sqrt();
        self.limit(apart + NEAR * rounding + query.error, query, rounding)
    }

    /// The score beyond which a row is further than `distance` from the query, where candidates have been rounded by
    /// `rounding` at most.
    fn limit(&self, distance: f64, query: &Rounded, rounding: f64) -> i32 {
        let apart = distance * self.slack + query.rounding + rounding;
        // What exceeds `i32` becomes the largest.
        (apart * apart * self.slack - f64::from(query.norm) + 1.0) as i32
    }

    /// x − μ, times s, for the values of a row.
    #[inline(always)]
    fn shift(&self, values: &[f32], shifted: &mut [f64]) {
        for ((to, &value), &origin) in shifted.iter_mut().zip(values).zip(&self.origin) {
            *to = (f64::from(value) - origin) * self.scale;
        }
    }

    /// Rounds the values of a row.
    #[inline(always)]
    fn round(&self, values: &[f32], shifted: &mut [f64], rounded: &mut [i16]) -> Rounded {
        // Added and taken away, it leaves a whole number, which is then in the lowest bits.
        const WHOLE: f64 = 6_755_399_441_055_744.0;
        self.shift(values, shifted);
        let length = sum_of_squares(shifted.iter().copied()).sqrt();
        let shrink = if length > self.radius { self.radius / length } else { 1.0 };
        for (to, &value) in rounded.iter_mut().zip(&*shifted) {
            *to = (value * shrink + WHOLE).to_bits() as i16;
        }
        let norm = rounded
            .iter()
            .fold(0_i32, |sum, &value| sum.wrapping_add(i32::from(value).wrapping_mul(i32::from(value))));
        let pairs = || shifted.iter().zip(&*rounded).map(|(&value, &whole)| (value, f64::from(whole)));
        let rounding = sum_of_squares(pairs().map(|(value, whole)| value * shrink - whole)).sqrt();
        let error = match shrink {
            1.0 => rounding,
            _ => sum_of_squares(pairs().map(|(value, whole)| value - whole)).sqrt(),
        };
        // What `f64` does to the two is far less than what is added.
        let more = |length: f64| length * (1.0 + 1e-9) + 1e-6;
        Rounded { norm, rounding: more(rounding), error: more(error) }
    }
}

/// Σ v², in eight sums that need not wait for one another.
#[inline(always)]
fn sum_of_squares(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let mut sums = [0.0; 8];
    let mut values = values;
    while values.len() >= 8 {
        let eight: [f64; 8] = std::array::from_fn(|_| values.next().unwrap_or(0.0));
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value * value);
    }
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * value);
    sums.iter().sum()
}

struct PackPanel<'a> {
    grid: &'a Grid,
    points: MatrixView<'a>,
    rows: &'a [u32],
    values: &'a mut [i16],
    norms: &'a mut [i32],
    errors: &'a mut [f32],
}

impl WithLanes for PackPanel<'_> {
    type Output = f64;

    /// The greatest rounding of a row.
    #[inline(always)]
    fn with<L: Lanes>(self, _: L) -> f64 {
        let Self { grid, points, rows, values, norms, errors } = self;
        let mut shifted = vec![0.0; grid.columns.len()];
        let mut rounded = vec![0; grid.columns.len()];
        let mut most: f64 = 0.0;
        for (place, &row) in rows.iter().enumerate() {
            let row = &points.row(row as usize)[grid.columns.clone()];
            let of_row = grid.round(row, &mut shifted, &mut rounded);
            norms[place] = of_row.norm;
            errors[place] = (of_row.error as f32).next_up();
            most = most.max(of_row.rounding);
            let (vector, lane) = (place / L::LANES, place % L::LANES);
            let vectors = values.chunks_exact_mut(2 * L::LANES).skip(vector).step_by(L::VECTORS);
            for (to, pair) in vectors.zip(rounded.chunks(2)) {
                to[L::place(lane, false)] = pair[0];
                if let Some(&second) = pair.get(1) {
                    to[L::place(lane, true)] = second;
                }
            }
        }
        most
    }
}

struct PackQueries<'a> {
    grid: &'a Grid,
    points: MatrixView<'a>,
    rows: &'a [usize],
    values: &'a mut [i16],
}

impl WithLanes for PackQueries<'_> {
    type Output = Vec<Rounded>;

    #[inline(always)]
    fn with<L: Lanes>(self, _: L) -> Vec<Rounded> {
        let Self { grid, points, rows, values } = self;
        let mut shifted = vec![0.0; grid.columns.len()];
        let mut rounded = vec![0; grid.columns.len()];
        let groups = values.chunks_mut(grid.pairs() * QUERIES * 2).zip(rows.chunks(QUERIES));
        let mut all = Vec::with_capacity(rows.len());
        for (values, rows) in groups {
            for (lane, &row) in rows.iter().enumerate() {
                let row = &points.row(row)[grid.columns.clone()];
                all.push(grid.round(row, &mut shifted, &mut rounded));
                for (to, pair) in values.chunks_exact_mut(2 * QUERIES).zip(rounded.chunks(2)) {
                    to[2 * lane..].iter_mut().zip(pair).for_each(|(to, value)| *to = value.wrapping_mul(-2));
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use expanse_domain::{Matrix, Seed};

    use super::*;

    /// Every distance of rows drawn from `value` lies within its bounds.
    fn check(cols: usize, value: impl Fn(&mut expanse_domain::Rng, usize) -> f32) {
        let mut rng = Seed(3).rng();
        let points = (0..60 * cols).map(|place| value(&mut rng, place / cols)).collect();
        let points = Matrix::new(points, 60, cols).unwrap();
        let all: Vec<usize> = (0..60).collect();
        let grid = Grid::fit(points.view(), 0..cols, &all);
        let round = |row: usize| {
            let (mut shifted, mut whole) = (vec![0.0; cols], vec![0_i16; cols]);
            (grid.round(points.row(row), &mut shifted, &mut whole), whole)
        };
        let rounded: Vec<(Rounded, Vec<i16>)> = all.iter().map(|&row| round(row)).collect();
        for (row, (a, p)) in rounded.iter().enumerate() {
            assert!(f64::from(a.norm).sqrt() <= 16_383.0);
            assert_eq!(a.norm, p.iter().map(|&value| i32::from(value) * i32::from(value)).sum::<i32>());
            for (other, (b, q)) in rounded.iter().enumerate() {
                let squares = p.iter().zip(q).map(|(&p, &q)| (f64::from(p) - f64::from(q)).powi(2));
                let apart = squares.sum::<f64>().sqrt();
                let ends = points.row(row).iter().zip(points.row(other));
                let squares = ends.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
                let distance = squares.sum::<f64>().sqrt() * grid.scale;
                let (low, high) = (apart - a.rounding - b.rounding, apart + a.error + b.error);
                let slack = distance * 1e-12;
                assert!(low - slack <= distance && distance <= high + slack, "{low} {distance} {high}");
            }
        }
    }

    #[test]
    fn distances_lie_within_their_bounds() {
        check(7, |rng, _| rng.unit_f32() - 0.5);
        check(300, |rng, _| rng.unit_f32() + 1000.0);
        // One row in seven lies so far out that it is drawn in.
        check(6, |rng, row| (rng.unit_f32() - 0.5) * if row % 7 == 0 { 1e20 } else { 1.0 });
        check(1, |rng, row| rng.unit_f32() * if row > 50 { f32::MAX } else { 1e-40 });
        check(5, |_, row| if row == 9 { 3.0 } else { 0.1 });
        check(4, |_, _| 0.1);
    }
}
