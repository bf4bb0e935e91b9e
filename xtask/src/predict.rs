//! `predict`: what a model from a file says of pictures.

use std::path::PathBuf;

use expanse_data::{DataError, ImageSet, read_picture};
use expanse_pipeline::{Subject, missing_to_predict, predict, prepare};
use serde_json::json;

use crate::{
    checkpoint::{self, Opened},
    cli::{Format, PredictOptions},
    error::Error,
    plugins,
    stdout::Protected,
    workspace,
};

/// `predict`.
pub fn command(options: &PredictOptions) -> Result<(), Error> {
    let file = &options.model.checkpoint;
    let Opened { checkpoint, about, resolved } =
        checkpoint::open(&options.model, options.experiment.as_deref())?;
    let located = |error| checkpoint::located(file, error);
    let subject = match about {
        Some(about) => about.subject().map_err(located)?,
        // A foreign file tells nothing of classes and images: they are those of the experiment.
        None => Subject::of(&prepare(&resolved.experiment, &workspace::root())?),
    };
    let images = pictures(&options.pictures, &subject)?;

    let host = plugins::host(&options.plugins)?;
    let stdout = Protected::new();
    let mut components = plugins::open(&resolved, &host)?;
    let missing = missing_to_predict(&subject, &components)?;
    if let Some(told) = plugins::fall_back(&mut components, &host, &missing)? {
        tracing::warn!("{told}");
    }
    let probabilities = predict(&checkpoint, &components, &subject, &images).map_err(located)?;
    drop(stdout);

    let rows = options.pictures.iter().zip((0..probabilities.rows()).map(|row| probabilities.row(row)));
    let said = rows.map(|(picture, row)| {
        let (class, confidence) = largest(row);
        (picture, &subject.classes[class], confidence, row)
    });
    match options.format {
        Format::Table => {
            let width = options.pictures.iter().map(|path| path.display().to_string().chars().count()).max();
            let width = width.unwrap_or(0);
            for (picture, class, confidence, _) in said {
                println!("{:<width$}  {confidence:.4}  {class}", picture.display().to_string());
            }
        }
        Format::Json => {
            let document: Vec<_> = said
                .map(|(picture, class, confidence, row)| {
                    let all = subject.classes.iter().cloned().zip(row.iter().map(|&p| json!(p)));
                    let all: serde_json::Map<_, _> = all.collect();
                    json!({"picture": picture, "class": class, "confidence": confidence, "probabilities": all})
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
    }
    Ok(())
}

/// The pictures as images of the model's shape, unlabelled.
fn pictures(files: &[PathBuf], subject: &Subject) -> Result<ImageSet, Error> {
    if ![1, 3].contains(&subject.shape.channels) {
        return Err(Error::Channels { channels: subject.shape.channels });
    }
    let mut pixels = Vec::new();
    for file in files {
        pixels.extend(read_picture(file, subject.shape)?);
    }
    let labels = vec![0; files.len()];
    let set = ImageSet::new(subject.shape, pixels, labels, subject.classes.clone());
    Ok(set.map_err(|source| DataError::Images { path: files[0].clone(), source })?)
}

/// The place of the largest value, the first where several are; and the value.
fn largest(row: &[f32]) -> (usize, f32) {
    let start = (0, f32::NEG_INFINITY);
    row.iter().copied().enumerate().fold(start, |best, next| if next.1 > best.1 { next } else { best })
}
