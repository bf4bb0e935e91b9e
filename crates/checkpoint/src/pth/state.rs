//! The dictionary of tensors in what a pickle holds.

use std::collections::BTreeSet;

use super::pickle::{Data, Id, Node, View};
use crate::Problem;

/// The keys under which training scripts keep a model's dictionary beside optimiser, epoch and so on.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// The tensors of a model, by name, in the order in which they were saved.
pub(super) fn tensors(data: &Data) -> Result<Vec<(&str, &View)>, Problem> {
    let Node::Dict(root) = data.root() else {
        return Err(Problem::NoState { found: data.root().kind().into() });
    };
    let wrapped = WRAPPERS.iter().find_map(|wrapper| {
        let (_, value) = root.iter().find(|(key, _)| text(data, *key) == Some(wrapper))?;
        match data.node(*value) {
            Node::Dict(entries) if holds_tensors(data, entries) => Some(entries),
            _ => None,
        }
    });
    let entries = match wrapped {
        Some(entries) => entries,
        None if holds_tensors(data, root) => root,
        None => return Err(Problem::NoState { found: told(data, root) }),
    };
    let mut seen = BTreeSet::new();
    let mut tensors = Vec::with_capacity(entries.len());
    for &(key, value) in entries {
        let name = text(data, key).ok_or_else(|| Problem::NoState {
            found: format!("a dictionary with {} as a key", data.node(key).kind()),
        })?;
        let Node::Tensor(view) = data.node(value) else {
            return Err(Problem::NoTensor { name: name.into(), found: data.node(value).kind() });
        };
        if !seen.insert(name) {
            return Err(Problem::Twice { name: name.into() });
        }
        tensors.push((name, view));
    }
    Ok(tensors)
}

fn holds_tensors(data: &Data, entries: &[(Id, Id)]) -> bool {
    entries.iter().any(|(_, value)| matches!(data.node(*value), Node::Tensor(_)))
}

fn text(data: &Data, id: Id) -> Option<&str> {
    match data.node(id) {
        Node::Text(text) => Some(text),
        _ => None,
    }
}

/// What a dictionary holds, in words.
fn told(data: &Data, entries: &[(Id, Id)]) -> String {
    const SHOWN: usize = 5;
    let keys = entries.iter().filter_map(|(key, _)| text(data, *key)).take(SHOWN);
    let keys: Vec<_> = keys.map(|key| format!("`{key}`")).collect();
    match keys.is_empty() {
        true => "an empty dictionary".into(),
        false => format!("a dictionary of {}", keys.join(", ")),
    }
}
