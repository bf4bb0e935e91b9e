//! Configuration that nobody would write: whatever stands in the layers, an answer comes, and an error names its place.

use expanse_domain::{Rng, Seed};
use serde_json::{Value, json};

use super::resolve_x;

/// Configurations of each test.
const CASES: u64 = 2000;

const KEYS: [&str; 16] = [
    "seed",
    "threads",
    "train",
    "train.epochs",
    "train.learning_rate",
    "train.milestones",
    "train.class_weighting",
    "data",
    "data.set",
    "data.counts",
    "data.validation",
    "augment.sampling_strategy",
    "sampler.plugin",
    "sampler.options.deep",
    "run.cache",
    "extends",
];

const VALUES: [&str; 22] = [
    "0",
    "-1",
    "7",
    "99999999999999999999",
    "1e400",
    "nan",
    "-inf",
    "0.5",
    "true",
    "'photos'",
    "'smote'",
    "''",
    "'ü\\u0000\u{202e}'",
    "\"\"\"\nlong\n\"\"\"",
    "[]",
    "[1, 'two', [3]]",
    "{}",
    "{ plugin = 1 }",
    "{ epochs = 3, epoch = 4 }",
    "2026-11-25T00:00:00Z",
    "0x1F",
    "cifar10-paper",
];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.index(from.len())]
}

/// A key that exists, or one that was damaged.
fn key(rng: &mut Rng) -> String {
    let mut key = pick(rng, &KEYS).to_owned();
    match rng.below(6) {
        0 => drop(key.pop()),
        1 => key.push('ß'),
        2 => key = format!("{key}.{}", pick(rng, &["x", "", "plugin", "a.b"])),
        _ => {}
    }
    key
}

/// Lines of TOML, of which one may be damaged.
fn document(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.below(5) {
        match rng.below(8) {
            0 => text.push_str(&format!("[{}]\n", key(rng))),
            _ => text.push_str(&format!("{} = {}\n", key(rng), pick(rng, &VALUES))),
        }
    }
    if rng.below(4) == 0 && !text.is_empty() {
        let at: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        text.insert(at[rng.index(at.len())], ['\0', '"', '[', '=', '\n', '😀', '#'][rng.index(7)]);
    }
    text
}

#[test]
fn whatever_is_configured_gets_an_answer_and_an_error_names_its_place() {
    let (mut accepted, mut refused) = (0, 0);
    for case in 0..CASES {
        let mut rng = Seed(case).derive("arbitrary", &[]).rng();
        let file = document(&mut rng);
        let set: Vec<String> =
            (0..rng.below(3)).map(|_| format!("{}={}", key(&mut rng), pick(&mut rng, &VALUES))).collect();
        let variable = |rng: &mut Rng| format!("EXPANSE_{}", key(rng).to_uppercase().replace('.', "__"));
        let environment: Vec<(String, String)> =
            (0..rng.below(2)).map(|_| (variable(&mut rng), pick(&mut rng, &VALUES).to_owned())).collect();
        let named: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let flags: Vec<_> = set.iter().map(String::as_str).collect();
        match resolve_x(&file, &named, &flags) {
            Ok(_) => accepted += 1,
            Err(told) => {
                refused += 1;
                let places = ["config/", "--set ", "EXPANSE_", "built-in defaults"];
                assert!(
                    places.iter().any(|place| told.contains(place)),
                    "no place is in `{told}`, of\n{file}\n{named:?} {flags:?}"
                );
            }
        }
    }
    assert!(accepted > CASES / 50 && refused > CASES / 2, "{accepted} accepted, {refused} refused");
}

#[test]
fn layers_give_what_merging_them_by_hand_gives() {
    let drawn = |rng: &mut Rng| -> (&'static str, Value) {
        let number = rng.below(1000) + 1;
        match rng.below(5) {
            0 => ("seed", json!(number)),
            1 => ("train.epochs", json!(number)),
            2 => ("finetune.epochs", json!(number)),
            3 => ("gap.draws", json!(number)),
            _ => ("run.cache", json!(number.is_multiple_of(2))),
        }
    };
    let defaults = resolve_x("", &[], &[]).unwrap().to_json();
    for case in 0..CASES / 4 {
        let mut rng = Seed(case).derive("layers", &[]).rng();
        let mut expected = defaults.clone();
        let mut merge = |settings: &[(&str, Value)]| {
            for (key, value) in settings {
                *expected.pointer_mut(&format!("/{}", key.replace('.', "/"))).unwrap() = value.clone();
            }
        };
        // In a file and in the environment a key stands once; of flags, the last one holds.
        let mut once: Vec<_> = (0..rng.below(4)).map(|_| drawn(&mut rng)).collect();
        once.sort_by_key(|(key, _)| *key);
        once.dedup_by_key(|(key, _)| *key);
        let file: String = once.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        merge(&once);
        let mut once: Vec<_> = (0..rng.below(4)).map(|_| drawn(&mut rng)).collect();
        once.sort_by_key(|(key, _)| *key);
        once.dedup_by_key(|(key, _)| *key);
        let variable = |key: &str| format!("EXPANSE_{}", key.to_uppercase().replace('.', "__"));
        let environment: Vec<_> =
            once.iter().map(|(key, value)| (variable(key), value.to_string())).collect();
        merge(&once);
        let last: Vec<_> = (0..rng.below(4)).map(|_| drawn(&mut rng)).collect();
        let flags: Vec<_> = last.iter().map(|(key, value)| format!("{key}={value}")).collect();
        merge(&last);
        let named: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        assert_eq!(resolve_x(&file, &named, &flags).unwrap().to_json(), expected, "{file}{named:?}{flags:?}");
    }
}
