use std::{collections::BTreeMap, str::FromStr};

use crate::{Checkpoint, Tensor};

/// What wrappers of PyTorch put before every name: DataParallel and its kin, and torch.compile.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// Takes prefixes away that all names have.
pub(crate) fn without_prefix(tensors: &mut [Tensor]) {
    while let Some(prefix) = PREFIXES
        .iter()
        .find(|prefix| !tensors.is_empty() && tensors.iter().all(|tensor| tensor.name.starts_with(*prefix)))
    {
        for tensor in &mut *tensors {
            tensor.name.drain(..prefix.len());
        }
    }
}

/// The name by which PyTorch's common implementation of a network calls a parameter. `table` has, for parts of a name
/// between its dots, what they are called there: with `linear` as `fc`, `linear.weight` is `fc.weight`.
pub fn usual_name(name: &str, table: &BTreeMap<String, String>) -> String {
    let part = |part: &str| table.get(part).map_or_else(|| part.to_owned(), String::clone);
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Another beginning for names, as a user writes it: `OLD=NEW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    old: String,
    new: String,
}

/// Names cannot be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// It cannot be read.
    #[error("`{0}` is no renaming; write OLD=NEW, such as fc=linear")]
    Form(String),
    /// Nothing has such a name.
    #[error("no tensor's name begins with `{old}`; there are {}", held.join(", "))]
    Nothing {
        /// The beginning.
        old: String,
        /// Some of the names that there are.
        held: Vec<String>,
    },
    /// Two tensors would have one name.
    #[error("renamed, two tensors would be called `{0}`; choose other names")]
    Twice(String),
}

impl FromStr for Rename {
    type Err = RenameError;

    fn from_str(text: &str) -> Result<Self, RenameError> {
        match text.split_once('=') {
            Some((old, new)) if !old.is_empty() => Ok(Self { old: old.into(), new: new.into() }),
            _ => Err(RenameError::Form(text.into())),
        }
    }
}

/// Gives names another beginning: with `fc=linear`, `fc.weight` becomes `linear.weight`, and `fc2.weight` stays. With
/// nothing after the `=`, the beginning goes with its dot.
pub fn rename(checkpoint: &mut Checkpoint, renames: &[Rename]) -> Result<(), RenameError> {
    for Rename { old, new } in renames {
        let mut found = false;
        for tensor in &mut checkpoint.tensors {
            let Some(rest) = tensor.name.strip_prefix(old.as_str()) else { continue };
            if !(rest.is_empty() || rest.starts_with('.') || old.ends_with('.')) {
                continue;
            }
            found = true;
            let rest = if new.is_empty() { rest.trim_start_matches('.') } else { rest };
            tensor.name = format!("{new}{rest}");
        }
        if !found {
            let held = checkpoint.tensors.iter().take(3).map(|tensor| format!("`{}`", tensor.name));
            return Err(RenameError::Nothing { old: old.clone(), held: held.collect() });
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    match checkpoint.tensors.iter().find(|tensor| !seen.insert(&tensor.name)) {
        Some(twice) => Err(RenameError::Twice(twice.name.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Element, Values};

    fn named(names: &[&str]) -> Checkpoint {
        let tensor = |name: &&str| Tensor {
            name: (*name).into(),
            shape: vec![0],
            stored: Element::F32,
            values: Values::F32(vec![]),
        };
        Checkpoint { tensors: names.iter().map(tensor).collect(), about: None }
    }

    fn names(checkpoint: &Checkpoint) -> Vec<&str> {
        checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
    }

    #[test]
    fn prefixes_go_where_all_names_have_them() {
        let check = |given: &[&str], expected: &[&str]| {
            let mut checkpoint = named(given);
            without_prefix(&mut checkpoint.tensors);
            assert_eq!(names(&checkpoint), expected);
        };
        check(&["module._orig_mod.a", "module._orig_mod.b"], &["a", "b"]);
        check(&["module.a", "b"], &["module.a", "b"]);
        check(&[], &[]);
    }

    #[test]
    fn names_get_another_beginning() {
        let check = |rename: &str, expected: Result<&[&str], &str>| {
            let mut checkpoint = named(&["fc.weight", "fc2.weight", "net.a", "linear"]);
            let renamed = rename.parse().and_then(|rename| super::rename(&mut checkpoint, &[rename]));
            match expected {
                Ok(expected) => assert_eq!(names(&checkpoint), expected),
                Err(message) => {
                    let error = renamed.unwrap_err().to_string();
                    assert!(error.contains(message), "{error}");
                }
            }
        };
        check("fc=linear", Ok(&["linear.weight", "fc2.weight", "net.a", "linear"]));
        check("net=", Ok(&["fc.weight", "fc2.weight", "a", "linear"]));
        check("net.=b.", Ok(&["fc.weight", "fc2.weight", "b.a", "linear"]));
        check("net.a=linear", Err("two tensors would be called `linear`"));
        check("fd=linear", Err("no tensor's name begins with `fd`; there are `fc.weight`, "));
        check("fc", Err("`fc` is no renaming; write OLD=NEW"));
    }

    #[test]
    fn parts_of_names_have_usual_ones() {
        let table = BTreeMap::from([("linear".to_owned(), "fc".to_owned())]);
        assert_eq!(usual_name("linear.weight", &table), "fc.weight");
        assert_eq!(usual_name("linear1.weight", &table), "linear1.weight");
    }
}
