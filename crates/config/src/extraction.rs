use figment::error::{Actual, Kind};

use crate::{ConfigError, Hint, document::join, origin::Origins};

/// What figment says of a value within `table`, at the place that set it.
pub(crate) fn located(error: figment::Error, table: &str, origins: &Origins) -> ConfigError {
    let within = error.path.iter().map(String::as_str);
    let path: Vec<&str> = std::iter::once(table).chain(within).filter(|part| !part.is_empty()).collect();
    let origin = Box::new(origins.near(&path.join(".")));
    let key = dotted(&path);
    match &error.kind {
        Kind::InvalidType(found, wanted) => {
            ConfigError::value(origin, &key, kind(found), expected(wanted).into())
        }
        // Of the types that an experiment has, only counts refuse a value of the right kind.
        Kind::InvalidValue(found, _) => ConfigError::value(origin, &key, kind(found), "0 or more".into()),
        Kind::UnknownVariant(name, names) => ConfigError::Value {
            origin,
            key,
            found: format!("`{name}`"),
            expected: format!("one of {}", names.join(", ")),
            hint: Hint::nearest(name, names.iter().copied()),
        },
        _ => ConfigError::Refused { origin, key, source: Box::new(error) },
    }
}

/// A found value as the reader of a message knows it: small values themselves, others by their kind.
pub(crate) fn kind(actual: &Actual) -> String {
    match actual {
        Actual::Bool(truth) => truth.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => format!("{number:?}"),
        Actual::Str(_) | Actual::Char(_) => "a string".into(),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}

/// Serde's name of a Rust type, in the words of TOML.
fn expected(wanted: &str) -> &str {
    match wanted {
        "u64" | "usize" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other => other,
    }
}

/// `train.milestones[1]` from its parts.
fn dotted(path: &[&str]) -> String {
    let mut key = String::new();
    for part in path {
        match part.parse::<usize>() {
            Ok(index) => key += &format!("[{index}]"),
            Err(_) => key = join(&key, part),
        }
    }
    key
}
