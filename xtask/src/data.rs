use std::{fs, path::PathBuf};

use expanse_config::data_sets;
use expanse_data::{DataSet, write_idx};
use expanse_domain::{ClassCounts, Seed};
use expanse_imbalance::{Profile, keep};

use crate::{
    cli::{DEFAULT_EXPERIMENT, PackOptions, Source},
    error::Error,
    show, workspace,
};

/// `data list`.
pub fn list() -> Result<(), Error> {
    println!("{:<20}{:>9}{:>8}{:>9}  {:<12}folder", "data set", "training", "test", "classes", "image");
    for name in data_sets(&workspace::config_folder())? {
        match find(&name) {
            Ok((folder, DataSet { train, test })) => println!(
                "{name:<20}{:>9}{:>8}{:>9}  {:<12}{}",
                train.len(),
                test.len(),
                train.classes.len(),
                train.shape.to_string(),
                folder.display()
            ),
            Err(error) => println!("{name:<20}not here: {}", crate::error::chain(&error)),
        }
    }
    Ok(())
}

/// `data pack`: a long-tailed part of a data set, small enough to be kept in a repository.
pub fn pack(options: &PackOptions) -> Result<(), Error> {
    let (_, DataSet { train, test }) = find(&options.from)?;
    let seed = Seed(options.seed);
    let failed = |error: &dyn std::fmt::Display| Error::Pack(error.to_string());
    let counts = Profile::Exponential { ratio: options.ratio }
        .counts(&train.counts(), Some(options.largest))
        .map_err(|error| failed(&error))?;
    let test_counts = ClassCounts::new(vec![options.test; test.classes.len()]);
    if let Some(class) = test.counts().as_slice().iter().position(|&have| have < options.test) {
        return Err(Error::Pack(format!("class {class} has fewer than {} test images", options.test)));
    }
    let train = train.select(&keep(train.labels(), &counts, seed.derive("pack train", &[])));
    let test = test.select(&keep(test.labels(), &test_counts, seed.derive("pack test", &[])));
    let folder = workspace::root().join(&options.to);
    fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    for (set, part) in [(&train, "train"), (&test, "t10k")] {
        let images = folder.join(format!("{part}-images-idx3-ubyte.gz"));
        let labels = folder.join(format!("{part}-labels-idx1-ubyte.gz"));
        write_idx(set, &images, &labels, true)?;
    }
    println!(
        "{}: {:?} training images, {} test images",
        options.to.display(),
        train.counts().as_slice(),
        test.len()
    );
    Ok(())
}

/// A data set that has a configuration file, found and loaded.
pub fn find(name: &str) -> Result<(PathBuf, DataSet), Error> {
    let source = Source { experiment: DEFAULT_EXPERIMENT.into(), set: vec![format!("data.set={name}")] };
    let data = show::resolved(&source, &[])?.experiment.data;
    Ok(expanse_pipeline::find(&data, &workspace::root())?)
}
