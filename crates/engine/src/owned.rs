use expanse_program::{TensorData, TensorView};

use crate::{EngineError, Running};

/// A tensor that outlives the call that it came with.
#[derive(Clone, Debug)]
pub struct Owned {
    name: String,
    shape: Vec<usize>,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

impl Owned {
    /// Copies tensors.
    pub fn all(views: &[TensorView<'_>]) -> Vec<Self> {
        views.iter().map(|view| Self::of(*view)).collect()
    }

    /// Copies a tensor.
    pub fn of(view: TensorView<'_>) -> Self {
        let values = match view.data {
            TensorData::F32(values) => Values::F32(values.to_vec()),
            TensorData::I64(values) => Values::I64(values.to_vec()),
        };
        Self { name: view.name.to_owned(), shape: view.shape.to_vec(), values }
    }

    /// As sessions take them.
    pub fn views(tensors: &[Self]) -> Vec<TensorView<'_>> {
        tensors.iter().map(Self::view).collect()
    }

    fn view(&self) -> TensorView<'_> {
        let data = match &self.values {
            Values::F32(values) => TensorData::F32(values),
            Values::I64(values) => TensorData::I64(values),
        };
        TensorView { name: &self.name, shape: &self.shape, data }
    }
}

/// [`Running::forward`] with outputs of its own, of these names and numbers of values, for a session in another thread.
///
/// # Errors
///
/// Those of the session.
pub fn forward_owned(
    session: &mut dyn Running,
    program: usize,
    inputs: &[TensorView<'_>],
    sizes: &[(String, usize)],
) -> Result<Vec<Vec<f32>>, EngineError> {
    let mut given: Vec<_> = sizes.iter().map(|(_, values)| vec![0.0; *values]).collect();
    let named = sizes.iter().zip(&mut given);
    let mut outputs: Vec<_> =
        named.map(|((name, _), values)| (name.as_str(), values.as_mut_slice())).collect();
    session.forward(program, inputs, &mut outputs)?;
    Ok(given)
}
