//! `evaluate`: the scores of a model from a file, on the test set of an experiment.

use expanse_pipeline::evaluate;
use expanse_report::scores_table;
use serde_json::json;

use crate::{
    checkpoint::{self, Opened},
    cli::{EvaluateOptions, Format},
    error::Error,
    plugins,
    run::{self, Loaded},
    single::write_rows,
    stdout::Protected,
};

/// `evaluate`.
pub fn command(options: &EvaluateOptions, quiet: bool) -> Result<(), Error> {
    let file = &options.model.checkpoint;
    let Opened { checkpoint, resolved, .. } =
        checkpoint::open(&options.model, options.experiment.as_deref())?;
    let host = plugins::host(&options.plugins)?;
    let stdout = Protected::new();
    let Loaded { data, components } = run::load(&resolved, &host)?;
    let evaluated =
        evaluate(&checkpoint, &data, &components).map_err(|error| checkpoint::located(file, error))?;
    if let Some(out) = &options.out {
        write_rows(out, &evaluated.embeddings, &evaluated.logits, data.test.labels())?;
    }
    drop(stdout);
    if !quiet {
        eprintln!(
            "{} on the {} test images of {}",
            file.display(),
            data.test.len(),
            resolved.experiment.data.set
        );
    }
    match options.format {
        Format::Json => {
            let document = json!({"classes": data.test.classes, "scores": evaluated.scores});
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
        Format::Table => print!("{}", scores_table(&evaluated.scores, &data.test.classes)),
    }
    Ok(())
}
