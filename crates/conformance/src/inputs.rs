use expanse_domain::Seed;
use expanse_program::{DType, Port, TensorData, TensorView};

/// Pseudo-random values for the open inputs of a program.
#[derive(Clone, Debug)]
pub(crate) struct Inputs(Vec<(String, Vec<usize>, Values)>);

#[derive(Clone, Debug)]
enum Values {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

impl Inputs {
    /// Images, embeddings and logits in [−1, 1), class weights in [0.5, 1.5), targets among the classes.
    pub fn new(ports: &[&Port], classes: usize, seed: Seed) -> Self {
        let draw = |port: &&Port| {
            let mut rng = seed.derive(&port.name, &[]).rng();
            let count = port.shape.iter().product();
            let values = match (port.dtype, port.name.as_str()) {
                (DType::I64, _) => Values::I64((0..count).map(|_| rng.index(classes) as i64).collect()),
                (DType::F32, "class_weights") => {
                    Values::F32((0..count).map(|_| 0.5 + rng.unit_f32()).collect())
                }
                (DType::F32, _) => Values::F32((0..count).map(|_| 2.0 * rng.unit_f32() - 1.0).collect()),
            };
            (port.name.clone(), port.shape.clone(), values)
        };
        Self(ports.iter().map(draw).collect())
    }

    pub fn views(&self) -> Vec<TensorView<'_>> {
        self.0
            .iter()
            .map(|(name, shape, values)| TensorView {
                name,
                shape,
                data: match values {
                    Values::F32(values) => TensorData::F32(values),
                    Values::I64(values) => TensorData::I64(values),
                },
            })
            .collect()
    }

    /// The values of one sample of a batch, as inputs of a batch of one.
    pub fn sample(&self, index: usize) -> Self {
        let one = |(name, shape, values): &(String, Vec<usize>, Values)| {
            let length: usize = shape[1..].iter().product();
            let at = index * length..(index + 1) * length;
            let values = match values {
                Values::F32(values) => Values::F32(values[at].to_vec()),
                Values::I64(values) => Values::I64(values[at].to_vec()),
            };
            let mut shape = shape.clone();
            shape[0] = 1;
            (name.clone(), shape, values)
        };
        Self(self.0.iter().map(one).collect())
    }

    /// The same inputs with other values for one of them.
    pub fn with(mut self, name: &str, values: Vec<f32>) -> Self {
        for (_, _, old) in self.0.iter_mut().filter(|(found, ..)| found == name) {
            *old = Values::F32(values.clone());
        }
        self
    }

    /// All but one of them.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(found, ..)| found != name);
        self
    }

    /// One more, of whole numbers.
    pub fn and(mut self, name: &str, shape: &[usize], values: &[i64]) -> Self {
        self.0.push((name.into(), shape.to_vec(), Values::I64(values.to_vec())));
        self
    }
}
