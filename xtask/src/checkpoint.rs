//! `checkpoint`: what a file of a model holds, and the same in the other format. And the opening of such files.

use std::path::Path;

use expanse_checkpoint::{Checkpoint, Rename, WriteError, read, rename, write};
use expanse_config::Resolved;
use expanse_pipeline::{About, Made, PipelineError};
use serde_json::{Value, json};

use crate::{
    cli::{CheckpointCommand, DEFAULT_EXPERIMENT, Format, ModelOptions, Source},
    error::Error,
    run, show,
};

/// The configuration that lies beside the models of a run.
const CONFIG: &str = "config.toml";

/// All of `checkpoint`.
pub fn command(command: &CheckpointCommand, quiet: bool) -> Result<(), Error> {
    match command {
        CheckpointCommand::Show { file, format } => show(file, *format),
        CheckpointCommand::Convert { from, to, rename } => {
            let checkpoint = opened(from, rename)?;
            write(to, &checkpoint)?;
            if !quiet {
                eprintln!(
                    "{} tensors of {} are in {}",
                    checkpoint.tensors.len(),
                    from.display(),
                    to.display()
                );
            }
            Ok(())
        }
    }
}

/// A model's file, with what it tells of itself.
pub struct Opened {
    pub checkpoint: Checkpoint,
    pub about: Option<About>,
    /// The configuration of the experiment that it belongs to.
    pub resolved: Resolved,
}

/// Opens the file of a model and begins to work on the experiment that is named, or that it belongs to.
pub fn open(options: &ModelOptions, experiment: Option<&str>) -> Result<Opened, Error> {
    let checkpoint = opened(&options.checkpoint, &options.rename)?;
    let about = About::of(&checkpoint).map_err(|error| located(&options.checkpoint, error))?;
    let (source, told) = source(options, experiment, about.as_ref());
    let resolved = show::resolved(&source, &told)?;
    run::begin(&resolved);
    Ok(Opened { checkpoint, about, resolved })
}

/// An error if the name of a file tells none of the formats: before there is anything to write.
pub fn check_extension(path: &Path) -> Result<(), Error> {
    let format = expanse_checkpoint::Format::of(path);
    format.map(|_| ()).ok_or_else(|| WriteError::Extension(path.into()).into())
}

/// An error of the pipeline, with the file where it is about that.
pub fn located(path: &Path, error: PipelineError) -> Error {
    match error.is_about_checkpoint() {
        true => Error::Misfit { path: path.into(), source: Box::new(error) },
        false => error.into(),
    }
}

/// The experiment that is named, or the one that the file of a run belongs to; and besides, weaker than flags, the
/// backbone and head that the file tells of.
fn source(options: &ModelOptions, named: Option<&str>, about: Option<&About>) -> (Source, Vec<String>) {
    let beside = options.checkpoint.with_file_name(CONFIG);
    let beside = beside.to_str().filter(|_| about.is_some() && beside.is_file());
    let experiment = named.or(beside).unwrap_or(DEFAULT_EXPERIMENT).to_owned();
    let parts = about.map(|about| [("backbone", &about.backbone), ("head", &about.head)]);
    let told = parts.into_iter().flatten().filter_map(|(stage, made)| Some((stage, made.as_ref()?)));
    let set = told.flat_map(|(stage, Made { plugin, options })| {
        let plugin = ("plugin".to_owned(), Value::String(plugin.clone()));
        let options = options.iter().map(|(option, value)| (option.clone(), value.clone()));
        let values: Vec<_> = std::iter::once(plugin).chain(options).collect();
        values.into_iter().filter_map(move |(key, value)| {
            let value = toml::Value::try_from(value).ok()?;
            Some(format!("{stage}.{key}={value}"))
        })
    });
    (Source { experiment, set: options.set.clone() }, set.collect())
}

fn opened(path: &Path, renames: &[Rename]) -> Result<Checkpoint, Error> {
    let mut checkpoint = read(path)?;
    rename(&mut checkpoint, renames)
        .map_err(|source| Error::Renaming { path: path.into(), source: Box::new(source) })?;
    Ok(checkpoint)
}

fn show(file: &Path, format: Format) -> Result<(), Error> {
    let Checkpoint { tensors, about } = read(file)?;
    let values: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    if format == Format::Json {
        let tensor = |tensor: &expanse_checkpoint::Tensor| json!({"name": tensor.name, "shape": tensor.shape, "type": tensor.stored.to_string()});
        let tensors: Vec<_> = tensors.iter().map(tensor).collect();
        let document = json!({"tensors": tensors, "values": values, "about": about});
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    let width = tensors.iter().map(|tensor| tensor.name.chars().count()).max().unwrap_or(0).max(6);
    println!("{:<width$}  {:<5} shape", "tensor", "type");
    for tensor in &tensors {
        let shape: Vec<_> = tensor.shape.iter().map(usize::to_string).collect();
        println!("{:<width$}  {:<5} {}", tensor.name, tensor.stored, shape.join("×"));
    }
    println!("{} tensors with {values} values", tensors.len());
    for (key, value) in about.into_iter().flatten() {
        println!("{key}: {value}");
    }
    Ok(())
}
