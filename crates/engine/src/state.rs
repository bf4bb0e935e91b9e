use std::collections::BTreeMap;

use expanse_program::{Method, NamedTensor};

use crate::{EngineError, check::check_import};

/// The steps that were taken, of which there is one tensor of one value; exact up to 2²⁴, from where on they change
/// nothing of Adam any more.
const STEPS: &str = "expanse::steps";
/// Comes before the name of a parameter for its mean of squares.
const SQUARES: &str = "expanse::squares::";

/// What an optimiser remembers, as a session exports and imports it: training goes on from there bit for bit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// v of SGD, m of Adam, under the names of their parameters.
    pub velocities: Vec<NamedTensor>,
    /// s of Adam, under the names of their parameters; exported as `expanse::squares::NAME`.
    pub squares: Vec<NamedTensor>,
    /// Steps that were taken, where Adam or the masks of dropout follow from them; exported as `expanse::steps`.
    pub steps: Option<u64>,
}

impl OptimizerState {
    /// The state in tensors that were exported; `known` are the shapes of the session's parameters.
    ///
    /// # Errors
    ///
    /// A tensor is not of a parameter or in another shape, or is one that the method does not keep.
    pub fn of(
        tensors: Vec<NamedTensor>,
        method: Method,
        known: &BTreeMap<&str, &[usize]>,
    ) -> Result<Self, EngineError> {
        let mut state = Self::default();
        for mut tensor in tensors {
            match tensor.name.strip_prefix(SQUARES).filter(|_| method.has_squares()).map(str::to_owned) {
                Some(name) => {
                    tensor.name = name;
                    state.squares.push(tensor);
                }
                None if tensor.name == STEPS => {
                    state.steps = tensor.values.first().map(|&steps| steps as u64);
                }
                None => state.velocities.push(tensor),
            }
        }
        check_import(&state.velocities, known)?;
        check_import(&state.squares, known)?;
        Ok(state)
    }

    /// The tensors to export.
    pub fn into_tensors(self) -> Vec<NamedTensor> {
        let Self { velocities, squares, steps } = self;
        let squares = squares
            .into_iter()
            .map(|tensor| NamedTensor { name: format!("{SQUARES}{}", tensor.name), ..tensor });
        let steps =
            steps.map(|steps| NamedTensor { name: STEPS.into(), shape: vec![1], values: vec![steps as f32] });
        velocities.into_iter().chain(squares).chain(steps).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_what_the_method_does_not_keep_is_refused() {
        let tensor =
            |name: &str, value| NamedTensor { name: name.into(), shape: vec![1], values: vec![value] };
        let state = OptimizerState {
            velocities: vec![tensor("w", 0.5)],
            squares: vec![tensor("w", 0.25)],
            steps: Some(7),
        };
        let known = BTreeMap::from([("w", &[1usize][..])]);
        let tensors = state.clone().into_tensors();
        assert_eq!(OptimizerState::of(tensors.clone(), Method::Adam, &known).unwrap(), state);
        let error = OptimizerState::of(tensors, Method::Sgd, &known).unwrap_err().to_string();
        assert!(error.contains("expanse::squares::w"), "{error}");
        let other = OptimizerState { squares: vec![tensor("b", 0.25)], ..state }.into_tensors();
        OptimizerState::of(other, Method::AdamW, &known).unwrap_err();
    }
}
