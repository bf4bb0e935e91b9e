//! A model from a file: what it tells of itself, its scores on a test set, and what it says of pictures.

use std::collections::BTreeMap;

use expanse_checkpoint::{Checkpoint, Element, Tensor, Values, fit, usual_name};
use expanse_data::{ImageSet, ImageShape, Normalization};
use expanse_domain::Matrix;
use expanse_metrics::{Scores, softmax};
use expanse_program::{Optimizer, tensors_from_bytes, tensors_to_bytes};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Components, PipelineError, Prepared,
    model::{Model, Parts, check_finite, score},
    phases::check_cancelled,
};

/// The most values of an image that a file may tell of: 1182 × 1182 in colours.
const MOST_VALUES: usize = 1 << 22;

/// What the file of a model tells of it, besides its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The names of the classes, by label.
    pub classes: Vec<String>,
    /// Channels, rows and columns of an image.
    pub image: [usize; 3],
    /// Of the training images, by channel.
    pub mean: Vec<f32>,
    /// Of the training images, by channel.
    pub std: Vec<f32>,
    /// The network; files of earlier versions do not tell it.
    #[serde(default)]
    pub backbone: Option<Made>,
    /// The classifier; files of earlier versions do not tell it.
    #[serde(default)]
    pub head: Option<Made>,
}

/// A plugin with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The name of the plugin.
    pub plugin: String,
    /// Its options, where they were not its own defaults.
    #[serde(default)]
    pub options: Map<String, Value>,
}

/// What a model is applied to: images of a shape, brought to zero mean, of named classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The shape of an image.
    pub shape: ImageShape,
    /// The names of the classes, by label.
    pub classes: Vec<String>,
    /// Mean and deviation by which images are normalised.
    pub normalization: Normalization,
}

/// What a model does on a test set.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// As a run reports them.
    pub scores: Scores,
    /// One row an image, in the order of the test set.
    pub embeddings: Matrix,
    /// One row an image.
    pub logits: Matrix,
}

impl About {
    /// What a checkpoint tells of its model; `None` if it tells nothing, as those of other programs.
    pub fn of(checkpoint: &Checkpoint) -> Result<Option<Self>, PipelineError> {
        let about =
            checkpoint.about.as_ref().map(|about| serde_json::from_value(Value::Object(about.clone())));
        about.transpose().map_err(PipelineError::About)
    }

    /// What there is to tell of a model that these components have made of these images.
    pub(crate) fn new(data: &Prepared, components: &Components) -> Self {
        let made = |stage: &str| {
            let identity = components.identities.get(stage)?;
            let options = identity.options.as_object().cloned().unwrap_or_default();
            Some(Made { plugin: identity.plugin.clone(), options })
        };
        let ImageShape { channels, height, width } = data.train.shape;
        Self {
            classes: data.train.classes.clone(),
            image: [channels, height, width],
            mean: data.normalization.mean().to_vec(),
            std: data.normalization.std().to_vec(),
            backbone: made("backbone"),
            head: made("head"),
        }
    }

    /// What the model was made for.
    pub fn subject(&self) -> Result<Subject, PipelineError> {
        let [channels, height, width] = self.image;
        let shape = ImageShape { channels, height, width };
        let values = self.image.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        let told = |message| Err(PipelineError::Told { message });
        if !values.is_some_and(|values| (1..=MOST_VALUES).contains(&values)) {
            return told(format!(
                "its images are {shape}, which is nothing or more than {MOST_VALUES} values"
            ));
        }
        let normalization = Normalization::new(self.mean.clone(), self.std.clone())?;
        if normalization.mean().len() != channels {
            return told(format!("an image has {channels} channels and {} means", self.mean.len()));
        }
        if self.classes.len() < 2 {
            return told(format!("it has {} classes, and two are needed", self.classes.len()));
        }
        Ok(Subject { shape, classes: self.classes.clone(), normalization })
    }
}

impl Subject {
    /// What a model is made for that an experiment trains.
    pub fn of(data: &Prepared) -> Self {
        let (shape, classes) = (data.train.shape, data.train.classes.clone());
        Self { shape, classes, normalization: data.normalization.clone() }
    }

