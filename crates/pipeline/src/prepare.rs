use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use expanse_config::{self as config, Experiment};
use expanse_data::{
    DataSet, Format, ImageSet, ImageShape, Normalization, PictureOptions, load, search, standard_bases,
};
use expanse_domain::{ClassCounts, Seed};
use expanse_imbalance::{Profile, hold_out, keep};

use crate::PipelineError;

/// Images as the phases use them.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is trained on: thinned by the profile, without what is held out.
    pub train: Arc<ImageSet>,
    /// What is held out for validation; empty if nothing is.
    pub validation: ImageSet,
    /// The test set, never thinned.
    pub test: ImageSet,
    /// Mean and deviation of the training images.
    pub normalization: Normalization,
    /// Training images by class.
    pub counts: ClassCounts,
}

/// Loads a data set, thins it by its imbalance profile and holds out the validation split.
pub fn prepare(experiment: &Experiment, root: &Path) -> Result<Prepared, PipelineError> {
    let data = &experiment.data;
    let seed = Seed(experiment.seed);
    let (_, loaded) = find(data, root)?;

    if loaded.train.classes.len() < 2 {
        return Err(PipelineError::OneClass { set: data.set.clone(), classes: loaded.train.classes });
    }
    let available = loaded.train.counts();
    let largest = Some(data.largest).filter(|&largest| largest > 0);
    let wanted = profile(data).counts(&available, largest)?;
    let kept = loaded.train.select(&keep(loaded.train.labels(), &wanted, seed));
    let (train, held_out) = hold_out(kept.labels(), kept.classes.len(), data.validation, 0, seed);
    let (train, validation) = (kept.select(&train), kept.select(&held_out));
    for (part, counts) in [("training", train.counts()), ("test", loaded.test.counts())] {
        if let Some(class) = counts.as_slice().iter().position(|&count| count == 0) {
            return Err(PipelineError::EmptyClass { class, name: train.classes[class].clone(), part });
        }
    }
    let (normalization, counts) = (Normalization::of(&train), train.counts());
    Ok(Prepared { train: Arc::new(train), validation, test: loaded.test, normalization, counts })
}

/// Finds a data set and loads it; answers its folder, too.
///
/// A relative folder is looked up below `root`, then in the system's places for data sets.
pub fn find(data: &config::Data, root: &Path) -> Result<(PathBuf, DataSet), PipelineError> {
    let format: Format = data.format.parse().map_err(|_| PipelineError::Format {
        found: data.format.clone(),
        allowed: Format::names().iter().map(|&name| name.into()).collect(),
    })?;
    let bases: Vec<_> = std::iter::once(root.to_owned()).chain(standard_bases()).collect();
    let folder = search(Path::new(&data.folder), &bases).ok_or_else(|| PipelineError::NoFolder {
        set: data.set.clone(),
        folder: data.folder.clone(),
        bases,
    })?;
    let classes = Some(data.classes.as_slice()).filter(|names| !names.is_empty());
    let size = data.image_size;
    let shape = ImageShape { channels: channels(data.color), height: size, width: size };
    let pictures = PictureOptions { shape, test_share: data.test_share };
    let loaded = load(format, &folder, classes, &pictures)
        .map_err(|source| PipelineError::Data { set: data.set.clone(), source })?;
    Ok((folder, loaded))
}

/// The channels of a picture.
pub(crate) fn channels(color: config::Color) -> usize {
    match color {
        config::Color::Gray => 1,
        config::Color::Rgb => 3,
    }
}

fn profile(data: &config::Data) -> Profile {
    match data.profile {
        config::Profile::Natural => Profile::Natural,
        config::Profile::Exponential => Profile::Exponential { ratio: data.ratio },
        config::Profile::Step => Profile::Step { ratio: data.ratio },
        config::Profile::Counts => Profile::Counts(data.counts.clone()),
    }
}
