mod params;

use std::sync::atomic::{AtomicU64, Ordering};

use expanse_domain::{Matrix, Seed};
use expanse_sampling::{
    Base, Control, Meter, Note, Output, Place, Report, Request, SamplingError, Within, draw_rows, fill,
};
use ndarray::Array1;
pub use params::{SvmBalance, SvmBalanceParams};
use rayon::prelude::*;

use crate::{
    points::points,
    svm::{Machine, scale_gamma},
};

/// SVM-balance: rows of SMOTE whose label is what a support vector machine says it is.
///
/// The method trains a support vector machine (RBF kernel, one against one, γ = 1 / (columns · variance)) on data that
/// SMOTE has balanced, and lets it relabel them. So here: a row wanted of a class is drawn as by SMOTE from that class,
/// and drawn again, at most 100 times, until the machine gives it to the class. Source: Farquad, Bose, *Preprocessing
/// unbalanced data using support vector machine*, Decision Support Systems 53 (2012).
///
/// Each class takes part in training with up to half of `svm_rows` samples, topped up by SMOTE to that or to the largest
/// class. Of a row that the machine never gives to its class the last draw is kept, so that the counts are met; the
/// report notes how many those are. K is lowered as by SMOTE.
///
/// # Errors
///
/// The request or the output does not fit, rows are wanted of a class with one sample or of the only class, a machine
/// cannot be trained, or the caller cancelled.
pub fn svm_balance(
    request: &Request<'_>,
    params: &SvmBalance,
    output: Output<'_>,
    control: &dyn Control,
) -> Result<Report, SamplingError> {
    let members = request.members(&output)?;
    let present: Vec<usize> = (0..members.len()).filter(|&class| !members[class].is_empty()).collect();
    let pairs = present.len() * present.len().saturating_sub(1) / 2;
    let meter = Meter::new(control, pairs as u64 + request.total());
    let mut notes = Vec::new();
    if let (Some(class), true) = (request.classes().next(), present.len() == 1) {
        return Err(SamplingError::SingleClass { class: class as u32, sampler: NAME });
    }
    let mut bases: Vec<Vec<Base>> = vec![Vec::new(); members.len()];
    let (k_neighbors, index) = (params.k_neighbors(), params.neighbors());
    let within = Within { sampler: NAME, option: "k_neighbors", k_neighbors, index };
    let mut judge = Judge { classes: Vec::new(), machines: Vec::new() };
    if request.total() > 0 {
        for &class in &present {
            let own = (class, &members[class][..], &members[class][..]);
            let wanted = request.wanted[class] > 0;
            // A class that only takes part in training may have a single sample, and nothing of it is to be told.
            if wanted || members[class].len() > 1 {
                let notes = if wanted { &mut notes } else { &mut Vec::new() };
                bases[class] = within.bases(request, own, &meter.uncounted(), notes)?;
            }
        }
        judge = Judge::train(request, params, (present, &members, &bases), &meter)?;
    }
    let unconvinced: Vec<AtomicU64> = members.iter().map(|_| AtomicU64::new(0)).collect();
    let enemy_share = fill(request, NAME, output, &meter, |Place { class, .. }, rng, row| {
        let mut tries = 1;
        loop {
            let step = bases[class][rng.index(bases[class].len())].step(rng, |rng| rng.unit_f32());
            step.write(request, row);
            let convinced = judge.class_of(class, row) == class;
            if convinced || tries == TRIES {
                unconvinced[class].fetch_add(u64::from(!convinced), Ordering::Relaxed);
                return step.provenance(request);
            }
            tries += 1;
        }
    })?;
    for (class, unconvinced) in unconvinced.into_iter().map(AtomicU64::into_inner).enumerate() {
        if unconvinced > 0 {
            let wanted = request.wanted[class];
            let message = format!(
                "the machine gives {unconvinced} of {wanted} rows to other classes after {TRIES} draws"
            );
            notes.push(Note::new(class, message));
        }
    }
    Ok(Report { notes, enemy_share })
}