    /// An error if the images of an experiment are others.
    fn check(&self, data: &Prepared) -> Result<(), PipelineError> {
        let other = |what, told: String, found: String| PipelineError::Other { what, told, found };
        if self.shape != data.test.shape {
            return Err(other("images of", self.shape.to_string(), data.test.shape.to_string()));
        }
        if self.classes != data.test.classes {
            return Err(other("the classes", self.classes.join(", "), data.test.classes.join(", ")));
        }
        Ok(())
    }
}

/// Applies a model to the test set of an experiment.
///
/// # Errors
///
/// The checkpoint is not one of this model, or was made for other images or classes; nothing is computed then.
pub fn evaluate(
    checkpoint: &Checkpoint,
    data: &Prepared,
    components: &Components,
) -> Result<Evaluated, PipelineError> {
    let subject = About::of(checkpoint)?.map(|about| about.subject()).transpose()?;
    let subject = subject.unwrap_or_else(|| Subject::of(data));
    subject.check(data)?;
    let (embeddings, logits) = apply(checkpoint, components, &subject, data.counts.as_slice(), &data.test)?;
    let scores = score(&logits, data.test.labels(), &data.counts)?;
    Ok(Evaluated { scores, embeddings, logits })
}

/// The probabilities of the classes for each image, one row an image.
///
/// # Errors
///
/// The checkpoint is not one of this model; nothing is computed then.
pub fn predict(
    checkpoint: &Checkpoint,
    components: &Components,
    subject: &Subject,
    images: &ImageSet,
) -> Result<Matrix, PipelineError> {
    // No loss is computed, so that the counts of the training images do not matter.
    let counts = vec![1; subject.classes.len()];
    let (_, logits) = apply(checkpoint, components, subject, &counts, images)?;
    Ok(softmax(logits.view()))
}

/// Embeddings and logits.
fn apply(
    checkpoint: &Checkpoint,
    components: &Components,
    subject: &Subject,
    counts: &[u64],
    images: &ImageSet,
) -> Result<(Matrix, Matrix), PipelineError> {
    let parts = Parts::new(subject.shape, counts, components)?;
    let (parameters, usual_names) = parts.parameters()?;
    let parameters = tensors_to_bytes(&fit(checkpoint, &parameters, &usual_names)?)?;
    // Nothing is trained.
    let optimizer = Optimizer::sgd(0.0, 0.0);
    let mut model = Model::new(parts, &*components.backend, optimizer)?;
    model.import_model(&parameters)?;
    let (embeddings, logits) = model.predict(images, &subject.normalization, check_cancelled)?;
    check_finite("test", logits.view())?;
    Ok((embeddings, logits))
}

/// A model as it is kept: with the names that PyTorch's common implementation has, and what it tells of itself.
pub(crate) fn kept(
    parameters: &[u8],
    usual_names: &BTreeMap<String, String>,
    about: &About,
) -> Result<Checkpoint, PipelineError> {
    let tensor = |tensor: expanse_program::NamedTensor| Tensor {
        name: usual_name(&tensor.name, usual_names),
        shape: tensor.shape,
        stored: Element::F32,
        values: Values::F32(tensor.values),
    };
    let tensors = tensors_from_bytes(parameters)?.into_iter().map(tensor).collect();
    let about = serde_json::to_value(about)?.as_object().cloned();
    Ok(Checkpoint { tensors, about })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_tells_is_used_only_if_it_can_be() {
        let good = About {
            classes: vec!["cat".into(), "ship".into()],
            image: [1, 4, 4],
            mean: vec![0.5],
            std: vec![0.25],
            backbone: None,
            head: None,
        };
        assert_eq!(good.subject().unwrap().shape.values(), 16);
        let check = |about: About, message: &str| {
            let error = about.subject().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        check(About { image: [1, 0, 4], ..good.clone() }, "its images are 1×0×4");
        check(
            About { image: [1, 1 << 40, 1 << 40], ..good.clone() },
            "which is nothing or more than 4194304",
        );
        check(About { image: [3, 4, 4], ..good.clone() }, "an image has 3 channels and 1 means");
        check(About { std: vec![0.0], ..good.clone() }, "standard deviation 0");
        check(About { classes: vec!["cat".into()], ..good }, "it has 1 classes");
    }
}
