mod params;

use std::ops::ControlFlow;

use expanse_domain::Rng;
use expanse_neighbors::{Index, Itself, Neighbors, Search, nearest};
pub use params::{EnemyWeights, Eos, EosParams, EosParamsError};

use crate::{
    Base, Control, Meter, Note, Output, Place, Report, Request, SamplingError, Step, fill_steps,
    within::note_recall,
};

/// Expansive Over-Sampling: synthetic = base + r · (enemy − base), labelled as the base.
///
/// The K nearest neighbours of every sample of a class are searched among the samples of all classes, the
/// sample itself excluded by row number. An *enemy* is a neighbour of another class, a *base* a sample with
/// at least one. For each row a base is drawn uniformly with replacement, one of its enemies uniformly, and r
/// uniformly from [0, `r_max`). With `enemy_weights = "distance"` nearer enemies are drawn more often, in proportion
/// to 1 / distance; enemies at distance 0 then share all draws of their base. Source: Dablain, Bellinger, Krawczyk, Chawla, *Efficient Augmentation for
/// Imbalanced Deep Learning*, arXiv 2207.06080. A class with a single sample works.
///
/// K is lowered to the number of other rows where it exceeds that, and doubled for a class of which no sample
/// has an enemy until one has. Both are noted in the report.
///
/// # Compat
///
/// With `compat` the rows are chosen as by the authors' published code:
///
/// - Let T\[s\] be the K + 1 rows nearest to s *with s itself*, in order of distance, then row number. The
///   first column of the features does not count in this search.
/// - Each sample s of the class with an enemy among T\[s\]\[1..=K\] puts one base on the list: T\[s\]\[0\],
///   which is s unless a duplicate of s has a lower row number, whatever the duplicate's class.
/// - A position j is drawn uniformly among those where T\[s\]\[1 + j\] is an enemy, but the partner is
///   T\[base\]\[j\], one place nearer: often of the same class, and for j = 0 the base itself.
///
/// One thing differs: the published code loses the first column altogether; here it is interpolated as the
/// others are.
///
/// # Errors
///
/// The request or the output does not fit, the data hold a single class, or the caller cancelled. Under
/// compat also: a single column, or a class whose only enemies are passed over because they sort first as
/// duplicates.
pub fn eos(
    request: &Request<'_>,
    params: &Eos,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let queries: Vec<usize> = request.classes().flat_map(|class| &members[class]).copied().collect();
    let meter = Meter::new(control, queries.len() as u64 + request.total());
    let mut notes = Vec::new();
    let bases = bases(request, params, &members, &queries, &meter, &mut notes)?;
    let r = |rng: &mut Rng| rng.unit_f32() * params.r_max();
    let enemy_share = fill_steps(request, "eos", output, &meter, |Place { class, .. }, rng| {
        let base = &bases[class][rng.index(bases[class].len())];
        match params.enemy_weights() {
            EnemyWeights::Uniform => base.step(rng, r),
            EnemyWeights::Distance => step_by_distance(request, base, rng, r),
        }
    })?;
    Ok(Report { notes, enemy_share })
}

/// A way from the base to one of its partners, drawn in proportion to 1 / distance.
fn step_by_distance(
    request: &Request<'_>,
    base: &Base,
    rng: &mut Rng,
    r: impl FnOnce(&mut Rng) -> f32,
) -> Step {
    let distance = |&partner: &u32| {
        let ends = request.features.row(base.row).iter().zip(request.features.row(partner as usize));
        ends.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
    };
    let distances: Vec<f64> = base.partners.iter().map(distance).collect();
    let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
    // Relative to the nearest, so that no weight is infinite; where that lies at the base, only its like count.
    let weight = |&distance: &f64| match nearest {
        0.0 => f64::from(u8::from(distance == 0.0)),
        _ => nearest / distance,
    };
    let weights: Vec<f64> = distances.iter().map(weight).collect();
    let mut rest = f64::from(rng.unit_f32()) * weights.iter().sum::<f64>();
    let drawn = weights.iter().position(|weight| {
        rest -= weight;
        rest < 0.0
    });
    // Rounding may leave a rest after the last, which then is the one.
    let last = weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0);
    Step { base: base.row, partner: base.partners[drawn.unwrap_or(last)] as usize, r: r(rng) }
}

