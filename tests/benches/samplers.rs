//! Over-samplers, loaded from their files, beside what people use today: `cargo xtask bench samplers`.
//!
//! Each measurement is a process of its own, on one matrix that both sides make from the same formula: exponentially
//! imbalanced, ten classes, 100 to 1, each class raised to the largest. Own and peer processes alternate.

#![allow(clippy::print_stdout, reason = "its result is what a benchmark prints")]

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use expanse_domain::{Matrix, Seed};
use expanse_host::Host;
use expanse_neighbors::{Index, Search, nearest};
use expanse_tests::{
    driver,
    timing::{peak_memory, quantile, sorted},
};
use serde_json::{Map, Value, json};

const USAGE: &str = "\
cargo xtask bench samplers [--sizes 12406x64,60000x64] [--cases knn,smote,eos] [--threads 1,2] [--rounds 5]
                           [--python PATH] [--no-peer]
The case `knn-approximate` has no peer: knn beside it tells from how many rows on it is worth its while.";

/// The case without a peer.
const APPROXIMATE: &str = "knn-approximate";

/// Neighbours of `knn` and `eos`, as in the peer's script.
const K: usize = 10;
const CLASSES: usize = 10;
const RATIO: f64 = 100.0;
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/samplers.py");

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [one, case, rows, columns, folder] = &arguments[..]
        && one == "--one"
    {
        println!("{}", measure(case, size(&format!("{rows}x{columns}")), Path::new(folder)));
        return;
    }
    let settings = Settings::read(&arguments).unwrap_or_else(|problem| {
        eprintln!("error: {problem}\n{USAGE}");
        std::process::exit(2);
    });
    report(&settings);
}

struct Settings {
    sizes: Vec<(usize, usize)>,
    cases: Vec<String>,
    threads: Vec<String>,
    rounds: usize,
    python: Option<PathBuf>,
}

impl Settings {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut settings = Self {
            sizes: vec![(12_406, 64), (60_000, 64)],
            cases: list("knn,smote,eos"),
            threads: list("1,2"),
            rounds: 5,
            python: Some("python3".into()),
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--no-peer" {
                settings.python = None;
                continue;
            }
            let value = arguments.next().ok_or(format!("`{name}` needs a value, or is unknown"))?;
            match name.as_str() {
                "--sizes" => settings.sizes = list(value).iter().map(|text| size(text)).collect(),
                "--cases" => settings.cases = list(value),
                "--threads" => settings.threads = list(value),
                "--rounds" => settings.rounds = value.parse().map_err(|_| "rounds are a number")?,
                "--python" => settings.python = Some(value.into()),
                _ => return Err(format!("`{name}` is unknown")),
            }
        }
        let known = ["knn", "smote", "eos", APPROXIMATE];
        match settings.cases.iter().find(|case| !known.contains(&case.as_str())) {
            Some(case) => Err(format!("`{case}` is no case; cases are {}", known.join(", "))),
            None if settings.rounds == 0 => Err("at least one round is needed".into()),
            None => Ok(settings),
        }
    }
}

/// `12406x64` → rows and columns.
fn size(text: &str) -> (usize, usize) {
    let parsed =
        text.split_once('x').and_then(|(rows, columns)| Some((rows.parse().ok()?, columns.parse().ok()?)));
    parsed.unwrap_or_else(|| panic!("a size is written as 12406x64, not as {text}"))
}

/// Samples of each class: exponentially fewer, 100 to 1, `rows` in all.
fn class_sizes(rows: usize) -> Vec<usize> {
    let shares: Vec<f64> =
        (0..CLASSES).map(|class| RATIO.powf(-(class as f64) / (CLASSES - 1) as f64)).collect();
    let sum: f64 = shares.iter().sum();
    let mut sizes: Vec<usize> = shares.iter().map(|share| (share / sum * rows as f64) as usize).collect();
    sizes[0] += rows - sizes.iter().sum::<usize>();
    sizes
}

