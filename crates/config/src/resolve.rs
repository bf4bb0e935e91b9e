use std::path::{Path, PathBuf};

use figment::{
    Figment, Provider as _,
    value::{Dict, Value},
};
use serde::Deserialize as _;

use crate::{
    ConfigError, Experiment, Layer, Resolved, Schedule, check,
    document::join,
    extraction::{self, kind},
    names::toml_files,
    origin::Origins,
    settings::Settings,
};

/// Where a configuration comes from, besides the built-in defaults.
#[derive(Clone, Debug)]
pub struct Sources<'a, E> {
    /// The folder that holds `data/` and `experiments/`.
    pub config_folder: &'a Path,
    /// An experiment's name, or the path of a `.toml` file.
    pub experiment: Option<&'a str>,
    /// Names and values of the environment; what does not begin with `EXPANSE_` is left aside.
    pub environment: E,
    /// What follows each `--set`, in order.
    pub set: &'a [String],
}

/// Lays the sources over one another, weakest first, and reads the experiment.
///
/// A layer that names another plugin than the layers below it starts the table of that stage anew, so that
/// options meant for one plugin never reach another.
///
/// # Errors
///
/// [`ConfigError`], at the place to mend: files that are missing, unreadable or not TOML; flags and variables
/// without a key; unknown keys; values of another kind or outside their range.
pub fn resolve<E>(sources: Sources<'_, E>) -> Result<Resolved, ConfigError>
where
    E: IntoIterator<Item = (String, String)>,
{
    let defaults = Settings::defaults()?;
    let known = defaults.values.clone();
    let file = sources.experiment.map(|name| experiment_file(sources.config_folder, name)).transpose()?;
    let name = match file.as_deref().and_then(Path::file_stem) {
        Some(stem) => stem.to_string_lossy().into_owned(),
        None => "default".to_owned(),
    };

    let mut layers = vec![defaults];
    if let Some(file) = file {
        layers.extend(extended(sources.config_folder, file)?);
    }
    layers.extend(environment(sources.environment)?);
    for argument in sources.set {
        layers.push(Settings::flag(argument)?);
    }
    let below: Vec<_> = CHOICES
        .iter()
        .filter_map(|choice| chosen(choice, sources.config_folder, &layers).transpose())
        .collect::<Result<_, _>>()?;
    layers.splice(1..1, below);

    layers.iter().try_for_each(|settings| check::keys(settings, &known))?;
    let before = layers.clone();
    let stages = known.iter().filter(|(_, value)| value.find_ref("plugin").is_some());
    stages.for_each(|(stage, _)| restart(stage, &mut layers));

    let (figment, origins) = merge(&layers)?;
    let experiment = extract(&figment, &origins)?;
    check::ranges(&experiment, &origins)?;
    Ok(Resolved { experiment, name, origins, before, after: layers })
}

/// Variables of this prefix that configure the program, not the experiment.
const NOT_KEYS: [&str; 4] =
    ["EXPANSE_CACHE_HOME", "EXPANSE_CONFIG_HOME", "EXPANSE_LOG", "EXPANSE_PLUGIN_PATH"];

/// The variables that set a key, sorted by name.
fn environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Vec<Settings>, ConfigError> {
    let mut variables: Vec<_> =
        variables.into_iter().filter(|(name, _)| !NOT_KEYS.contains(&&**name)).collect();
    variables.sort();
    let keys =
        variables.iter().filter_map(|(name, value)| Some((name, name.strip_prefix("EXPANSE_")?, value)));
    keys.map(|(name, key, value)| Settings::variable(name, key, value)).collect()
}

/// The key by which an experiment's file builds on another one. It is no key of the experiment.
pub(crate) const EXTENDS: &str = "extends";

/// An experiment's file with those that it builds on, weakest first.
fn extended(config_folder: &Path, file: PathBuf) -> Result<Vec<Settings>, ConfigError> {
    let mut chain: Vec<Settings> = Vec::new();
    let mut seen = Vec::new();
    let mut next = Some(file);
    while let Some(file) = next.take() {
        seen.push(file.canonicalize().unwrap_or_else(|_| file.clone()));
        let mut settings = Settings::file(Layer::Experiment, file.clone())?;
        if let Some(base) = settings.values.remove(EXTENDS) {
            let origin = || Box::new(settings.origin(EXTENDS));
            let Some(name) = base.as_str() else {
                let expected = "the name of an experiment, or the path of a .toml file".into();
                return Err(ConfigError::value(origin(), EXTENDS, kind(&base.to_actual()), expected));
            };
            let path = match name.ends_with(".toml") {
                // As the reader of the file sees it.
                true => file.parent().unwrap_or(Path::new("")).join(name),
                false => {
                    let absent = |folder, names| ConfigError::NoBase {
                        origin: origin(),
                        name: name.to_owned(),
                        folder,
                        names,
                    };
                    named(config_folder.join("experiments"), name, absent)?
                }
            };
            if seen.contains(&path.canonicalize().unwrap_or_else(|_| path.clone())) {
                let expected = "an experiment that does not itself extend this one".into();
                return Err(ConfigError::value(origin(), EXTENDS, format!("`{name}`"), expected));
            }
            next = Some(path);
        }
        chain.push(settings);
    }
    chain.reverse();
    Ok(chain)
}

fn experiment_file(config_folder: &Path, name: &str) -> Result<PathBuf, ConfigError> {
    if name.ends_with(".toml") {
        return Ok(name.into());
    }
    let folder = config_folder.join("experiments");
    let absent = |folder, names| ConfigError::NoExperiment { name: name.to_owned(), folder, names };
    named(folder, name, absent)
}

/// A file that a key chooses by its name.
struct Choice {
    /// What it is, for people.
    what: &'static str,
    layer: Layer,
    key: &'static str,
    /// The folder below that of the configuration.
    folder: &'static str,
}

/// All of them, the weakest first. None is chosen in the file of another: who chooses has read the key already.
const CHOICES: [Choice; 2] = [
    Choice { what: "protocol", layer: Layer::Protocol, key: "protocol", folder: "protocols" },
    Choice { what: "data set", layer: Layer::DataSet, key: "data.set", folder: "data" },
];

/// The file that the strongest layer names; none if that is the empty name.
fn chosen(
    choice: &Choice,
    config_folder: &Path,
    layers: &[Settings],
) -> Result<Option<Settings>, ConfigError> {
    let Choice { what, layer, key, folder } = *choice;
    let named_in = layers.iter().rev().find_map(|settings| Some((settings, settings.find(key)?)));
    let Some((settings, value)) = named_in else { return Ok(None) };
    let origin = || Box::new(settings.origin(key));
    let Some(name) = value.as_str() else {
        return Err(ConfigError::value(origin(), key, kind(&value.to_actual()), "a string".into()));
    };
    if name.is_empty() {
        return Ok(None);
    }
    let absent = |folder, names| {
        let name = name.to_owned();
        ConfigError::NoChoice { origin: origin(), what, key, name, folder, names }
    };
    let settings = Settings::file(layer, named(config_folder.join(folder), name, absent)?)?;
    for foreign in CHOICES.map(|choice| choice.key) {
        if let Some(other) = settings.find(foreign)
            && (foreign != key || other.as_str() != Some(name))
        {
            let origin = Box::new(settings.origin(foreign));
            let found = other.as_str().map_or_else(|| kind(&other.to_actual()), |other| format!("`{other}`"));
            let expected = match foreign == key {
                true => format!("`{name}`, or no such key, in the file of that {what}"),
                false => format!("no such key in the file of a {what}; experiments and flags choose it"),
            };
            return Err(ConfigError::value(origin, foreign, found, expected));
        }
    }
    Ok(Some(settings))
}

/// The file of `name` in `folder`; if it is `absent`, the error knows the names that exist.
fn named(
    folder: PathBuf,
    name: &str,
    absent: impl FnOnce(PathBuf, Vec<String>) -> ConfigError,
) -> Result<PathBuf, ConfigError> {
    let names = toml_files(&folder)?;
    match names.iter().any(|other| other == name) {
        true => Ok(folder.join(format!("{name}.toml"))),
        false => Err(absent(folder, names)),
    }
}

/// Drops what the weaker layers say of `stage` wherever a layer names another plugin.
fn restart(stage: &str, layers: &mut [Settings]) {
    let key = join(stage, "plugin");
    let mut plugin = None;
    let mut start = 0;
    // Each file stands for itself; variables and flags have no order that their reader would rely on.
    while let Some(first) = layers.get(start) {
        let together = |other: &&Settings| (other.layer, &other.file) == (first.layer, &first.file);
        let end = start + layers[start..].iter().take_while(together).count();
        let named = layers[start..end].iter().rev().find_map(|s| Some(s.find(&key)?.as_str()?.to_owned()));
        if named.is_some() && named != plugin {
            for weaker in &mut layers[..start] {
                weaker.values.remove(stage);
            }
            plugin = named;
        }
        start = end;
    }
}

/// All layers as one, and the origin of each key that is left.
fn merge(layers: &[Settings]) -> Result<(Figment, Origins), ConfigError> {
    let figment = layers.iter().fold(Figment::new(), Figment::merge);
    let mut origins = Origins::default();
    let values = figment.data().map_err(|error| extraction::located(error, "", &origins))?;
    for values in values.values() {
        trace(values, "", &figment, layers, &mut origins);
    }
    Ok((figment, origins))
}

/// Figment tags each value with the metadata of its provider, which is the name of its place.
fn trace(values: &Dict, table: &str, figment: &Figment, layers: &[Settings], origins: &mut Origins) {
    for (key, value) in values {
        let path = join(table, key);
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => trace(inner, &path, figment, layers, origins),
            _ => {
                let place = figment.get_metadata(value.tag());
                let settings = layers.iter().find(|settings| Some(&settings.metadata()) == place);
                origins.0.extend(settings.map(|settings| (path.clone(), settings.origin(&path))));
            }
        }
    }
}

fn extract(figment: &Figment, origins: &Origins) -> Result<Experiment, ConfigError> {
    let at = |table| move |error| extraction::located(error, table, origins);
    // Serde loses the place of an error in a part that it flattens, so that this part is read alone first.
    for phase in ["train", "finetune"] {
        let value = figment.find_value(phase).map_err(at(phase))?;
        Schedule::deserialize(&value).map_err(at(phase))?;
    }
    figment.extract().map_err(at(""))
}
