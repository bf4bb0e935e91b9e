//! `runs`: what was kept, what it achieved, and whether it is still what it was.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expanse_pipeline::{Kept, runs, verify};
use expanse_report::{Metrics, table};
use serde_json::Value;

use crate::{
    cli::{DEFAULT_EXPERIMENT, RunsCommand, RunsOptions, Source},
    error::Error,
    show, workspace,
};

/// All of `runs`.
pub fn command(command: &RunsCommand) -> Result<(), Error> {
    match command {
        RunsCommand::List(options) => list(&folder(options)?),
        RunsCommand::Show { options, run } => show(&find(&folder(options)?, run)?),
        RunsCommand::Verify { options, runs: named } => check(&folder(options)?, named),
    }
}

/// The folder of runs: as given, or as the defaults have it.
fn folder(options: &RunsOptions) -> Result<PathBuf, Error> {
    if let Some(folder) = &options.folder {
        return Ok(folder.clone());
    }
    let source = Source { experiment: DEFAULT_EXPERIMENT.into(), set: Vec::new() };
    Ok(workspace::root().join(show::resolved(&source, &[])?.experiment.run.folder))
}

fn list(base: &Path) -> Result<(), Error> {
    println!("{:<32}{:>6}  {:<18}{:>10}{:>13}", "run", "seed", "sampler", "BAC", "three-phase");
    for run in runs(base)? {
        let (record, metrics) = (json(&run.folder, "record.json")?, metrics(&run.folder)?);
        let config = read(&run.folder, "config.toml")?;
        let seed = config.lines().find_map(|line| line.strip_prefix("seed = ")).unwrap_or("?").to_owned();
        // What has balanced the head: a sampler, or a method without any.
        let balanced = match metrics.model() {
            "three-phase" => record["plugins"]["sampler"]["plugin"].as_str().unwrap_or("?"),
            method => method,
        };
        println!(
            "{:<32}{seed:>6}  {balanced:<18}{:>10.4}{:>13.4}",
            name(&run),
            metrics.baseline.bac,
            metrics.three_phase.bac
        );
    }
    Ok(())
}

fn show(run: &Kept) -> Result<(), Error> {
    let record = json(&run.folder, "record.json")?;
    let list = |key: &str| record["data"][key].as_array().cloned().unwrap_or_default();
    let classes: Vec<String> =
        list("classes").iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    let counts: Vec<u64> = list("train_counts").iter().filter_map(Value::as_u64).collect();
    println!("{}\n", run.folder.display());
    print!("{}", table(&metrics(&run.folder)?, &classes, &counts));
    println!();
    for (stage, plugin) in record["plugins"].as_object().into_iter().flatten() {
        let text = |key: &str| plugin[key].as_str().unwrap_or("?");
        println!("{stage:<10}{} {}, SHA-256 {}", text("plugin"), text("version"), text("sha256"));
    }
    Ok(())
}

/// All runs, or those that are named; a damaged one is an error after all have been looked at.
fn check(base: &Path, named: &[String]) -> Result<(), Error> {
    let runs = match named.is_empty() {
        true => runs(base)?,
        false => named.iter().map(|name| find(base, name)).collect::<Result<_, _>>()?,
    };
    let mut damaged = Vec::new();
    for run in &runs {
        let damage = verify(&run.folder)?;
        let told = if damage.is_empty() { "as it was kept" } else { "damaged" };
        println!("{:<32}{told}", name(run));
        damaged.extend(damage.iter().map(|damage| format!("{}: {damage}", name(run))));
    }
    if damaged.is_empty() { Ok(()) } else { Err(Error::Damaged(damaged)) }
}

/// The run of that name, or in that folder.
fn find(base: &Path, wanted: &str) -> Result<Kept, Error> {
    let all = runs(base)?;
    let named = all.iter().find(|run| name(run) == wanted || run.folder == Path::new(wanted));
    named.cloned().ok_or_else(|| Error::NoRun {
        name: wanted.into(),
        folder: base.into(),
        known: all.iter().map(name).collect(),
    })
}

fn name(run: &Kept) -> String {
    format!("{}/{}", run.experiment, run.number)
}

fn metrics(folder: &Path) -> Result<Metrics, Error> {
    Ok(serde_json::from_value(json(folder, "metrics.json")?)?)
}

fn json(folder: &Path, file: &str) -> Result<Value, Error> {
    Ok(serde_json::from_str(&read(folder, file)?)?)
}

fn read(folder: &Path, file: &str) -> Result<String, Error> {
    let path = folder.join(file);
    fs::read_to_string(&path).map_err(|source| Error::File { path, source })
}
