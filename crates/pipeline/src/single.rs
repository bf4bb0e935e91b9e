//! The phases one at a time. Each takes what the one before has left in a file, and the chain of them comes to the bytes
//! of a whole run.

use std::path::Path;

use expanse_checkpoint::Checkpoint;
use expanse_config::Experiment;
use expanse_domain::{Matrix, Provenance};

use crate::{
    About, Components, Observer, PipelineError, Prepared,
    checkpoint::{fitted, kept},
    phases::{self, Balanced},
    rehearsal::rehearse,
    run::{Clock, phase1},
};

/// The embeddings that a head is fine-tuned on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// One row an embedding; the synthetic ones come last.
    pub embeddings: Matrix,
    /// The class of each row.
    pub labels: Vec<u32>,
    /// Of the synthetic rows; none if nobody knows which they are.
    pub provenance: Vec<Provenance>,
}

/// Phase 1 alone: the model that a run would train. It is taken from `cache` and kept there as a run does it.
///
/// # Errors
///
/// As [`run`](crate::run).
pub fn train_model(
    experiment: &Experiment,
    data: &Prepared,
    components: &Components,
    cache: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Checkpoint, PipelineError> {
    let parts = rehearse(experiment, data, components)?.parts;
    let trained = phase1(experiment, parts, data, components, cache, &mut Clock::new(observer))?;
    let (_, usual_names) = parts.parameters()?;
    kept(&trained.parameters, &usual_names, &About::new(data, components))
}

/// Phase 3 alone: a head for the model of a checkpoint, trained on `rows` as the experiment says it.
///
/// # Errors
///
/// The checkpoint is not one of this model, the rows do not fit it, or training diverges.
pub fn finetune_head(
    experiment: &Experiment,
    data: &Prepared,
    components: &Components,
    checkpoint: &Checkpoint,
    rows: Rows,
    observer: &dyn Observer,
) -> Result<Checkpoint, PipelineError> {
    let parts = rehearse(experiment, data, components)?.parts;
    let classes = parts.class_counts.len();
    let misfit = |message: String| PipelineError::Rows { message };
    let Rows { embeddings, labels, provenance } = rows;
    if embeddings.cols() != parts.features {
        let (found, expected) = (embeddings.cols(), parts.features);
        return Err(misfit(format!("rows of {found} values; the embeddings of the model have {expected}")));
    }
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        let label = labels[row];
        return Err(misfit(format!(
            "label {label} at row {row}; there are {classes} classes, counted from 0"
        )));
    }
    if experiment.finetune.soft_labels && provenance.is_empty() {
        let message = "no r and partner_class of synthetic rows, which finetune.soft_labels mixes labels by";
        return Err(misfit(message.into()));
    }
    let baseline = fitted(checkpoint, &parts)?;
    let balanced = Balanced { embeddings, labels, provenance };
    let head = phases::finetune(experiment, parts, &balanced, &baseline, &*components.backend, observer)?;
    let (_, usual_names) = parts.parameters()?;
    kept(&head, &usual_names, &About::new(data, components))
}

/// One model again: the tensors of `head` in the place of those of the same name.
///
/// # Errors
///
/// The head has a tensor that the model lacks or has in another shape, or is of other classes.
pub fn reassembled(model: &Checkpoint, head: &Checkpoint) -> Result<Checkpoint, PipelineError> {
    let mut whole = model.clone();
    let classes = |checkpoint| Ok::<_, PipelineError>(About::of(checkpoint)?.map(|about| about.classes));
    if let (Some(of_model), Some(of_head)) = (classes(model)?, classes(head)?)
        && of_model != of_head
    {
        let (told, found) = (of_head.join(", "), of_model.join(", "));
        return Err(PipelineError::Other { what: "a head for the classes", told, found });
    }
    for tensor in &head.tensors {
        let place = whole.tensors.iter_mut().find(|other| other.name == tensor.name);
        let expected = place.as_ref().map(|other| other.shape.clone());
        match place {
            Some(other) if other.shape == tensor.shape => *other = tensor.clone(),
            _ => {
                let (name, found) = (tensor.name.clone(), tensor.shape.clone());
                return Err(PipelineError::NotOfModel { name, found, expected });
            }
        }
    }
    Ok(whole)
}
