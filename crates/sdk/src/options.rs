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

/// Reads options; an error names the option.
pub(crate) fn parse<T: Options>(json: &str) -> Result<T, Error> {
    let json = if json.is_empty() { "{}" } else { json };
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
        let option = error.path().to_string();
        let message = error.into_inner().to_string();
        // The place is one in the JSON that crosses the boundary, not one in the user's file.
        let message = message.split(" at line ").next().unwrap_or_default();
        Error::option(option.trim_start_matches('.'), message)
    })
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