/// The matrix of `samplers.py`.
fn matrix(rows: usize, columns: usize, labels: &[u32]) -> Matrix {
    let splitmix = |number: u64| {
        let x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    };
    let bell = |number: u64| {
        let parts = (0..4).map(|part| (number >> (16 * part)) & 0xFFFF);
        (parts.sum::<u64>() as f32 - 131_070.0) / 32_768.0
    };
    let mut points = Matrix::zeros(rows, columns);
    for (place, value) in points.as_mut_slice().iter_mut().enumerate() {
        let (label, column) = (u64::from(labels[place / columns]), (place % columns) as u64);
        let center = bell(splitmix(label * columns as u64 + column + (1 << 60)));
        *value = bell(splitmix(place as u64)) + center * 0.5;
    }
    points
}

/// One case in this process.
fn measure(case: &str, (rows, columns): (usize, usize), folder: &Path) -> Value {
    let host = Host::new(vec![folder.to_owned()]);
    let run = |points: &Matrix, labels: &[u32], sizes: &[usize]| {
        let largest = sizes.iter().max().copied().unwrap_or(0) as u64;
        let wanted: Vec<u64> = sizes.iter().map(|&size| largest - size as u64).collect();
        match case {
            "knn" | APPROXIMATE => {
                let queries: Vec<usize> = (0..points.rows()).collect();
                let index = if case == APPROXIMATE { Index::Approximate } else { Index::Exact };
                let search = Search { index, ..Search::of(points.view()) };
                let found = nearest(&search, &queries, K).expect("every row has that many neighbours");
                return found.recall(0..queries.len()).map(|recall| recall.share());
            }
            _ => {
                let sampler = host.sampler(case, &Map::new()).expect("the sampler opens");
                let made =
                    sampler.resample(points.view(), labels, &wanted, Seed(0)).expect("it can be served");
                assert_eq!(made.labels.len() as u64, wanted.iter().sum::<u64>());
            }
        }
        None
    };
    let labels = |sizes: &[usize]| -> Vec<u32> {
        (0u32..).zip(sizes).flat_map(|(label, &size)| vec![label; size]).collect()
    };
    // Libraries load, and threads start, at their first use.
    let warm_up = [200, 70, 30];
    run(&matrix(300, 8, &labels(&warm_up)), &labels(&warm_up), &warm_up);
    let peak = || peak_memory().unwrap_or(0.0);
    let before = peak();
    let sizes = class_sizes(rows);
    let labels = labels(&sizes);
    let points = matrix(rows, columns, &labels);
    let start = Instant::now();
    let recall = run(&points, &labels, &sizes);
    json!({ "seconds": start.elapsed().as_secs_f64(), "megabytes": peak() - before, "recall": recall })
}

/// The numbers of one side.
#[derive(Default)]
struct Side {
    seconds: Vec<f64>,
    megabytes: Vec<f64>,
}

impl Side {
    fn add(&mut self, measured: &Value) {
        self.seconds.push(measured["seconds"].as_f64().unwrap_or(f64::NAN));
        self.megabytes.push(measured["megabytes"].as_f64().unwrap_or(f64::NAN));
    }
}

