//! The JSON schema of an experiment file, for editors: keys, kinds, defaults and meanings as `config/default.toml` has
//! them. What belongs to plugins is added by whoever knows them.

use serde_json::{Map, Value, json};
use toml_edit::{Item, TableLike};

use crate::{DEFAULTS, resolve::EXTENDS};

/// The schema; a stage's table, such as `sampler`, is open for the options of its plugin.
pub fn schema() -> Value {
    let document: toml_edit::DocumentMut = DEFAULTS.parse().expect("a test resolves the defaults");
    let mut schema = table(document.as_table());
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("An experiment of Expanse");
    let text =
        "The experiment that this one builds on: its name, or the path of its file from this one's folder.";
    schema["properties"][EXTENDS] = json!({ "type": "string", "description": text });
    schema
}

/// What `config/default.toml` says of a dotted key; nothing of an option, which is its plugin's.
pub fn meaning(key: &str) -> Option<String> {
    let pointer = key.split('.').map(|name| format!("/properties/{name}")).collect::<String>();
    schema().pointer(&pointer)?["description"].as_str().map(str::to_owned)
}

fn table(table: &dyn TableLike) -> Value {
    let mut properties = Map::new();
    for (name, _) in table.iter() {
        let Some((key, item)) = table.get_key_value(name) else { continue };
        let (mut property, comment) = match item {
            Item::Table(inner) => (self::table(inner), inner.decor().prefix().and_then(|raw| raw.as_str())),
            Item::Value(value) => (leaf(value), key.leaf_decor().prefix().and_then(|raw| raw.as_str())),
            Item::None | Item::ArrayOfTables(_) => continue,
        };
        // The last block of comments is the key's own; what stands above an empty line is not.
        let own = comment.unwrap_or_default().trim_end().rsplit("\n\n").next().unwrap_or_default();
        let lines = own.lines().map(|line| line.trim_start_matches('#').trim());
        property["description"] = json!(lines.collect::<Vec<_>>().join(" ").trim());
        properties.insert(name.to_owned(), property);
    }
    let open = properties.contains_key("plugin");
    json!({ "type": "object", "additionalProperties": open, "properties": properties })
}

fn leaf(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    let (kind, default) = match value {
        Toml::String(text) => (json!("string"), json!(text.value())),
        Toml::Integer(number) => (json!("integer"), json!(number.value())),
        Toml::Float(number) => (json!("number"), json!(number.value())),
        Toml::Boolean(truth) => (json!("boolean"), json!(truth.value())),
        Toml::Array(list) => {
            let values: Vec<Value> = list.iter().map(|value| leaf(value)["default"].clone()).collect();
            (json!("array"), json!(values))
        }
        Toml::Datetime(_) | Toml::InlineTable(_) => return json!({}),
    };
    json!({ "type": kind, "default": default })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_defaults_is_described() {
        fn check(schema: &Value, path: &str) -> usize {
            let properties = schema["properties"].as_object().unwrap();
            let described = properties.iter().map(|(name, property)| {
                let path = format!("{path}.{name}");
                assert!(!property["description"].as_str().unwrap().is_empty(), "{path} is not described");
                if property["type"] == "object" { check(property, &path) } else { 1 }
            });
            described.sum()
        }
        let schema = schema();
        let keys = DEFAULTS.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
        assert_eq!(check(&schema, ""), keys + 1, "all of them, and `extends`");
        let epochs = &schema["properties"]["train"]["properties"]["epochs"];
        assert_eq!((&epochs["type"], &epochs["default"]), (&json!("integer"), &json!(25)));
        assert_eq!(epochs["description"], "Passes over the training images.");
        assert_eq!(schema["properties"]["train"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["sampler"]["additionalProperties"], true);
    }
}
