use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// The options of a plugin: read from JSON, unknown ones refused, described by a schema.
///
/// The macro [`options!`](crate::options) makes such a type out of a list of defaults.
pub trait Options: DeserializeOwned + Serialize + Default + JsonSchema + Send + 'static {}

impl<T: DeserializeOwned + Serialize + Default + JsonSchema + Send + 'static> Options for T {}

/// Makes a struct of options whose defaults stand beside them.
#[macro_export]
macro_rules! options {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty = $default:expr),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[derive($crate::macro_support::serde::Serialize, $crate::macro_support::serde::Deserialize)]
        #[derive($crate::macro_support::schemars::JsonSchema)]
        #[serde(crate = "expanse_sdk::macro_support::serde", default, deny_unknown_fields)]
        #[schemars(crate = "expanse_sdk::macro_support::schemars")]
        $vis struct $name {
            $($(#[$field_meta])* pub $field: $type),*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
}

/// For plugins that take no options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// An option that is one value or a list of them, such as the devices of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(untagged, expecting = "expected one value, or a list of at least one")]
pub enum OneOrMore<T> {
    /// A value that stands alone.
    One(T),
    /// The first, and those after it.
    More(#[serde(deserialize_with = "at_least_one")] Vec<T>),
}

impl<T> OneOrMore<T> {
    /// All of them, of which there is one at least.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

fn at_least_one<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values = <Vec<T> as serde::Deserialize>::deserialize(deserializer)?;
    if values.is_empty() {
        return Err(serde::de::Error::custom("the list is empty"));
    }
    Ok(values)
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMore_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut one = T::json_schema(generator).to_value();
        let kinds = [one["type"].clone(), "array".into()];
        let items = one.clone();
        one["type"] = kinds.as_slice().into();
        one["items"] = items;
        one["minItems"] = 1.into();
        schemars::Schema::try_from(one).unwrap_or_default()
    }
}

/// Reads options; an error names the option.
pub(crate) fn parse<T: Options>(json: &str) -> Result<T, Error> {
    let json = if json.is_empty() { "{}" } else { json };
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
        let option = error.path().to_string();
        let message = error.into_inner().to_string();
        // The place is one in the JSON that crosses the boundary, not one in the user's file.
        let message = message.split(" at line ").next().unwrap_or_default();
        Error::option(option.trim_start_matches('.'), in_words(message))
    })
}

/// serde names the types that it expects as Rust does; the user of an option need not know Rust.
fn in_words(message: &str) -> String {
    let Some((before, expected)) = message.rsplit_once("expected ") else { return message.into() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        other => other,
    };
    format!("{before}expected {expected}")
}

/// The JSON schema of options, with their defaults.
pub(crate) fn schema<T: Options>() -> serde_json::Value {
    let mut schema = serde_json::Value::from(schemars::schema_for!(T));
    if let (Some(properties), Ok(defaults)) =
        (schema.get_mut("properties").and_then(|p| p.as_object_mut()), serde_json::to_value(T::default()))
    {
        for (name, property) in properties {
            if let (Some(property), Some(default)) = (property.as_object_mut(), defaults.get(name)) {
                property.insert("default".into(), default.clone());
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Serialize, serde::Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        count: usize,
        share: f32,
    }

    #[test]
    fn an_error_names_the_option_in_plain_words() {
        let check = |json: &str, option: &str, message: &str| {
            let expected = Error::option(option, message);
            assert_eq!(parse::<Example>(json).unwrap_err(), expected);
        };
        let text = "invalid type: string \"x\", expected ";
        check(r#"{"count": "x"}"#, "count", &format!("{text}a whole number of at least 0"));
        check(r#"{"share": "x"}"#, "share", &format!("{text}a number"));
        let unknown = parse::<Example>(r#"{"shares": 1}"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `shares`"), "{unknown}");
        assert_eq!(schema::<Example>()["properties"]["count"]["default"], 0);
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
    #[serde(default)]
    struct Several {
        device: OneOrMore<usize>,
    }

    impl Default for Several {
        fn default() -> Self {
            Self { device: OneOrMore::One(0) }
        }
    }

    #[test]
    fn one_value_stands_for_a_list_of_one() {
        let devices = |json: &str| parse::<Several>(json).map(|options| options.device.as_slice().to_vec());
        assert_eq!(devices("{}").unwrap(), [0]);
        assert_eq!(devices(r#"{"device": 2}"#).unwrap(), [2]);
        assert_eq!(devices(r#"{"device": [1, 0]}"#).unwrap(), [1, 0]);
        let wrong = Error::option("device", "expected one value, or a list of at least one");
        for json in [r#"{"device": []}"#, r#"{"device": "x"}"#, r#"{"device": [-1]}"#] {
            assert_eq!(devices(json).unwrap_err(), wrong, "{json}");
        }
        let schema = &schema::<Several>()["properties"]["device"];
        assert_eq!(schema["type"], serde_json::json!(["integer", "array"]));
        assert_eq!((&schema["default"], &schema["items"]["type"]), (&0.into(), &"integer".into()));
    }
}
