use expanse_domain::{Provenance, Rng};
use rayon::prelude::*;

use crate::{Meter, Output, Request, SamplingError};

/// Rows of a class that draw from one generator, one after another, and between two looks at the caller's wish to cancel.
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
/// `step(place, generator)` says. What would leave the range of `f32`, beyond the base, stays at its
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

/// Makes every row wanted with `make(place, generator, row to write)`, and returns the share of enemies among the partners
/// of each class.
///
/// The rows of a class draw from generators of which each serves 512 rows, one after another: those from 512 b on from that
/// of `seed.derive(sampler, &[class, b])`. So no row depends on another class, or on how many rows follow.
pub fn fill(
    request: &Request<'_>,
    sampler: &str,
    output: Output<'_>,
    meter: &Meter<'_>,
    make: impl Fn(Place, &mut Rng, &mut [f32]) -> Provenance + Sync,
) -> Result<Vec<Option<f64>>, SamplingError> {
    let Output { features, labels, provenance, stride, .. } = output;
    let cols = request.features.cols();
    let mut blocks = Vec::new();
    let mut rest = (features, labels, &mut *provenance);
    for (class, &wanted) in request.wanted.iter().enumerate() {
        for first in (0..wanted).step_by(BLOCK) {
            let rows = (wanted - first).min(BLOCK as u64) as usize;
            let values = rest.0.len().min(rows.saturating_mul(stride));
            let (features, other_features) = rest.0.split_at_mut(values);
            let (labels, other_labels) = rest.1.split_at_mut(rows);
            let (provenance, other_provenance) = rest.2.split_at_mut(rows);
            rest = (other_features, other_labels, other_provenance);
            blocks.push((Place { class, number: first }, features, labels, provenance));
        }
    }
    blocks.into_par_iter().try_for_each(
        |(Place { class, number: first }, features, labels, provenance)| {
            labels.fill(class as u32);
            let mut rng = request.seed.derive(sampler, &[class as u64, first / BLOCK as u64]).rng();
            let rows = features.chunks_mut(stride).zip(&mut *provenance);
            for (number, (row, provenance)) in (first..).zip(rows) {
                *provenance = make(Place { class, number }, &mut rng, &mut row[..cols]);
            }
            meter.advance(provenance.len())
        },
    )?;
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