const NAME: &str = "svm-balance";

/// Draws of a row before the machine is overruled.
const TRIES: u32 = 100;

/// Machines that tell each pair of classes apart, and vote.
struct Judge {
    classes: Vec<usize>,
    /// With the places in `classes` of the first and the second class.
    machines: Vec<(usize, usize, Machine)>,
}

impl Judge {
    fn train(
        request: &Request<'_>,
        params: &SvmBalance,
        (classes, members, bases): (Vec<usize>, &[Vec<usize>], &[Vec<Base>]),
        meter: &Meter<'_>,
    ) -> Result<Self, SamplingError> {
        let largest = members.iter().map(Vec::len).max().unwrap_or(0);
        let size = largest.min(params.svm_rows() / 2);
        let parts: Vec<Vec<f32>> = classes
            .par_iter()
            .map(|&class| balanced(request, (class, &members[class], &bases[class]), size))
            .collect();
        let cols = request.features.cols();
        let counts: Vec<usize> = parts.iter().map(|part| part.len() / cols).collect();
        let starts: Vec<usize> =
            counts.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let rows = counts.iter().sum();
        // The parts were made of rows of so many columns, so this cannot fail.
        let all = Matrix::new(parts.concat(), rows, cols).unwrap_or_default();
        let gamma = scale_gamma(all.view());
        let mut machines = Vec::new();
        for (second, &class) in classes.iter().enumerate() {
            for first in 0..second {
                meter.advance(1)?;
                let of = |place: usize| starts[place]..starts[place] + counts[place];
                let rows: Vec<usize> = of(first).chain(of(second)).collect();
                let is_first = (0..rows.len()).map(|row| row < counts[first]).collect();
                let points = points(all.view(), &rows);
                let machine = Machine::train((points, is_first), (params.svm_c(), gamma), (class, NAME))?;
                machines.push((first, second, machine));
            }
        }
        Ok(Self { classes, machines })
    }

    /// The class with the most votes, the first of equals; `likely` is asked first and often settles it.
    fn class_of(&self, likely: usize, row: &[f32]) -> usize {
        let point: Array1<f64> = row.iter().map(|&value| f64::from(value)).collect();
        let wins_first = |(_, _, machine): &(usize, usize, Machine)| machine.is_first(point.view());
        let mut of_likely = self
            .machines
            .iter()
            .filter(|(first, second, _)| self.classes[*first] == likely || self.classes[*second] == likely);
        if of_likely.all(|machine| wins_first(machine) == (self.classes[machine.0] == likely)) {
            return likely;
        }
        let mut votes = vec![0; self.classes.len()];
        for machine in &self.machines {
            votes[if wins_first(machine) { machine.0 } else { machine.1 }] += 1;
        }
        let most = votes.iter().copied().max().unwrap_or(0);
        let winner = votes.iter().position(|&votes| votes == most).unwrap_or(0);
        self.classes[winner]
    }
}

/// `size` samples of a class, real ones first, topped up by SMOTE; fewer where there is nothing to step to.
fn balanced(
    request: &Request<'_>,
    (class, members, bases): (usize, &[usize], &[Base]),
    size: usize,
) -> Vec<f32> {
    let seed: Seed = request.seed.derive("svm-balance-training", &[class as u64]);
    let real = if members.len() > size { draw_rows(members, size, seed) } else { members.to_vec() };
    let mut values: Vec<f32> = real.iter().flat_map(|&row| request.features.row(row)).copied().collect();
    if bases.is_empty() {
        return values;
    }
    let mut row = vec![0.0; request.features.cols()];
    for number in real.len()..size {
        let mut rng = seed.derive("row", &[number as u64]).rng();
        bases[rng.index(bases.len())].step(&mut rng, |rng| rng.unit_f32()).write(request, &mut row);
        values.extend_from_slice(&row);
    }
    values
}

#[cfg(test)]
mod tests;
