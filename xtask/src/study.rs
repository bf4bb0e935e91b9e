use std::{fmt::Write, fs, path::Path};

use expanse_metrics::Scores;
use expanse_report::{Interval, interval};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cli::{Format, Source, StudyOptions},
    error::Error,
    plugins, run, show, workspace,
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
    // Seeds outermost: the variants of a seed share its phase 1.
    let mut baselines: Vec<Scores> = Vec::new();
    let mut results: Vec<Vec<Scores>> = study.variant.iter().map(|_| Vec::new()).collect();
    for &seed in &study.seeds {
        for (variant, results) in study.variant.iter().zip(&mut results) {
            if !quiet {
                eprintln!("== seed {seed}, {}", variant.name);
            }
            let resolved = show::resolved(&source(&study, options, &variant.set, seed), &[])?;
            let (outcome, _, _) = run::run(&resolved, &host, quiet)?;
            results.push(outcome.metrics.three_phase);
            if baselines.len() < results.len() {
                baselines.push(outcome.metrics.baseline);
            }
        }
    }
    let names = study.variant.iter().map(|variant| variant.name.as_str());
    let rows: Vec<_> = names.zip(&results).collect();
    match options.format {
        Format::Table => print!("{}", markdown(&baselines, &rows)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&document(&study, &baselines, &rows))?),
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

/// Score by score: the mean over seeds with its 95 % interval, and the paired change against phase 1.
fn markdown(baselines: &[Scores], rows: &[(&str, &Vec<Scores>)]) -> String {
    let mut text = format!(
        "{} seeds, mean ± half of the 95 % interval; in brackets the paired change\n\n|",
        baselines.len()
    );
    for (name, _) in std::iter::once(&("", SCORES[0].1)).chain(&SCORES) {
        let _ = write!(text, " {name} |");
    }
    text.push_str("\n|---|---|---|---|---|\n| phase 1 |");
    for (_, score) in SCORES {
        let Interval { mean, half_width } = interval(&baselines.iter().map(score).collect::<Vec<_>>());
        let _ = write!(text, " {mean:.4} ± {half_width:.4} |");
    }
    for (name, results) in rows {
        let _ = write!(text, "\n| {name} |");
        for (_, score) in SCORES {
            let Interval { mean, half_width } = interval(&results.iter().map(score).collect::<Vec<_>>());
            let change = interval(&changes(baselines, results, score));
            let _ = write!(
                text,
                " {mean:.4} ± {half_width:.4} ({:+.4} ± {:.4}) |",
                change.mean, change.half_width
            );
        }
    }
    text.push('\n');
    text
}

fn document(study: &Study, baselines: &[Scores], rows: &[(&str, &Vec<Scores>)]) -> Value {
    let variants = rows.iter().map(|(name, scores)| json!({ "name": name, "three_phase": scores }));
    json!({
        "experiment": study.experiment,
        "seeds": study.seeds,
        "baseline": baselines,
        "variants": variants.collect::<Vec<_>>(),
    })
}

fn changes(baselines: &[Scores], results: &[Scores], score: Score) -> Vec<f64> {
    results.iter().zip(baselines).map(|(result, baseline)| score(result) - score(baseline)).collect()
}
