//! `evaluate`: the scores of a model from a file, on the test set of an experiment.

use std::path::Path;

use expanse_checkpoint::{Checkpoint, Element, Tensor, Values, write};
use expanse_domain::Matrix;
use expanse_pipeline::{Evaluated, evaluate};
use expanse_report::scores_table;
use serde_json::json;

use crate::{
    checkpoint::{self, Opened},
    cli::{EvaluateOptions, Format},
    error::Error,
    plugins,
    run::{self, Loaded},
    show,
    stdout::Protected,
};

/// `evaluate`.
pub fn command(options: &EvaluateOptions, quiet: bool) -> Result<(), Error> {
    let file = &options.model.checkpoint;
    let Opened { checkpoint, about } = checkpoint::open(&options.model)?;
    let (source, told) = checkpoint::source(&options.model, options.experiment.as_deref(), about.as_ref());
    let resolved = show::resolved(&source, &told)?;
    run::begin(&resolved);
    let host = plugins::host(&options.plugins)?;
    let stdout = Protected::new();
    let Loaded { data, components } = run::load(&resolved, &host)?;
    let evaluated =
        evaluate(&checkpoint, &data, &components).map_err(|error| checkpoint::located(file, error))?;
    if let Some(out) = &options.out {
        write_rows(out, &evaluated, data.test.labels())?;
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

/// Embeddings, logits and labels of all test images.
fn write_rows(out: &Path, evaluated: &Evaluated, labels: &[u32]) -> Result<(), Error> {
    let matrix = |name: &str, matrix: &Matrix| Tensor {
        name: name.into(),
        shape: vec![matrix.rows(), matrix.cols()],
        stored: Element::F32,
        values: Values::F32(matrix.as_slice().to_vec()),
    };
    let labels = Tensor {
        name: "labels".into(),
        shape: vec![labels.len()],
        stored: Element::I64,
        values: Values::I64(labels.iter().map(|&label| label.into()).collect()),
    };
    let tensors =
        vec![matrix("embeddings", &evaluated.embeddings), labels, matrix("logits", &evaluated.logits)];
    Ok(write(out, &Checkpoint { tensors, about: None })?)
}
