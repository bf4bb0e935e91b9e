//! The price of the boundary: a training step through host, plugins and replay, against the same model as an
//! ordinary burn module in this program.
//!
//! `cargo bench --package expanse-tests --profile dev --bench boundary -- --pairs 50`
//!
//! Steps of the two sides alternate, so that whatever else the machine does falls on both. Both sides train on
//! the same batches from the same values and must report the same losses.

#![allow(clippy::print_stdout, reason = "its result is what a benchmark prints")]

use std::time::{Duration, Instant};

use expanse_domain::Seed;
use expanse_host::{Session, TensorKind};
use expanse_tests::{
    eager::Eager,
    model::{Batch, Model, OPTIMIZER, TRAINING, tensors},
    timing::{confidence, pairs, quantile, sorted},
};

const MODEL: Model = Model { depth: 20, widen: None, image: [1, 28, 28], batch: 64, classes: 10 };
const WARM_UP: usize = 3;
const LEARNING_RATE: f64 = 0.01;
const GOAL: f64 = 1.03;

fn main() {
    let pairs = pairs(50);
    let mut session = MODEL.session(Seed(0)).expect("the plugins run");
    let parameters = session.export(TensorKind::Parameters).expect("the session exports");
    let mut eager = Eager::new(&MODEL, &tensors(&parameters));

    let mut measured = Vec::with_capacity(pairs);
    for pair in 0..WARM_UP + pairs {
        let batch = MODEL.batch(Seed(pair as u64));
        let ((replayed, a), (direct, b)) = if pair % 2 == 0 {
            let first = timed(|| replay(&mut *session, &batch));
            (first, timed(|| step(&mut eager, &batch)))
        } else {
            let first = timed(|| step(&mut eager, &batch));
            (timed(|| replay(&mut *session, &batch)), first)
        };
        assert!(a.to_bits() == b.to_bits(), "the two sides do not do the same: their losses are {a} and {b}");
        if pair >= WARM_UP {
            measured.push((replayed, direct));
        }
    }
    report(&measured);
}

/// The training step through the boundary.
fn replay(session: &mut dyn Session, batch: &Batch) -> f32 {
    session.step(TRAINING, &batch.inputs(), LEARNING_RATE).expect("the step runs");
    session.losses().expect("the loss can be read")[0]
}

/// The training step in burn.
fn step(eager: &mut Eager, batch: &Batch) -> f32 {
    eager.step(batch, LEARNING_RATE, OPTIMIZER.momentum, OPTIMIZER.weight_decay)
}

fn timed(work: impl FnOnce() -> f32) -> (Duration, f32) {
    let start = Instant::now();
    let loss = work();
    (start.elapsed(), loss)
}

fn report(measured: &[(Duration, Duration)]) {
    let milliseconds = |duration: &Duration| duration.as_secs_f64() * 1e3;
    let rows = [
        ("host, plugins and replay, ms", sorted(measured.iter().map(|(replayed, _)| milliseconds(replayed)))),
        ("ordinary burn module, ms", sorted(measured.iter().map(|(_, direct)| milliseconds(direct)))),
        ("ratio of a pair", sorted(measured.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()))),
    ];
    let Model { depth, batch, image: [channels, height, width], .. } = MODEL;
    println!("a training step of ResNet-{depth}, batch {batch} of {channels}×{height}×{width}, flex");
    println!(
        "{} pairs after {WARM_UP} to warm up, in alternating order; equal losses throughout",
        measured.len()
    );
    println!();
    println!("{:<30}{:>10}{:>10}{:>10}{:>10}{:>10}", "", "median", "quarter", "three q.", "least", "most");
    for (name, values) in &rows {
        let [median, low, high, least, most] = [0.5, 0.25, 0.75, 0.0, 1.0].map(|q| quantile(values, q));
        println!("{name:<30}{median:>10.3}{low:>10.3}{high:>10.3}{least:>10.3}{most:>10.3}");
    }
    let ratios = &rows[2].1;
    let (median, (low, high)) = (quantile(ratios, 0.5), confidence(ratios));
    println!();
    println!("median ratio {median:.3}, with 95 % confidence between {low:.3} and {high:.3}");
    println!("goal at most {GOAL}: {}", verdict(low, high));
}

fn verdict(low: f64, high: f64) -> &'static str {
    if high <= GOAL {
        "met"
    } else if low > GOAL {
        "missed"
    } else {
        "undecided; take more --pairs, on a machine that does nothing else"
    }
}
