use std::{collections::BTreeSet, env};

use expanse_config::{ConfigError, Fate, Resolved, Said, Sources, meaning, resolve};
use expanse_host::Kind;
use serde_json::json;

use crate::{
    cli::{Format, PluginOptions, ShowOptions, Source},
    error::Error,
    plugins, workspace,
};

/// The configuration of an experiment, from all its layers.
pub fn resolved(source: &Source, more: &[String]) -> Result<Resolved, ConfigError> {
    let set: Vec<String> = more.iter().chain(&source.set).cloned().collect();
    resolve(Sources {
        config_folder: &workspace::config_folder(),
        experiment: Some(&source.experiment),
        environment: env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        set: &set,
    })
}

/// `config show`.
pub fn config(options: &ShowOptions) -> Result<(), Error> {
    let resolved = resolved(&options.source, &[])?;
    match options.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&resolved.to_json())?),
        Format::Table => {
            let origins = resolved.origins();
            let width = origins.keys().map(String::len).max().unwrap_or(0);
            print!("{}", resolved.to_toml());
            println!("\n# Where each value comes from:");
            for (key, origin) in origins {
                println!("# {key:<width$}  {origin}");
            }
        }
    }
    Ok(())
}

/// `config explain`.
pub fn explain(key: &str, source: &Source) -> Result<(), Error> {
    let resolved = resolved(source, &[])?;
    let said = resolved.explain(key)?;
    if let Some(meaning) = meaning(key) {
        println!("# {meaning}");
    }
    if said.is_empty() {
        let stage = key.split('.').next().unwrap_or_default();
        println!("{key} is set nowhere: if the plugin of [{stage}] has that option, its own default holds");
    }
    // The strongest first, as people ask why a value is what it is.
    for Said { origin, value, fate } in said.iter().rev() {
        let fate = match fate {
            Fate::Holds => "holds",
            Fate::Overridden => "overridden",
            Fate::OtherPlugin => "dropped: meant for another plugin",
        };
        println!("{key} = {value}  # {origin}: {fate}");
    }
    Ok(())
}

/// `config diff`.
pub fn diff(first: &str, second: &str, set: &[String]) -> Result<(), Error> {
    let of = |name: &str| resolved(&Source { experiment: name.into(), set: set.to_vec() }, &[]);
    let (first, second) = (of(first)?, of(second)?);
    let keys: BTreeSet<String> = first.origins().into_keys().chain(second.origins().into_keys()).collect();
    for key in keys {
        let told = |resolved: &Resolved| {
            let holding = resolved.explain(&key).ok()?.into_iter().find(|said| said.fate == Fate::Holds)?;
            Some((holding.value.to_string(), holding.origin.to_string()))
        };
        let (a, b) = (told(&first), told(&second));
        if a.as_ref().map(|(value, _)| value) != b.as_ref().map(|(value, _)| value) {
            for (sign, side) in [("-", a), ("+", b)] {
                if let Some((value, origin)) = side {
                    println!("{sign} {key} = {value}  # {origin}");
                }
            }
        }
    }
    Ok(())
}

/// `config schema`.
pub fn schema(options: &PluginOptions) -> Result<(), Error> {
    let mut schema = expanse_config::schema();
    // Where the strategy is no name it is a number or a list.
    schema["properties"]["augment"]["properties"]["sampling_strategy"]["type"] =
        json!(["string", "number", "array"]);
    let host = plugins::host(options)?;
    for kind in Kind::ALL {
        let mut names = Vec::new();
        let mut options = Vec::new();
        for found in host.list().into_iter().filter(|found| found.kind == kind) {
            for plugin in host.manifest(&found).map_err(|error| Error::Host(Box::new(error)))?.plugins {
                names.push(json!(plugin.name));
                options.push(json!({
                    "if": { "properties": { "plugin": { "const": plugin.name } }, "required": ["plugin"] },
                    "then": { "properties": plugin.options["properties"] },
                }));
            }
        }
        let stage = &mut schema["properties"][kind.name()];
        // A plugin may also be named by the path of its file.
        stage["properties"]["plugin"]["examples"] = names.into();
        stage["allOf"] = options.into();
    }
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}

/// `config check`.
pub fn check(source: &Source, options: &PluginOptions) -> Result<(), Error> {
    let resolved = resolved(source, &[])?;
    plugins::open(&resolved, &plugins::host(options)?)?;
    println!("{}: every key, value, plugin and option can be used", resolved.name);
    Ok(())
}
