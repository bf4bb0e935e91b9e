use expanse_domain::{Provenance, Rng};
use rayon::prelude::*;

use crate::{Output, Request, SamplingError, control::Meter};

/// Rows between two looks at the caller's wish to cancel.
const BLOCK: usize = 512;

/// A row to start from.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) row: usize,
    /// The rows to step towards; at least one.
    pub(crate) partners: Vec<u32>,
}

/// Makes every row wanted as base + r · (partner − base), in `f32`: one of the bases of its class, one of the
/// partners of that base, and r from [0, `r_max`), all drawn uniformly.
pub(crate) fn fill_between(
    request: &Request<'_>,
    sampler: &str,
    (bases, r_max): (&[Vec<Base>], f32),
    output: Output<'_>,
    meter: &Meter<'_>,
) -> Result<Vec<Option<f64>>, SamplingError> {
    fill(request, sampler, output, meter, |class, rng, row| {
        let Base { row: base, partners } = &bases[class][rng.index(bases[class].len())];
        let partner = partners[rng.index(partners.len())] as usize;
        let r = rng.unit_f32() * r_max;
        let ends = request.features.row(*base).iter().zip(request.features.row(partner));
        for (to, (base, partner)) in row.iter_mut().zip(ends) {
            *to = base + r * (partner - base);
        }
        Provenance { base: *base as u64, partner: partner as u64, partner_class: request.labels[partner], r }
    })
}

/// Makes every row wanted with `make(class, generator of this row, row to write)`, and returns the share of
/// enemies among the partners of each class.
pub(crate) fn fill(
    request: &Request<'_>,
    sampler: &str,
    output: Output<'_>,
    meter: &Meter<'_>,
    make: impl Fn(usize, &mut Rng, &mut [f32]) -> Provenance + Sync,
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
        let place = [class as u64, number - starts[class]];
        *label = class as u32;
        *provenance = make(class, &mut request.seed.derive(sampler, &place).rng(), &mut row[..cols]);
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
