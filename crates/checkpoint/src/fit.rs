use std::collections::{BTreeMap, BTreeSet};

use expanse_program::{NamedTensor, Parameter};

use crate::{Checkpoint, Tensor, Values, usual_name};

/// The counter that PyTorch's batch norm has beside its running statistics; nothing here depends on it.
const COUNTER: &str = "num_batches_tracked";

/// A checkpoint is not one of the model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// A parameter has no tensor.
    #[error(
        "tensor `{name}` is missing{}; {}", others(*more),
        strangers(held)
    )]
    Missing {
        /// The parameter.
        name: String,
        /// How many others are missing.
        more: usize,
        /// Tensors that no parameter of the model takes.
        held: Vec<String>,
    },
    /// A tensor belongs to no parameter.
    #[error(
        "tensor `{name}` is none of the model's{}; choose the backbone, its options and the head that the file was made \
         with", others(*more)
    )]
    Extra {
        /// The tensor.
        name: String,
        /// How many others there are.
        more: usize,
    },
    /// A tensor has another shape than its parameter.
    #[error("tensor `{name}` is {found}, and the model's is {expected}; {remedy}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: String,
        /// The parameter's.
        expected: String,
        /// What may be the matter.
        remedy: &'static str,
    },
    /// A tensor of whole numbers.
    #[error(
        "tensor `{name}` holds whole numbers ({stored}), and the model's are f32; save the model's state_dict()"
    )]
    Whole {
        /// The tensor.
        name: String,
        /// What it is stored as.
        stored: crate::Element,
    },
    /// A value that is no number.
    #[error(
        "tensor `{name}` holds {value} at place {place}; a model with it predicts nothing, take an earlier one"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// Where, in row-major order.
        place: usize,
        /// The value.
        value: f32,
    },
    /// A parameter has two tensors.
    #[error("tensors `{name}` and `{usual}` both belong to one parameter of the model; remove one of them")]
    Both {
        /// The model's own name.
        name: String,
        /// PyTorch's.
        usual: String,
    },
}

/// The values of all `parameters`, under their own names, from a checkpoint that holds them under these or under the
/// names that PyTorch's common implementation has ([`usual_name`] with `table`).
///
/// # Errors
///
/// [`Misfit`], which names the first tensor that is missing, too many, or of another shape or kind.
pub fn fit(
    checkpoint: &Checkpoint,
    parameters: &[Parameter],
    table: &BTreeMap<String, String>,
) -> Result<Vec<NamedTensor>, Misfit> {
    let held: BTreeMap<&str, &Tensor> =
        checkpoint.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut left: BTreeSet<&str> = held.keys().copied().filter(|name| !is_counter(name)).collect();
    let mut missing = Vec::new();
    let mut pairs = Vec::new();
    for parameter in parameters {
        let (own, usual) = (parameter.name.as_str(), usual_name(&parameter.name, table));
        let found = match (held.get(own), held.get(usual.as_str())) {
            (Some(_), Some(_)) if own != usual => return Err(Misfit::Both { name: own.into(), usual }),
            (found, other) => found.or(other),
        };
        match found {
            Some(tensor) => {
                left.remove(tensor.name.as_str());
                pairs.push((parameter, *tensor));
            }
            None => missing.push(usual),
        }
    }
    if let Some((first, others)) = missing.split_first() {
        let held = left.into_iter().take(3).map(str::to_owned).collect();
        return Err(Misfit::Missing { name: first.clone(), more: others.len(), held });
    }
    if let Some(first) = left.first() {
        return Err(Misfit::Extra { name: (*first).into(), more: left.len() - 1 });
    }
    pairs.into_iter().map(|(parameter, tensor)| value(parameter, tensor)).collect()
}

