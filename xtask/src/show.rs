use std::env;

use expanse_config::{ConfigError, Resolved, Sources, resolve};

use crate::{
    cli::{Format, ShowOptions, Source},
    error::Error,
    workspace,
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
