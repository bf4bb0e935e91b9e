//! What the boundary costs a sampler: loading a library with all checks, and a call through it, in this process and in
//! one of its own, against the plain function of `expanse-sampling`.
//!
//! `cargo bench --package expanse-tests --profile dev --bench calls -- --pairs 20`
//!
//! The calls alternate, so that whatever else the machine does falls on all of them, and must make the same rows.

#![allow(clippy::print_stdout, reason = "its result is what a benchmark prints")]

use std::time::{Duration, Instant};

use expanse_domain::{Matrix, Provenance, Seed};
use expanse_host::{Host, Sampler, Worker, set_threads};
use expanse_sampling::{Eos, EosParams, Output, Request, Smote, SmoteParams, Unattended, eos, smote};
use expanse_tests::{
    built, driver,
    timing::{confidence, pairs, quantile, sorted},
};
use serde_json::Map;

/// CIFAR-10-LT at 100:1.
const COUNTS: [u64; 10] = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50];
const COLS: usize = 64;
const LOADS: usize = 15;

fn main() {
    set_threads(std::thread::available_parallelism().map_or(1, usize::from));
    loads();
    let data = Data::new();
    println!();
    println!("a call on {} × {COLS}, to {} rows of each class, ms", data.labels.len(), COUNTS[0]);
    println!("{:<10}{:>10}{:>22}{:>22}", "", "plain", "through the boundary", "in its own process");
    data.report("eos", |data, seed| {
        let eos_of = Eos::try_from(EosParams::default()).expect("defaults are checked");
        data.plain(seed, |request, output| {
            drop(eos(request, &eos_of, output, &Unattended).expect("it works"))
        })
    });
    data.report("smote", |data, seed| {
        let smote_of = Smote::try_from(SmoteParams::default()).expect("defaults are checked");
        data.plain(seed, |request, output| {
            drop(smote(request, &smote_of, output, &Unattended).expect("it works"));
        })
    });
}

/// Each time a host of its own, so that all of it is done again: read, hash, copy, open, compare layouts, describe.
fn loads() {
    println!("loading a library with all checks, ms; goal at most 5");
    println!("{:<26}{:>8}{:>10}{:>10}", "", "MB", "median", "most");
    for found in Host::new(vec![built().into()]).list() {
        let times = sorted((0..LOADS).map(|_| {
            let host = Host::new(vec![built().into()]);
            let (took, ()) = timed(|| drop(host.identify(found.kind, &found.name).expect("it loads")));
            took
        }));
        let name = format!("{} {}", found.kind, found.name);
        let size = std::fs::metadata(&found.path).map_or(0.0, |file| file.len() as f64 / 1e6);
        println!("{name:<26}{size:>8.1}{:>10.2}{:>10.2}", quantile(&times, 0.5), times[LOADS - 1]);
    }
}

struct Data {
    features: Matrix,
    labels: Vec<u32>,
    wanted: Vec<u64>,
}

type Made = (Matrix, Vec<u32>, Vec<Provenance>);

impl Data {
    fn new() -> Self {
        let mut rng = Seed(1).rng();
        let labels: Vec<u32> =
            (0u32..).zip(COUNTS).flat_map(|(class, count)| vec![class; count as usize]).collect();
        let values = labels.iter().flat_map(|label| [*label; COLS]).map(|label| {
            let spread: f32 = (0..4).map(|_| rng.unit_f32() - 0.5).sum();
            label as f32 * 0.1 + spread
        });
        let features = Matrix::new(values.collect(), labels.len(), COLS).expect("the values fill it");
        let wanted = COUNTS.iter().map(|count| COUNTS[0] - count).collect();
        Self { features, labels, wanted }
    }

    fn plain(&self, seed: u64, make: impl Fn(&Request<'_>, Output<'_>)) -> Made {
        let rows = self.wanted.iter().sum::<u64>() as usize;
        let (mut made, mut labels) = (Matrix::zeros(rows, COLS), vec![0; rows]);
        let mut provenance = vec![Provenance::default(); rows];
        let request = Request {
            features: self.features.view(),
            labels: &self.labels,
            wanted: &self.wanted,
            seed: Seed(seed),
        };
        let output = Output::new(made.as_mut_slice(), COLS, COLS, &mut labels, &mut provenance);
        make(&request, output.expect("the output has room"));
        (made, labels, provenance)
    }

    fn through(&self, sampler: &dyn Sampler, seed: u64) -> Made {
        let made = sampler.resample(self.features.view(), &self.labels, &self.wanted, Seed(seed));
        let made = made.expect("it works");
        (made.features, made.labels, made.provenance)
    }

    fn report(&self, name: &str, plain: impl Fn(&Self, u64) -> Made) {
        let worker = Worker { program: driver(), arguments: vec!["plugin-worker".into()] };
        let host = Host::new(vec![built().into()]).with_worker(worker);
        let none = Map::new();
        let inside = host.sampler(name, &none).expect("it opens");
        let isolated = host.isolated_sampler(name, &none, None).expect("it opens").0;
        let mut times: [Vec<f64>; 3] = Default::default();
        for pair in 0..pairs(20) + 2 {
            let seed = pair as u64;
            let calls: [&dyn Fn() -> Made; 3] =
                [&|| plain(self, seed), &|| self.through(&*inside, seed), &|| self.through(&*isolated, seed)];
            let mut made: [Option<Made>; 3] = Default::default();
            for turn in 0..3 {
                let which = (pair + turn) % 3;
                let (took, rows) = timed(calls[which]);
                made[which] = Some(rows);
                if pair >= 2 {
                    times[which].push(took);
                }
            }
            assert!(made[0] == made[1] && made[0] == made[2], "the three do not make the same rows");
        }
        let ratio = |which: usize| sorted(times[which].iter().zip(&times[0]).map(|(a, b)| a / b));
        let cell = |which: usize| {
            let ratios = ratio(which);
            let (low, high) = confidence(&ratios);
            format!("{:.3} ({low:.3}–{high:.3})", quantile(&ratios, 0.5))
        };
        let median = quantile(&sorted(times[0].iter().copied()), 0.5);
        println!("{name:<10}{median:>10.1}{:>22}{:>22}", cell(1), cell(2));
    }
}

/// Milliseconds that something takes.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    let took: Duration = start.elapsed();
    (took.as_secs_f64() * 1e3, result)
}
