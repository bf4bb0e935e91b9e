mod arbitrary;
mod errors;
mod layers;
mod shipped;

use std::{fs, path::Path};

use crate::{ConfigError, Resolved, Sources, resolve};

/// A configuration folder with data sets, protocols and the experiment `x`, resolved with variables and flags.
fn resolve_x(experiment: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Resolved, String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("data/fashion-mnist-lt.toml", "[data]\nfolder = 'lt'\nclasses = ['a', 'b']\n");
    write("data/photos.toml", "[data]\nfolder = 'photos'\nclasses = ['a', 'b']\n[train]\nepochs = 7\n");
    write("data/stray.toml", "[data]\nset = 'photos'\n");
    write("protocols/quick.toml", "train.epochs = 2\nfinetune.epochs = 1\n");
    write("protocols/stray.toml", "data.set = 'photos'\n");
    write("experiments/x.toml", experiment);
    write("experiments/cifar10-paper.toml", "");
    let resolved = resolve_in(folder.path(), Some("x"), environment, set);
    resolved.map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), "config"))
}

fn resolve_in(
    config_folder: &Path,
    experiment: Option<&str>,
    environment: &[(&str, &str)],
    set: &[&str],
) -> Result<Resolved, ConfigError> {
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let set: Vec<String> = set.iter().map(|argument| argument.to_string()).collect();
    resolve(Sources { config_folder, experiment, environment, set: &set })
}
