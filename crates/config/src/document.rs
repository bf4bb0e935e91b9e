use std::collections::BTreeMap;

use figment::value::{Dict, Value};
use toml_edit::{Document, Item, TableLike, TomlError};

/// The line, from 1, on which each dotted key stands.
pub(crate) type Lines = BTreeMap<String, usize>;

/// Parses a TOML document into figment's values and the lines of its keys.
pub(crate) fn parse(text: &str) -> Result<(Dict, Lines), TomlError> {
    let document = Document::parse(text)?;
    let mut lines = Lines::new();
    let values = table(document.as_table(), "", text, &mut lines);
    Ok((values, lines))
}

/// The line and column, from 1, of a byte of `text`.
pub(crate) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
    (line, 1 + String::from_utf8_lossy(&before[line_start..]).chars().count())
}

/// A TOML value as a figment value; dates become strings.
pub(crate) fn value(value: &toml_edit::Value) -> Value {
    leaf(value, "", "", &mut Lines::new())
}

fn table(table: &dyn TableLike, prefix: &str, text: &str, lines: &mut Lines) -> Dict {
    let keys = table.iter().filter_map(|(name, _)| table.get_key_value(name));
    keys.map(|(key, item)| {
        let path = join(prefix, key.get());
        if let Some(span) = key.span() {
            lines.insert(path.clone(), position(text, span.start).0);
        }
        let value = match item {
            Item::Table(inner) => self::table(inner, &path, text, lines).into(),
            Item::ArrayOfTables(tables) => {
                tables.iter().map(|inner| self::table(inner, &path, text, lines)).collect::<Vec<_>>().into()
            }
            Item::Value(inner) => leaf(inner, &path, text, lines),
            Item::None => Dict::new().into(),
        };
        (key.get().to_owned(), value)
    })
    .collect()
}

fn leaf(value: &toml_edit::Value, path: &str, text: &str, lines: &mut Lines) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(string) => string.value().as_str().into(),
        Toml::Integer(number) => (*number.value()).into(),
        Toml::Float(number) => (*number.value()).into(),
        Toml::Boolean(truth) => (*truth.value()).into(),
        Toml::Datetime(date) => date.value().to_string().into(),
        Toml::Array(array) => array.iter().map(|e| leaf(e, path, text, lines)).collect::<Vec<_>>().into(),
        Toml::InlineTable(inner) => table(inner, path, text, lines).into(),
    }
}

/// `key` within `table`, dotted; the table `""` is the whole document.
pub(crate) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_lines_however_they_are_written() {
        let text = "a = 1\n\n[b]\nc = [\n  1,\n]\nd = { e = 'x' }\nf.g = 2.5\n[b.h]\n[[i]]\nj = 2024-01-02\n";
        let (values, lines) = parse(text).unwrap();
        let expected =
            [("a", 1), ("b", 3), ("b.c", 4), ("b.d", 7), ("b.d.e", 7), ("b.f", 8), ("b.f.g", 8), ("b.h", 9)];
        for (key, line) in expected.into_iter().chain([("i", 10), ("i.j", 11)]) {
            assert_eq!(lines.get(key), Some(&line), "{key}");
        }
        let values = Value::from(values);
        assert_eq!(values.find_ref("b.d.e").and_then(Value::as_str), Some("x"));
        assert_eq!(values.find_ref("b.f.g").and_then(Value::to_f64), Some(2.5));
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(position("é = 1\nü = x", 10), (2, 3));
        assert_eq!(position("a", 99), (1, 2));
    }
}
