use std::{fs, ops::Range, path::PathBuf};

use toml_edit::{Document, TableLike};

use crate::{ConfigError, Hint, Origin, Resolved, document::join, resolve::EXTENDS};

/// A file with the part of it that an error is about, for those who show the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The file.
    pub file: PathBuf,
    /// All of its text.
    pub text: String,
    /// The bytes of the part.
    pub span: Range<usize>,
}

impl ConfigError {
    /// The part of a file that is to be mended: an unknown key, a refused value, the first character that is no TOML.
    /// None where the place is no file, or where the file has changed since.
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Self::UnknownKey { origin, table, key, .. } => marked(origin, &join(table, key), Part::Key),
            // With a hint, it is the name of the option that is wrong.
            Self::Option { origin, key, hint, .. } if *hint != Hint::None => marked(origin, key, Part::Key),
            Self::Value { origin, key, .. }
            | Self::Option { origin, key, .. }
            | Self::Refused { origin, key, .. } => marked(origin, key, Part::Value),
            Self::NoBase { origin, .. } => marked(origin, EXTENDS, Part::Value),
            Self::NoChoice { origin, key, .. } => marked(origin, key, Part::Value),
            Self::Syntax { file, line, column, .. } => {
                let text = fs::read_to_string(file).ok()?;
                let start = text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>();
                let before: usize = text[start..].chars().take(column - 1).map(char::len_utf8).sum();
                let at = start + before;
                let len = text[at..].chars().next().map_or(0, char::len_utf8);
                Some(Mark { file: file.clone(), span: at..at + len, text })
            }
            Self::NoKey { .. } | Self::NoExperiment { .. } | Self::Read { .. } | Self::Malformed { .. } => {
                None
            }
        }
    }
}

impl Resolved {
    /// The value of `key` in the file that sets it; none where it is set elsewhere.
    pub fn mark(&self, key: &str) -> Option<Mark> {
        marked(&self.origin(key)?, key, Part::Value)
    }
}

/// Which part of `key = value` an error is about.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Key,
    Value,
}

fn marked(origin: &Origin, key: &str, part: Part) -> Option<Mark> {
    let file = origin.file.clone()?;
    let text = fs::read_to_string(&file).ok()?;
    let span = span(&text, key, part)?;
    Some(Mark { file, text, span })
}

/// Where a dotted key stands, or the nearest table around it. An index, as in `milestones[1]`, is that of the list.
fn span(text: &str, key: &str, part: Part) -> Option<Range<usize>> {
    let document = Document::parse(text).ok()?;
    let mut table: Option<&dyn TableLike> = Some(document.as_table());
    let mut span = None;
    for segment in key.split('.') {
        let name = segment.split_once('[').map_or(segment, |(name, _)| name);
        let Some((key, item)) = table.and_then(|table| table.get_key_value(name)) else { break };
        table = item.as_table_like();
        // A table is marked by its name, not with all that is in it.
        let value = item.as_value().filter(|_| part == Part::Value).and_then(|value| value.span());
        span = value.or_else(|| key.span());
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_to_mend_is_found_however_it_is_written() {
        let check = |text: &str, key, part, expected| {
            assert_eq!(span(text, key, part).map(|span| &text[span]), expected, "{key} in {text}");
        };
        let text = "seed = 1 # one\n[train]\nepochs = 'many' # too many\nmilestones = [0.5,\n 'x']\n[sampler]\nplugin='e'\n";
        check(text, "train.epochs", Part::Value, Some("'many'"));
        check(text, "train.epochs", Part::Key, Some("epochs"));
        check(text, "train.milestones[1]", Part::Value, Some("[0.5,\n 'x']"));
        check(text, "sampler.k", Part::Value, Some("sampler"));
        check(text, "augment.x", Part::Value, None);
        check("train.epochs = -1", "train.epochs", Part::Value, Some("-1"));
        check("train = { epochs = 0, x = 1 }", "train.x", Part::Key, Some("x"));
    }
}