fn value(parameter: &Parameter, tensor: &Tensor) -> Result<NamedTensor, Misfit> {
    let name = tensor.name.clone();
    if tensor.shape != parameter.shape {
        let transposed = tensor.shape.len() == 2 && tensor.shape.iter().rev().eq(&parameter.shape);
        let (found, expected) = (shape(&tensor.shape), shape(&parameter.shape));
        let remedy = match transposed {
            true => "transpose it before it is saved",
            false => {
                "choose the backbone, its options, the head and the data set that the file was made with"
            }
        };
        return Err(Misfit::Shape { name, found, expected, remedy });
    }
    let values = match &tensor.values {
        Values::F32(values) => values.clone(),
        Values::I64(_) => return Err(Misfit::Whole { name, stored: tensor.stored }),
    };
    if let Some(place) = values.iter().position(|value| !value.is_finite()) {
        return Err(Misfit::NotFinite { name, place, value: values[place] });
    }
    Ok(NamedTensor { name: parameter.name.clone(), shape: parameter.shape.clone(), values })
}

fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some(COUNTER)
}

/// A shape for people: "64×3×3×3", or "one number".
fn shape(shape: &[usize]) -> String {
    match shape {
        [] => "one number".into(),
        shape => shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×"),
    }
}

fn others(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

fn strangers(held: &[String]) -> String {
    if held.is_empty() {
        return "choose the backbone, its options and the head that the file was made with".into();
    }
    let names: Vec<_> = held.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "{} are not the model's: choose the backbone and head of the file, or rename (OLD=NEW)",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use expanse_program::ParameterKind;

    use super::*;
    use crate::Element;

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let values = Values::F32(vec![0.5; shape.iter().product()]);
        Tensor { name: name.into(), shape: shape.into(), stored: Element::F32, values }
    }

    fn parameter(name: &str, shape: &[usize]) -> Parameter {
        Parameter { name: name.into(), shape: shape.into(), kind: ParameterKind::Trainable, tensor: 0 }
    }

    fn fitted(tensors: Vec<Tensor>) -> Result<Vec<NamedTensor>, Misfit> {
        let parameters = [parameter("conv.weight", &[2, 1]), parameter("linear.weight", &[3, 2])];
        let table = BTreeMap::from([("linear".to_owned(), "fc".to_owned())]);
        fit(&Checkpoint { tensors, about: None }, &parameters, &table)
    }

    #[test]
    fn own_and_usual_names_are_taken_and_counters_left() {
        for name in ["linear.weight", "fc.weight"] {
            let counter = Tensor { values: Values::I64(vec![7]), ..tensor("bn.num_batches_tracked", &[]) };
            let fitted =
                fitted(vec![tensor(name, &[3, 2]), tensor("conv.weight", &[2, 1]), counter]).unwrap();
            let names: Vec<_> = fitted.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(names, ["conv.weight", "linear.weight"], "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_one_line_that_names_the_tensor() {
        let conv = || tensor("conv.weight", &[2, 1]);
        let check = |tensors: Vec<Tensor>, message: &str| {
            let error = fitted(tensors).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        };
        check(vec![conv()], "tensor `fc.weight` is missing; choose the backbone");
        check(vec![], "tensor `conv.weight` is missing and 1 more; choose");
        check(
            vec![conv(), tensor("out.weight", &[3, 2])],
            "tensor `fc.weight` is missing; `out.weight` are not",
        );
        let fc = || tensor("fc.weight", &[3, 2]);
        check(vec![conv(), fc(), tensor("x", &[1])], "tensor `x` is none of the model's; choose");
        check(
            vec![conv(), fc(), tensor("linear.weight", &[3, 2])],
            "tensors `linear.weight` and `fc.weight` both",
        );
        check(
            vec![conv(), tensor("fc.weight", &[2, 3])],
            "tensor `fc.weight` is 2×3, and the model's is 3×2; transpose",
        );
        check(
            vec![conv(), tensor("fc.weight", &[])],
            "tensor `fc.weight` is one number, and the model's is 3×2; choose",
        );
        let nan = Values::F32(vec![0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]);
        check(vec![conv(), Tensor { values: nan, ..fc() }], "tensor `fc.weight` holds NaN at place 2");
        let whole = Tensor { values: Values::I64(vec![0; 6]), stored: Element::I16, ..fc() };
        check(vec![conv(), whole], "tensor `fc.weight` holds whole numbers (i16)");
    }
}
