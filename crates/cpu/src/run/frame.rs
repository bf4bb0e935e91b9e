//! The tensors of a program while it runs.

use crate::{
    compile::plan::{Place, Plan},
    graph::{Graph, ValueId},
    memory::Buffer,
    team::Crew,
};

/// The memory that the steps of a program work on.
///
/// A step takes out what it writes and puts it back, and reads the rest where it lies: the plan gives what one step
/// reads and writes different buffers.
pub(crate) struct Frame<'a> {
    pub crew: Crew,
    pub graph: &'a Graph,
    pub plan: &'a Plan,
    /// The buffers of the plan.
    pub work: &'a mut [Buffer],
    /// The session's parameters.
    pub parameters: &'a [Buffer],
    /// Where in the session the parameters of the graph are.
    pub parameter_places: &'a [usize],
    pub constants: &'a [Buffer],
    pub ints: &'a mut [Vec<i64>],
}

impl Frame<'_> {
    /// A value of floats.
    ///
    /// # Panics
    ///
    /// If it lies nowhere: a step reads what the plan does not know of.
    pub fn value(&self, value: ValueId) -> &[f32] {
        let floats = self.graph.values[value].floats();
        match self.plan.values[value] {
            Place::Buffer(at) => &self.work[at][..floats],
            Place::Parameter(at) => &self.parameters[self.parameter_places[at]][..floats],
            Place::Constant(at) => &self.constants[at][..floats],
            place => panic!("value {value} holds no floats: {place:?}"),
        }
    }

    /// A value of integers.
    pub fn ints(&self, value: ValueId) -> &[i64] {
        match self.plan.values[value] {
            Place::Ints(at) => &self.ints[at],
            place => panic!("value {value} holds no integers: {place:?}"),
        }
    }

    /// Where the integers of a value are kept.
    pub fn ints_place(&self, value: ValueId) -> usize {
        match self.plan.values[value] {
            Place::Ints(at) => at,
            place => panic!("value {value} holds no integers: {place:?}"),
        }
    }

    /// The gradient of a value.
    pub fn gradient(&self, value: ValueId) -> &[f32] {
        &self.work[self.gradient_place(value)][..self.graph.values[value].floats()]
    }

    /// Lets `write` fill a value while it reads others.
    pub fn write(&mut self, value: ValueId, write: impl FnOnce(&mut Self, &mut [f32])) {
        let Place::Buffer(at) = self.plan.values[value] else { panic!("value {value} cannot be written") };
        self.write_buffer(at, self.graph.values[value].floats(), write);
    }

    /// Lets `write` fill the gradient of a value while it reads others.
    pub fn write_gradient(&mut self, value: ValueId, write: impl FnOnce(&mut Self, &mut [f32])) {
        self.write_buffer(self.gradient_place(value), self.graph.values[value].floats(), write);
    }

    fn write_buffer(&mut self, at: usize, floats: usize, write: impl FnOnce(&mut Self, &mut [f32])) {
        let mut buffer = std::mem::take(&mut self.work[at]);
        write(self, &mut buffer[..floats]);
        self.work[at] = buffer;
    }

    fn gradient_place(&self, value: ValueId) -> usize {
        self.plan.gradients[value].unwrap_or_else(|| panic!("value {value} has no gradient"))
    }
}
