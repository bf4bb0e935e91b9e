use burn_autodiff::Autodiff;
use burn_backend::{
    AutodiffBackend, Backend,
    tensor::{BoolTensor, FloatTensor, IntTensor},
};

/// The tensors of one run, by slot.
pub(crate) struct Frame<B: Backend> {
    values: Vec<Option<Value<B>>>,
    /// The step, where batch norm and dropout take their training form.
    pub training: Option<u64>,
    /// What batch norm has measured in its training form, in the order of the program.
    pub statistics: Vec<BatchStatistics<B>>,
}

/// A tensor on the device.
#[derive(Clone)]
pub(crate) enum Value<B: Backend> {
    Float(FloatTensor<B>),
    Int(IntTensor<B>),
    Bool(BoolTensor<B>),
}

/// Mean and biased variance of one batch, for the running statistics in two slots.
pub(crate) struct BatchStatistics<B: Backend> {
    pub mean_slot: usize,
    pub variance_slot: usize,
    pub mean: FloatTensor<B>,
    pub variance: FloatTensor<B>,
    /// Values that each channel's statistics are over.
    pub count: usize,
}

impl<B: Backend> BatchStatistics<Autodiff<B>> {
    /// Without what gradients would need.
    pub fn inner(self) -> BatchStatistics<B> {
        let Self { mean_slot, variance_slot, mean, variance, count } = self;
        let [mean, variance] = [mean, variance].map(Autodiff::<B>::inner);
        BatchStatistics { mean_slot, variance_slot, mean, variance, count }
    }
}

/// A slot to read; the last read of a slot takes the tensor, so that its memory can be used again.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub slot: usize,
    pub last: bool,
}

impl<B: Backend> Frame<B> {
    pub fn new(slots: usize, training: Option<u64>) -> Self {
        Self { values: (0..slots).map(|_| None).collect(), training, statistics: Vec::new() }
    }

    pub fn set(&mut self, slot: usize, value: Value<B>) {
        self.values[slot] = Some(value);
    }

    /// Takes a tensor that is set: linking has checked that every slot is written before it is read.
    ///
    /// # Panics
    ///
    /// If it holds another kind of values: the program's header and its graph contradict each other.
    pub fn float(&mut self, operand: Operand) -> FloatTensor<B> {
        match self.take(operand) {
            Value::Float(tensor) => tensor,
            _ => panic!("slot {} does not hold floating-point values", operand.slot),
        }
    }

    pub fn int(&mut self, operand: Operand) -> IntTensor<B> {
        match self.take(operand) {
            Value::Int(tensor) => tensor,
            _ => panic!("slot {} does not hold integers", operand.slot),
        }
    }

    pub fn bool(&mut self, operand: Operand) -> BoolTensor<B> {
        match self.take(operand) {
            Value::Bool(tensor) => tensor,
            _ => panic!("slot {} does not hold truth values", operand.slot),
        }
    }

    fn take(&mut self, operand: Operand) -> Value<B> {
        let value = &mut self.values[operand.slot];
        let value = if operand.last { value.take() } else { value.clone() };
        value.unwrap_or_else(|| panic!("slot {} is read before it is written", operand.slot))
    }
}
