use expanse_domain::{Provenance, Rng};
use rayon::prelude::*;

use crate::{Meter, Output, Request, SamplingError};

/// Rows between two looks at the caller's wish to cancel.
const BLOCK: usize = 512;

/// Which row is being made.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its class.
    pub class: usize,
    /// Its number among the rows of that class, from 0.
    pub number: u64,
}

/// A row to start from.
#[derive(Clone, Debug)]
pub struct Base {
    /// The row.
    pub row: usize,
    /// The rows to step towards; at least one.
    pub partners: Vec<u32>,
}

impl Base {
    /// A way from here to one of the partners, drawn uniformly.
    pub fn step(&self, rng: &mut Rng, r: impl FnOnce(&mut Rng) -> f32) -> Step {
        let partner = self.partners[rng.index(self.partners.len())] as usize;
        Step { base: self.row, partner, r: r(rng) }
    }
}

/// A way from one row to another, or away from it: base + r · (partner − base).
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Row of the features that it starts from.
    pub base: usize,
    /// Row of the features that it leads to.
    pub partner: usize,
    /// Its length as a share of the whole way: in `[0, 1]` between the two, below 0 away from the partner.
    pub r: f32,
}

/// Makes every row wanted as base + r · (partner − base), in `f32`, from one of the bases of its class, drawn
/// uniformly, towards one of the partners of that base, drawn uniformly, with r from [0, 1).
pub fn fill_between(
    request: &Request<'_>,
    sampler: &str,
    bases: &[Vec<Base>],
    output: Output<'_>,
    meter: &Meter<'_>,
) -> Result<Vec<Option<f64>>, SamplingError> {
    fill_steps(request, sampler, output, meter, |Place { class, .. }, rng| {
        bases[class][rng.index(bases[class].len())].step(rng, Rng::unit_f32)
    })
}

/// Makes every row wanted as base + r · (partner − base), in `f32`, with what
/// `step(place, generator of this row)` says. What would leave the range of `f32`, beyond the base, stays at its
/// limit.
pub fn fill_steps(
    request: &Request<'_>,
    sampler: &str,
    output: Output<'_>,
    meter: &Meter<'_>,
    step: impl Fn(Place, &mut Rng) -> Step + Sync,
) -> Result<Vec<Option<f64>>, SamplingError> {
    fill(request, sampler, output, meter, |place, rng, row| {
        let step = step(place, rng);
        step.write(request, row);
        step.provenance(request)
    })
}

impl Step {
    /// Writes the row at its end.
    pub fn write(&self, request: &Request<'_>, row: &mut [f32]) {
        let ends = request.features.row(self.base).iter().zip(request.features.row(self.partner));
        for (to, (base, partner)) in row.iter_mut().zip(ends) {
            *to = (base + self.r * (partner - base)).clamp(f32::MIN, f32::MAX);
        }
    }

    /// Where the row at its end comes from. Of a row beyond the base, which is on the way to nowhere, that is the base
    /// alone.
    pub fn provenance(&self, request: &Request<'_>) -> Provenance {
        if self.r < 0.0 {
            return Step { partner: self.base, r: 0.0, ..*self }.provenance(request);
        }
        let partner_class = request.labels[self.partner];
        Provenance { base: self.base as u64, partner: self.partner as u64, partner_class, r: self.r }
    }
}

/// Makes every row wanted with `make(place, generator of this row, row to write)`, and returns the share of
/// enemies among the partners of each class.
///
/// Row `number` of class `class` draws from `seed.derive(sampler, &[class, number])` alone.
pub fn fill(
    request: &Request<'_>,
    sampler: &str,
    output: Output<'_>,
    meter: &Meter<'_>,
    make: impl Fn(Place, &mut Rng, &mut [f32]) -> Provenance + Sync,
) -> Result<Vec<Option<f64>>, SamplingError> {
    let Output { features, labels, provenance, stride, .. } = output;
    let cols = request.features.cols();
    let starts: Vec<u64> = request
        .wanted
        .iter()
        .scan(0, |next, &wanted| {
            *next += wanted;
            Some(*next - wanted)
        })
        .collect();
    let one = |number: u64, row: &mut [f32], label: &mut u32, provenance: &mut Provenance| {
        // Of the classes that start here or before, the last: those before it are over, or have no rows.
        let class = starts.partition_point(|&start| start <= number) - 1;
        let place = Place { class, number: number - starts[class] };
        let mut rng = request.seed.derive(sampler, &[class as u64, place.number]).rng();
        *label = class as u32;
        *provenance = make(place, &mut rng, &mut row[..cols]);
    };
    features
        .par_chunks_mut(stride.saturating_mul(BLOCK))
        .zip(labels.par_chunks_mut(BLOCK))
        .zip(provenance.par_chunks_mut(BLOCK))
        .enumerate()
        .try_for_each(|(block, ((features, labels), provenance))| {
            let made = labels.len();
            let rows = features.chunks_mut(stride).zip(labels).zip(provenance);
            for (place, ((row, label), provenance)) in rows.enumerate() {
                one((block * BLOCK + place) as u64, row, label, provenance);
            }
            meter.advance(made)
        })?;
    Ok(enemy_shares(request.wanted, provenance))
}

fn enemy_shares(wanted: &[u64], mut provenance: &[Provenance]) -> Vec<Option<f64>> {
    let share = |(class, &wanted): (usize, &u64)| {
        let (rows, rest) = provenance.split_at(wanted as usize);
        provenance = rest;
        let enemies = rows.iter().filter(|row| row.is_enemy(class as u32)).count();
        (wanted > 0).then(|| enemies as f64 / wanted as f64)
    };
    wanted.iter().enumerate().map(share).collect()
}