/// The bases of each class of which rows are wanted; at least one.
fn bases(
    request: &Request<'_>,
    params: &Eos,
    members: &[Vec<usize>],
    queries: &[usize],
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Vec<Base>>, SamplingError> {
    let mut bases = vec![Vec::new(); members.len()];
    if queries.is_empty() {
        return Ok(bases);
    }
    let mut present = (0..members.len()).filter(|&class| !members[class].is_empty());
    if let (Some(class), None) = (present.next(), present.next()) {
        return Err(SamplingError::SingleClass { class: class as u32, sampler: "eos" });
    }
    let others = request.features.rows() - 1;
    let (asked, compat) = (params.k_neighbors(), params.compat());
    let how = (compat, params.neighbors());
    let k = asked.min(others);
    let everyone = table(request, how, queries, k, &|answered| meter.watch(answered))?;
    let mut start = 0;
    for class in request.classes() {
        let of_class = |table: &Neighbors, start| -> Vec<Base> {
            let samples = members[class].iter().enumerate();
            let base = |(place, &sample): (usize, &usize)| {
                base_of(sample, table.row(start + place), class, request.labels, compat)
            };
            samples.filter_map(base).collect()
        };
        bases[class] = of_class(&everyone, start);
        let samples = start..start + members[class].len();
        start = samples.end;
        let mut wider = k;
        while bases[class].is_empty() {
            if wider == others {
                return Err(SamplingError::CompatEnemies { class: class as u32 });
            }
            wider = wider.saturating_mul(2).min(others);
            bases[class] = of_class(&table(request, how, &members[class], wider, &|_| meter.watch(0))?, 0);
        }
        notes.extend(note_recall(&everyone, samples, class));
        let mut note = |message: String| notes.push(Note::new(class, message));
        if k < asked {
            note(format!(
                "k_neighbors was lowered from {asked} to {k}: there are {} samples in all",
                others + 1
            ));
        }
        if wider > k {
            note(format!("k_neighbors was raised to {wider}: no sample has an enemy among its {k} nearest"));
        }
    }
    Ok(bases)
}

/// The base that `sample` of `class` gives, if an enemy is among the rows nearest to it.
fn base_of(sample: usize, nearest: &[u32], class: usize, labels: &[u32], compat: bool) -> Option<Base> {
    let (row, seen) = if compat { (nearest[0] as usize, &nearest[1..]) } else { (sample, nearest) };
    // Under compat `nearest` is T[sample], and the zip reads it one place nearer than `seen`. That is T[base]
    // too: a base at distance 0 has the very same neighbours in the same order.
    let partners: Vec<u32> = seen
        .iter()
        .zip(nearest)
        .filter(|&(&neighbor, _)| labels[neighbor as usize] as usize != class)
        .map(|(_, &partner)| partner)
        .collect();
    (!partners.is_empty()).then_some(Base { row, partners })
}

/// The K nearest rows of each query; under compat the K + 1 nearest with itself, by all columns but the
/// first.
fn table(
    request: &Request<'_>,
    (compat, index): (bool, Index),
    queries: &[usize],
    k: usize,
    watch: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<Neighbors, SamplingError> {
    let search = Search { index, watch, ..Search::of(request.features) };
    if !compat {
        return Ok(nearest(&search, queries, k)?);
    }
    let cols = request.features.cols();
    if cols == 1 {
        return Err(SamplingError::CompatColumns);
    }
    Ok(nearest(&Search { columns: 1..cols, itself: Itself::Included, ..search }, queries, k + 1)?)
}

#[cfg(test)]
mod tests;