fn report(settings: &Settings) {
    let folder = driver().parent().map(Path::to_owned).expect("the driver lies in a folder");
    let peer = settings.python.as_deref().filter(|python| {
        let versions = peer(python, "smote", (2000, 8), "1");
        match &versions {
            Ok(versions) => println!("peer: {}", versions["versions"].as_str().unwrap_or_default()),
            Err(problem) => println!("no peer: {problem}"),
        }
        versions.is_ok()
    });
    println!(
        "medians of {} rounds; memory includes the matrix; least: matrix and rows made",
        settings.rounds
    );
    println!(
        "{:<16}{:>13}{:>9}{:>11}{:>10}{:>9}{:>11}{:>10}{:>8}",
        "case", "size", "threads", "seconds", "peer", "ratio", "peak MB", "least MB", "peer MB"
    );
    let mut by_size: BTreeMap<(&str, &str), Vec<(f64, f64)>> = BTreeMap::new();
    for (case, threads) in
        settings.cases.iter().flat_map(|case| settings.threads.iter().map(move |t| (case, t)))
    {
        for &(rows, columns) in &settings.sizes {
            let (mut own, mut other, mut recall) = (Side::default(), Side::default(), None);
            for _ in 0..settings.rounds {
                let measured = self::own(case, (rows, columns), threads, &folder);
                own.add(&measured);
                recall = measured["recall"].as_f64();
                if let Some(python) = peer.filter(|_| case != APPROXIMATE) {
                    other.add(&self::peer(python, case, (rows, columns), threads).expect("the peer runs"));
                }
            }
            let seconds = median(&own.seconds);
            by_size.entry((case, threads)).or_default().push((rows as f64, seconds / columns as f64));
            let ratios: Vec<f64> =
                other.seconds.iter().zip(&own.seconds).map(|(peer, own)| peer / own).collect();
            let or_dash = |values: &[f64], digits: usize| match values {
                [] => "-".to_owned(),
                values => format!("{:.digits$}", median(values)),
            };
            println!(
                "{case:<16}{:>13}{threads:>9}{seconds:>11.3}{:>10}{:>9}{:>11.0}{:>10.0}{:>8}",
                format!("{rows}x{columns}"),
                or_dash(&other.seconds, 3),
                or_dash(&ratios, 1),
                median(&own.megabytes),
                least_megabytes(case, rows, columns),
                or_dash(&other.megabytes, 0),
            );
            if let Some(recall) = recall {
                println!("{:<16}recall {recall:.4}", "");
            }
        }
    }
    for ((case, threads), points) in by_size.iter().filter(|(_, points)| points.len() > 1) {
        println!("{case}, threads {threads}: seconds per column grow as rows^{:.2}", exponent(points));
    }
}

/// What input and output alone take.
fn least_megabytes(case: &str, rows: usize, columns: usize) -> f64 {
    let sizes = class_sizes(rows);
    let values = match case {
        "knn" | APPROXIMATE => rows * (columns + K),
        _ => sizes.iter().max().copied().unwrap_or(0) * CLASSES * columns,
    };
    values as f64 * 4.0 / 1e6
}

fn own(case: &str, (rows, columns): (usize, usize), threads: &str, folder: &Path) -> Value {
    let mut child = Command::new(env::current_exe().expect("a running program has a path"));
    child.args(["--one", case, &rows.to_string(), &columns.to_string()]).arg(folder);
    answer(child.env("RAYON_NUM_THREADS", threads)).expect("the own side runs")
}

fn peer(python: &Path, case: &str, (rows, columns): (usize, usize), threads: &str) -> Result<Value, String> {
    let mut child = Command::new(python);
    child.args([PEER, case, &rows.to_string(), &columns.to_string()]);
    child.args(class_sizes(rows).iter().map(usize::to_string));
    for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
        child.env(variable, threads);
    }
    // What is set here for other programs must not slow the peer down.
    child.env_remove("OPENBLAS_CORETYPE").env_remove("OPENBLAS_L2_SIZE");
    answer(&mut child)
}

/// What a process answers on its last line.
fn answer(child: &mut Command) -> Result<Value, String> {
    let shown = child.get_program().to_string_lossy().into_owned();
    let output = child.output().map_err(|error| format!("{shown} does not start: {error}"))?;
    let (told, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = told.lines().last().and_then(|line| serde_json::from_str(line).ok());
    last.ok_or_else(|| format!("{shown} fails: {}", problem.lines().last().unwrap_or("it says nothing")))
}

fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values.iter().copied()), 0.5)
}

/// The slope of the line of least squares through (ln n, ln t).
fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(n, t)| (n.ln(), t.ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let slope = logs.iter().fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x) * (point.0 - x))
    });
    slope.0 / slope.1
}
