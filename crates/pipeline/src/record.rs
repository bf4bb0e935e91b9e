//! What a run leaves on disk: enough to check it, to repeat it and to go on from it.

use std::path::PathBuf;

use expanse_checkpoint::{Format, to_bytes};
use expanse_domain::Matrix;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use crate::{About, Components, Outcome, PipelineError, Prepared, RunFolder, checkpoint::kept, model::Parts};

/// What the driver knows of a run, besides its outcome.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The resolved configuration as TOML.
    pub config: String,
    /// Where every value of it comes from, by key.
    pub origins: Value,
    /// What made the run: version, commit, machine, threads, time.
    pub made_by: Value,
    /// The events of the run, one JSON object a line.
    pub events: String,
    /// What was logged, one JSON object a line.
    pub log: String,
}

/// Writes all files of a run and completes its folder:
///
/// | file | content |
/// |---|---|
/// | `config.toml`, `origins.json` | the resolved configuration, and where each value comes from |
/// | `record.json` | what made the run: plugins with versions, hashes, time and memory of their calls; data, machine, notes |
/// | `events.jsonl` | what happened, one event a line |
/// | `log.jsonl` | what was logged, by plugins too, one record a line |
/// | `metrics.json` | what was measured |
/// | `baseline.safetensors` | the model of phase 1 |
/// | `checkpoint.safetensors` | the reassembled model, the one to use |
/// | `embeddings.safetensors` | training, test and synthetic embeddings with labels and provenance |
/// | `SHA256SUMS` | the hashes of all of them, by which [`verify`](crate::verify) and `sha256sum --check` compare |
pub fn save(
    mut folder: RunFolder,
    outcome: &Outcome,
    data: &Prepared,
    components: &Components,
    provenance: &Provenance,
) -> Result<PathBuf, PipelineError> {
    let record = json!({
        "made_by": provenance.made_by,
        "plugins": components.identities,
        "data": {
            "classes": data.train.classes,
            "train_counts": data.counts.as_slice(),
            "train_sha256": data.train.sha256(),
            "validation_images": data.validation.len(),
            "test_images": data.test.len(),
            "test_sha256": data.test.sha256(),
        },
        "sampler_report": outcome.synthetic.report,
        "plugin_calls": expanse_host::take_calls(),
    });
    folder.write("config.toml", provenance.config.as_bytes())?;
    folder.write("origins.json", &serde_json::to_vec_pretty(&provenance.origins)?)?;
    folder.write("record.json", &serde_json::to_vec_pretty(&record)?)?;
    folder.write("events.jsonl", provenance.events.as_bytes())?;
    folder.write("log.jsonl", provenance.log.as_bytes())?;
    let (about, (_, usual_names)) =
        (About::new(data, components), Parts::of(data, components)?.parameters()?);
    for (file, parameters) in [("baseline", &outcome.baseline), ("checkpoint", &outcome.three_phase)] {
        let model = to_bytes(Format::Safetensors, &kept(parameters, &usual_names, &about)?)?;
        folder.write(&format!("{file}.safetensors"), &model)?;
    }
    folder.write("embeddings.safetensors", &embeddings(outcome)?)?;
    folder.write("metrics.json", &serde_json::to_vec_pretty(&outcome.metrics)?)?;
    folder.finish()
}

fn embeddings(outcome: &Outcome) -> Result<Vec<u8>, PipelineError> {
    let shape = |matrix: &Matrix| vec![matrix.rows(), matrix.cols()];
    let synthetic = &outcome.synthetic;
    let provenance = &synthetic.provenance;
    let rows = vec![provenance.len()];
    let ints = |values: &mut dyn Iterator<Item = u64>| -> (Dtype, Vec<u8>) {
        (Dtype::I64, values.flat_map(|value| (value as i64).to_le_bytes()).collect())
    };
    let labels = |labels: &[u32]| ints(&mut labels.iter().map(|&label| u64::from(label)));
    let steps: Vec<f32> = provenance.iter().map(|p| p.r).collect();
    let (train_rows, test_rows) = (vec![outcome.train.1.len()], vec![outcome.test.1.len()]);
    serialize(vec![
        ("train.embeddings", &shape(&outcome.train.0), floats(outcome.train.0.as_slice())),
        ("train.labels", &train_rows, labels(&outcome.train.1)),
        ("test.embeddings", &shape(&outcome.test.0), floats(outcome.test.0.as_slice())),
        ("test.labels", &test_rows, labels(&outcome.test.1)),
        ("synthetic.embeddings", &shape(&synthetic.features), floats(synthetic.features.as_slice())),
        ("synthetic.labels", &rows, labels(&synthetic.labels)),
        ("synthetic.base", &rows, ints(&mut provenance.iter().map(|p| p.base))),
        ("synthetic.partner", &rows, ints(&mut provenance.iter().map(|p| p.partner))),
        ("synthetic.r", &rows, floats(&steps)),
    ])
}

fn floats(values: &[f32]) -> (Dtype, Vec<u8>) {
    (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

type Part<'a> = (&'a str, &'a Vec<usize>, (Dtype, Vec<u8>));

fn serialize(parts: Vec<Part<'_>>) -> Result<Vec<u8>, PipelineError> {
    let views: Result<Vec<_>, safetensors::SafeTensorError> = parts
        .iter()
        .map(|(name, shape, (dtype, bytes))| Ok((*name, TensorView::new(*dtype, shape.to_vec(), bytes)?)))
        .collect();
    Ok(safetensors::serialize(views?, None)?)
}
