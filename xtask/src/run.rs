use std::{path::PathBuf, time::Duration};

use expanse_config::{Experiment, Resolved};
use expanse_host::{Host, Kind, cancel, cancelled, set_stall_limit, set_threads};
use expanse_pipeline::{
    Components, Outcome, Prepared, Provenance, RunFolder, missing_operations, prepare, save,
};
use expanse_report::table;

use crate::{
    cli::{Format, RunOptions},
    dry_run,
    ending::{Unfinished, end},
    error::Error,
    exit, logging, machine, plugins,
    progress::Progress,
    show,
    stdout::Protected,
    workspace,
};

/// `run`.
pub fn command(options: &RunOptions, quiet: bool) -> Result<(), Error> {
    let resolved = show::resolved(&options.source, &[])?;
    begin(&resolved);
    let host = plugins::host(&options.plugins)?;
    let stdout = Protected::new();
    if options.dry_run {
        let told = dry_run::told(&resolved, &host, options.format)?;
        drop(stdout);
        print!("{told}");
        return Ok(());
    }
    let (outcome, data, folder) = run(&resolved, &host, quiet)?;
    drop(stdout);
    match options.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&outcome.metrics)?),
        Format::Table => print!("{}", table(&outcome.metrics, &data.train.classes, data.counts.as_slice())),
    }
    if !quiet {
        eprintln!("run kept in {}", folder.display());
    }
    Ok(())
}

/// Sets the thread budget, before any thread or plugin is there, and lets Ctrl-C end a run in order.
pub fn begin(resolved: &Resolved) {
    let threads = machine::threads(resolved.experiment.threads);
    set_threads(threads);
    limit_rayon(threads);
    let stall = resolved.experiment.augment.stall_seconds;
    set_stall_limit(Some(Duration::from_secs(stall)).filter(|limit| !limit.is_zero()));
    if let Err(error) = ctrlc::set_handler(interrupted) {
        tracing::warn!("Ctrl-C will end the program at once: {error}");
    }
}

/// The first time everything is asked to stop in order; a plugin may not heed that, so the second time ends the program.
fn interrupted() {
    if cancelled() {
        end(exit::INTERRUPTED);
    }
    cancel();
}

/// Every library has its own pool of threads, which reads this variable when it is first used.
#[allow(unsafe_code)]
fn limit_rayon(threads: usize) {
    // SAFETY: no other thread runs yet: this is called once, before the handler of Ctrl-C, the first plugin and
    // the first batch start theirs.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
}

/// What a run works with.
pub struct Loaded {
    pub data: Prepared,
    pub components: Components,
}

/// Opens the plugins and loads the data.
pub fn load(resolved: &Resolved, host: &Host) -> Result<Loaded, Error> {
    let mut components = plugins::open(resolved, host)?;
    // A machine without the device is told first, with the place where the backend is named.
    components.backend.device().map_err(|error| plugins::located(resolved, Kind::Backend, error))?;
    let data = prepare(&resolved.experiment, &workspace::root())?;
    let missing = missing_operations(&data, &components)?;
    if let Some(told) = plugins::fall_back(&mut components, host, &missing)? {
        tracing::warn!("{told}");
    }
    Ok(Loaded { data, components })
}

/// The folder of runs. A relative one is one below the workspace, wherever the command is called.
fn folder(experiment: &Experiment) -> PathBuf {
    workspace::root().join(&experiment.run.folder)
}

/// Where phases are kept for later runs, unless that is not wanted.
pub fn cache(experiment: &Experiment) -> Option<PathBuf> {
    experiment.run.cache.then(|| folder(experiment).join("cache"))
}

/// Runs an experiment and keeps it.
pub fn run(resolved: &Resolved, host: &Host, quiet: bool) -> Result<(Outcome, Prepared, PathBuf), Error> {
    let experiment = &resolved.experiment;
    let _unfinished = Unfinished::new();
    let progress = Progress::new(quiet);
    let made_by = machine::made_by(machine::threads(experiment.threads));
    let Loaded { data, components } = load(resolved, host)?;
    let folder = RunFolder::create(&folder(experiment), &resolved.name)?;
    progress.line(&format!(
        "{}: {} training images of {} classes, {} to {}; {} test images",
        resolved.name,
        data.train.len(),
        data.counts.classes(),
        data.counts.largest(),
        data.counts.as_slice().iter().min().copied().unwrap_or(0),
        data.test.len()
    ));
    let cache = cache(experiment);
    let outcome = expanse_pipeline::run(experiment, &data, &components, cache.as_deref(), &progress)?;
    let origins = resolved.origins().into_iter().map(|(key, origin)| (key, origin.to_string().into()));
    let provenance = Provenance {
        config: resolved.to_toml(),
        origins: serde_json::Value::Object(origins.collect()),
        made_by,
        events: progress.events(),
        log: logging::taken(),
    };
    let folder = save(folder, &outcome, &data, &components, &provenance)?;
    Ok((outcome, data, folder))
}
