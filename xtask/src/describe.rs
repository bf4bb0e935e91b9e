//! `plugin describe`: all that a library says of its plugins.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use expanse_host::{Found, Host, HostError, Kind, Manifest, PluginEntry};
use serde_json::{Value, json};

use crate::{
    cli::{DescribeOptions, Format},
    error::Error,
    plugins,
};

/// `plugin describe`.
pub fn describe(options: &DescribeOptions) -> Result<(), Error> {
    let host = plugins::host(&options.plugins)?;
    let found = find(&host, &options.plugin)?;
    match options.format {
        Format::Table => {
            for (place, (library, entry)) in found.iter().enumerate() {
                let gap = if place == 0 { "" } else { "\n" };
                print!("{gap}{}", text(library, entry));
            }
        }
        Format::Json => {
            let all: Vec<Value> = found.iter().map(|(library, entry)| document(library, entry)).collect();
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
    }
    Ok(())
}

/// What a library says of itself, with its file.
struct Library {
    path: PathBuf,
    kind: Kind,
    manifest: Manifest,
}

/// The plugins of a file, or those of a name, of whatever kind.
fn find(host: &Host, plugin: &str) -> Result<Vec<(Rc<Library>, PluginEntry)>, Error> {
    let path = Path::new(plugin);
    let mut found = Vec::new();
    let mut add = |path: &Path, (kind, manifest): (Kind, Manifest), wanted: Option<&str>| {
        let entries = manifest.plugins.clone();
        let library = Rc::new(Library { path: path.into(), kind, manifest });
        let entries = entries.into_iter().filter(|entry| wanted.is_none_or(|name| entry.name == name));
        found.extend(entries.map(|entry| (library.clone(), entry)));
    };
    if path.is_file() {
        add(path, manifest(host, path)?, None);
        return Ok(found);
    }
    for library in host.list() {
        match host.manifest(&library) {
            Ok(manifest) => add(&library.path, (library.kind, manifest), Some(plugin)),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    if found.is_empty() {
        let mut known: Vec<String> = host.list().into_iter().map(|found| found.name).collect();
        known.dedup();
        let message = format!("no file and no plugin is called so; there are {}", known.join(", "));
        return Err(Error::PluginFile { path: path.into(), message });
    }
    Ok(found)
}

/// What a library says of itself; its kind is what it opens as.
pub fn manifest(host: &Host, path: &Path) -> Result<(Kind, Manifest), Error> {
    // A worker tells the error in words only.
    let of_other_kind = |error: &HostError| error.to_string().contains("this is a plugin of kind");
    let mut first: Option<HostError> = None;
    for kind in Kind::ALL {
        match host.manifest(&Found { kind, name: String::new(), path: path.into() }) {
            Ok(manifest) => return Ok((kind, manifest)),
            // Of another kind is the file for every kind but one: what is wrong besides is told.
            Err(error) => first = Some(first.filter(|first| !of_other_kind(first)).unwrap_or(error)),
        }
    }
    first.map_or(Err(Error::PluginFile { path: path.into(), message: "this is no plugin".into() }), |error| {
        Err(Error::Host(Box::new(error)))
    })
}

fn text(library: &Library, entry: &PluginEntry) -> String {
    let manifest = &library.manifest;
    let licence = if manifest.licence.is_empty() { "no licence named" } else { &manifest.licence };
    let mut text = format!("{} `{}` {}, {licence}\n", library.kind, entry.name, manifest.version);
    text += &format!("  {}\n", entry.summary);
    if !entry.citation.is_empty() {
        text += &format!("  published in {}\n", entry.citation);
    }
    let dialect =
        manifest.dialect.as_ref().map(|dialect| format!(", programs in {dialect}")).unwrap_or_default();
    text += &format!("  {}\n", library.path.display());
    text += &format!("  built with sdk {} for boundary {}{dialect}\n", manifest.sdk, manifest.abi);
    let options: Vec<_> = entry.options["properties"].as_object().into_iter().flatten().collect();
    if options.is_empty() {
        text += "  it has no options\n";
    }
    for (name, schema) in options {
        let schema = Schema { root: &entry.options, schema };
        let default = schema.schema.get("default").map(|value| format!(" = {value}")).unwrap_or_default();
        text += &format!("\n  {name}{default}    {}\n", schema.allowed());
        for line in schema.description().lines() {
            text += &format!("      {line}\n");
        }
    }
    text
}

fn document(library: &Library, entry: &PluginEntry) -> Value {
    let manifest = &library.manifest;
    json!({
        "kind": library.kind, "name": entry.name, "summary": entry.summary, "citation": entry.citation,
        "version": manifest.version, "licence": manifest.licence, "sdk": manifest.sdk, "abi": manifest.abi,
        "dialect": manifest.dialect, "library": library.path, "options": entry.options,
    })
}

/// A part of a JSON schema, with the whole that its references lead into.
#[derive(Clone, Copy)]
struct Schema<'a> {
    root: &'a Value,
    schema: &'a Value,
}

impl<'a> Schema<'a> {
    fn target(self) -> Self {
        let reference = self.schema["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
        match reference.and_then(|reference| self.root.pointer(reference)) {
            Some(schema) => Self { schema, ..self }.target(),
            None => self,
        }
    }

    fn description(self) -> &'a str {
        let own = self.schema["description"].as_str();
        own.or(self.target().schema["description"].as_str()).unwrap_or("not described")
    }

    /// The type and the range, in words.
    fn allowed(self) -> String {
        let schema = self.target().schema;
        for list in ["oneOf", "anyOf"] {
            if let Some(list) = schema[list].as_array() {
                let each: Vec<String> = list.iter().map(|schema| Self { schema, ..self }.allowed()).collect();
                return each.join(" or ");
            }
        }
        if let Some(constant) = schema.get("const") {
            return constant.to_string();
        }
        if let Some(values) = schema["enum"].as_array() {
            return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
        }
        let mut words = vec![match &schema["type"] {
            Value::String(name) => name.clone(),
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            _ => "any value".into(),
        }];
        for (key, before) in [
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        ] {
            if let Some(limit) = schema.get(key) {
                words.push(format!("{before} {limit}"));
            }
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_ranges_are_told_in_words() {
        let root = json!({"$defs": {"mode": {"description": "a mode", "oneOf": [
            {"const": "fast"}, {"enum": ["safe", "slow"]}
        ]}}});
        let check = |schema: Value, expected: &str| {
            assert_eq!(Schema { root: &root, schema: &schema }.allowed(), expected);
        };
        check(json!({"type": "integer", "minimum": 1, "maximum": 9}), "integer, at least 1, at most 9");
        check(json!({"type": "number", "exclusiveMinimum": 0.0}), "number, above 0.0");
        check(json!({"type": ["number", "null"]}), "number or null");
        check(json!({"$ref": "#/$defs/mode"}), "\"fast\" or \"safe\" or \"slow\"");
        check(json!({}), "any value");
        let schema = json!({"$ref": "#/$defs/mode"});
        assert_eq!(Schema { root: &root, schema: &schema }.description(), "a mode");
    }
}
