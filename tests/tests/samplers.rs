//! What every sampler must do: all of the workspace, and all in the folders that `EXPANSE_PLUGIN_PATH` names, loaded
//! from their files and used as the host uses them, with the options that they have by default. A sampler that is added
//! is tested here without being named.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use expanse_domain::{Matrix, Rng, Seed, sha256};
use expanse_host::{Host, HostError, Kind, Sampler, Synthetic};
use expanse_tests::driver;
use serde_json::Map;

/// The samplers that are found, by name.
fn every() -> Vec<(String, Box<dyn Sampler>)> {
    static HOST: OnceLock<Host> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        let own = driver().parent().map(Path::to_owned);
        let others =
            env::var_os("EXPANSE_PLUGIN_PATH").map(|paths| env::split_paths(&paths).collect::<Vec<_>>());
        Host::new(own.into_iter().chain(others.into_iter().flatten()).collect())
    });
    let libraries = host.list().into_iter().filter(|found| found.kind == Kind::Sampler);
    let names = libraries.flat_map(|found| host.manifest(&found).unwrap().plugins);
    names.map(|plugin| (plugin.name.clone(), host.sampler(&plugin.name, &Map::new()).unwrap())).collect()
}

struct Example {
    features: Matrix,
    labels: Vec<u32>,
    wanted: Vec<u64>,
}

impl Example {
    fn new(rows: &[Vec<f32>], labels: &[u32], wanted: &[u64]) -> Self {
        let features = Matrix::new(rows.concat(), rows.len(), rows[0].len()).unwrap();
        Self { features, labels: labels.to_vec(), wanted: wanted.to_vec() }
    }

    /// Up to 60 rows of up to 5 columns and 4 classes, of few different values, so that many are equal; classes of a
    /// single sample and of fewer than any number of neighbours occur, and so do classes of which nothing is wanted.
    fn drawn(case: u64) -> Self {
        let mut rng = Seed(case).derive("sampler-contract", &[]).rng();
        let (cols, classes) = (1 + rng.index(5), 2 + rng.index(3));
        let values = 2 + rng.below(30);
        let value = |rng: &mut Rng| rng.below(values) as f32 / 7.0 - 1.0;
        let mut labels: Vec<u32> = Vec::new();
        for class in 0..classes {
            let most = [1, 3, 8, 20][rng.index(4)];
            labels.extend(vec![class as u32; 1 + rng.index(most)]);
        }
        rng.shuffle(&mut labels);
        let rows: Vec<Vec<f32>> =
            labels.iter().map(|_| (0..cols).map(|_| value(&mut rng)).collect()).collect();
        let wanted: Vec<u64> = (0..classes).map(|_| [0, 1, 40][rng.index(3)] * (1 + rng.below(2))).collect();
        Self::new(&rows, &labels, &wanted)
    }

    /// Three overlapping classes that every sampler can serve.
    fn ordinary() -> Self {
        let mut rng = Seed(3).derive("sampler-contract", &[]).rng();
        let labels = [vec![0; 90], vec![1; 30], vec![2; 12]].concat();
        let rows: Vec<Vec<f32>> = labels
            .iter()
            .map(|&label| (0..6).map(|_| rng.unit_f32() + label as f32 / 4.0).collect())
            .collect();
        Self::new(&rows, &labels, &[0, 60, 78])
    }

    fn make(&self, sampler: &dyn Sampler, seed: u64) -> Result<Synthetic, HostError> {
        sampler.resample(self.features.view(), &self.labels, &self.wanted, Seed(seed))
    }
}

#[test]
fn counts_are_met_exactly_or_an_error_names_the_class() {
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for case in 0..60 {
        let example = Example::drawn(case);
        for (name, sampler) in every() {
            let context = format!("{name}, case {case}");
            match example.make(&*sampler, case) {
                // The host has compared the counts and looked for values that are no numbers.
                Ok(made) => {
                    *served.entry(name).or_default() += 1;
                    check_rows(&example, &made, &context);
                    assert_eq!(
                        example.make(&*sampler, case).unwrap(),
                        made,
                        "{context}: another call, other rows"
                    );
                }
                Err(error) => {
                    let told = error.to_string();
                    let tiny = |class: usize| {
                        let have = example.labels.iter().filter(|&&label| label as usize == class).count();
                        example.wanted[class] > 0 && have <= 2 && told.contains(&format!("class {class}"))
                    };
                    assert!((0..example.wanted.len()).any(tiny), "{context}: {told}");
                }
            }
        }
    }
    for (name, _) in every() {
        let served = served.get(&name).copied().unwrap_or(0);
        assert!(served >= 15, "{name} serves {served} of 60 requests");
    }
}

