use std::{fmt::Write, fs, path::Path};

use expanse_metrics::Scores;
use expanse_report::{Interval, Metrics, interval};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    cli::{Format, Source, StudyOptions},
    error::Error,
    plugins, run, show,
    stdout::Protected,
    workspace,
};

/// A study: variants of one experiment, each over the same seeds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Study {
    /// The experiment that is varied.
    experiment: String,
    /// The seeds.
    seeds: Vec<u64>,
    /// The variants.
    variant: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    /// Its name in the table.
    name: String,
    /// What it sets, as `--set` does.
    set: Vec<String>,
}

/// One number of the scores.
type Score = fn(&Scores) -> f64;

/// The scores that a study compares.
const SCORES: [(&str, Score); 4] =
    [("bac", |s| s.bac), ("fm", |s| s.fm), ("gmean", |s| s.gmean), ("worst_recall", |s| s.worst_recall)];

/// `study`.
pub fn command(options: &StudyOptions, quiet: bool) -> Result<(), Error> {
    let study = read(&options.study)?;
    let first = source(&study, options, &[], study.seeds.first().copied().unwrap_or(0));
    run::begin(&show::resolved(&first, &[])?);
    let host = plugins::host(&options.plugins)?;
    let stdout = Protected::new();
    // Seeds outermost: the variants of a seed share its phase 1.
    let mut results: Vec<Vec<Pair>> = study.variant.iter().map(|_| Vec::new()).collect();
    for &seed in &study.seeds {
        for (variant, results) in study.variant.iter().zip(&mut results) {
            if !quiet {
                eprintln!("== seed {seed}, {}", variant.name);
            }
            let resolved = show::resolved(&source(&study, options, &variant.set, seed), &[])?;
            let (outcome, _, _) = run::run(&resolved, &host, quiet)?;
            let Metrics { baseline, three_phase, .. } = outcome.metrics;
            results.push(Pair { baseline, three_phase });
        }
    }
    drop(stdout);
    let names = study.variant.iter().map(|variant| variant.name.as_str());
    let rows: Vec<_> = names.zip(&results).collect();
    match options.format {
        Format::Table => print!("{}", markdown(&rows)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&document(&study, &rows))?),
    }
    Ok(())
}

fn read(name: &str) -> Result<Study, Error> {
    let path = match name.ends_with(".toml") {
        true => Path::new(name).to_owned(),
        false => workspace::config_folder().join("studies").join(format!("{name}.toml")),
    };
    let text = fs::read_to_string(&path).map_err(|source| Error::Study {
        path: path.clone(),
        message: format!("it cannot be read: {source}"),
    })?;
    let study: Study = toml::from_str(&text)
        .map_err(|error| Error::Study { path: path.clone(), message: error.to_string() })?;
    if study.seeds.is_empty() || study.variant.is_empty() {
        return Err(Error::Study { path, message: "it needs at least one seed and one variant".into() });
    }
    Ok(study)
}

fn source(study: &Study, options: &StudyOptions, variant: &[String], seed: u64) -> Source {
    let mut set = variant.to_vec();
    set.extend(options.set.iter().cloned());
    set.push(format!("seed={seed}"));
    Source { experiment: study.experiment.clone(), set }
}

/// Both models of one run.
#[derive(Serialize)]
struct Pair {
    baseline: Scores,
    three_phase: Scores,
}

/// Score by score: the mean over seeds with its 95 % interval, and the paired change against the run's own phase 1.
fn markdown(rows: &[(&str, &Vec<Pair>)]) -> String {
    let seeds = rows.first().map_or(0, |(_, pairs)| pairs.len());
    let mut text = format!(
        "{seeds} seeds, mean ± half of the 95 % interval; in brackets the paired change against phase 1\n\n| |"
    );
    for (name, _) in SCORES {
        let _ = write!(text, " {name} |");
    }
    text.push_str("\n|---|---|---|---|---|");
    let mut phase1: Option<&Vec<Pair>> = None;
    for (name, pairs) in rows {
        // Variants that share phase 1 share its row.
        let shared =
            phase1.is_some_and(|known| known.iter().zip(*pairs).all(|(a, b)| a.baseline == b.baseline));
        if !shared {
            let _ = write!(text, "\n| phase 1 of {name} |");
            for (_, score) in SCORES {
                let Interval { mean, half_width } = over(pairs, |pair| score(&pair.baseline));
                let _ = write!(text, " {mean:.4} ± {half_width:.4} |");
            }
            phase1 = Some(pairs);
        }
        let _ = write!(text, "\n| {name} |");
        for (_, score) in SCORES {
            let Interval { mean, half_width } = over(pairs, |pair| score(&pair.three_phase));
            let change = over(pairs, |pair| score(&pair.three_phase) - score(&pair.baseline));
            let (by, half) = (change.mean, change.half_width);
            let _ = write!(text, " {mean:.4} ± {half_width:.4} ({by:+.4} ± {half:.4}) |");
        }
    }
    text.push('\n');
    text
}

fn over(pairs: &[Pair], number: impl Fn(&Pair) -> f64) -> Interval {
    interval(&pairs.iter().map(number).collect::<Vec<_>>())
}

fn document(study: &Study, rows: &[(&str, &Vec<Pair>)]) -> Value {
    let variants = rows.iter().map(|(name, runs)| json!({ "name": name, "runs": runs }));
    json!({
        "experiment": study.experiment,
        "seeds": study.seeds,
        "variants": variants.collect::<Vec<_>>(),
    })
}
