use expanse_program::{TensorData, TensorView};

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