fn check_rows(example: &Example, made: &Synthetic, context: &str) {
    let rows = example.features.rows() as u64;
    let ascending: Vec<u32> =
        (0u32..).zip(&example.wanted).flat_map(|(class, &n)| vec![class; n as usize]).collect();
    assert_eq!(made.labels, ascending, "{context}: classes do not ascend");
    assert_eq!(made.provenance.len(), made.labels.len());
    for (row, from) in made.provenance.iter().enumerate() {
        assert!(from.base < rows && from.partner < rows, "{context}, row {row}: {from:?}");
        assert_eq!(from.partner_class, example.labels[from.partner as usize], "{context}, row {row}");
        assert!((0.0..=1.0).contains(&from.r), "{context}, row {row}: r is {}", from.r);
    }
    let shares = made.report["enemy_share"].as_array().unwrap();
    assert_eq!(shares.len(), example.wanted.len(), "{context}: shares of enemies by class");
}

#[test]
fn no_class_has_to_be_told_from_another_to_want_nothing() {
    for (name, sampler) in every() {
        let nothing = Example::new(&[vec![1.0], vec![2.0]], &[0, 0], &[0, 0]);
        assert_eq!(nothing.make(&*sampler, 0).unwrap().labels, [0; 0], "{name}");
    }
}

#[test]
fn what_cannot_be_used_is_an_error_and_no_panic() {
    let ordinary = Example::ordinary;
    let mut not_a_number = ordinary();
    not_a_number.features.as_mut_slice()[100] = f32::NAN;
    let mut endless = ordinary();
    endless.features.as_mut_slice()[5] = f32::INFINITY;
    let unknown = Example { labels: vec![7; 132], ..ordinary() };
    let few_labels = Example { labels: vec![0; 3], ..ordinary() };
    let absent = Example { wanted: vec![0, 60, 78, 4], ..ordinary() };
    let cases = [
        ("NaN", not_a_number),
        ("infinite", endless),
        ("unknown label", unknown),
        ("too few labels", few_labels),
        ("a class without samples", absent),
    ];
    for (name, sampler) in every() {
        for (what, example) in &cases {
            let refused = example.make(&*sampler, 0);
            let told = refused.err().unwrap_or_else(|| panic!("{name} takes {what}"));
            assert!(matches!(told, HostError::Plugin { .. }), "{name}, {what}: {told:?}");
        }
        assert!(ordinary().make(&*sampler, 0).is_ok(), "{name} is out of order after an error");
    }
}

#[test]
fn large_and_equal_values_stay_numbers() {
    let labels = [vec![0; 20], vec![1; 8]].concat();
    let sign = |row: usize| if row.is_multiple_of(3) { -1.0 } else { 1.0 };
    for scale in [0.0, 1e-38, 1e18, 1e38] {
        let rows: Vec<Vec<f32>> = (0..28).map(|row| vec![sign(row) * scale, scale]).collect();
        for (name, sampler) in every() {
            let made = Example::new(&rows, &labels, &[0, 50]).make(&*sampler, 0);
            // The host refuses what is not finite.
            assert!(made.is_ok(), "{name} at {scale}: {:?}", made.err());
        }
    }
}

/// Every library has its pool of threads, whose size is that of its process.
#[test]
fn threads_do_not_change_a_byte() {
    let on = |threads: &str| {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "prints_what_samplers_make", "--ignored", "--nocapture", "--test-threads=1"]);
        let output = child.env("RAYON_NUM_THREADS", threads).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_once("made: "))
            .map(|(_, hash)| hash.to_owned())
            .collect();
        assert!(lines.len() >= every().len(), "{text}");
        lines
    };
    let one = on("1");
    assert_eq!(one, on("2"));
    assert_eq!(one, on("5"));
}

#[test]
#[ignore = "run by another test, in a process of its own"]
#[allow(clippy::print_stdout, reason = "what it prints is compared")]
fn prints_what_samplers_make() {
    for (name, sampler) in every() {
        // More rows than one task makes, so that tasks are divided among threads.
        let made =
            Example { wanted: vec![1000, 700, 900], ..Example::ordinary() }.make(&*sampler, 5).unwrap();
        let values: Vec<u8> = made.features.as_slice().iter().flat_map(|value| value.to_le_bytes()).collect();
        let sources = format!("{:?} {}", made.provenance, made.report);
        println!("made: {name} {} {}", sha256(&values), sha256(sources.as_bytes()));
    }
}
