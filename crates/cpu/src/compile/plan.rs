//! The static memory plan: every value and gradient gets a buffer, and buffers are used again.

use crate::{
    compile::schedule::{Schedule, Step},
    graph::{Binary, Constant, Graph, Kind, NodeId, Op, PoolKind, Reduce, ValueId},
};

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: no step reads or writes it.
    Nowhere,
    /// In a buffer that steps share.
    Buffer(usize),
    /// A parameter of the graph.
    Parameter(usize),
    /// A constant of the graph.
    Constant(usize),
    /// Integers.
    Ints(usize),
}

/// Where everything lies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Of each value.
    pub values: Vec<Place>,
    /// Of each value's gradient.
    pub gradients: Vec<Option<usize>>,
    /// Floats of each buffer.
    pub sizes: Vec<usize>,
    /// Lengths of the integer tensors.
    pub ints: Vec<usize>,
}

/// What lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Value(ValueId),
    Gradient(ValueId),
}

/// Gives each value and gradient that the steps touch a buffer, from its first use to its last.
pub(crate) fn plan(graph: &Graph, schedule: &Schedule, outputs: &[ValueId]) -> Plan {
    let count = graph.values.len();
    let mut plan =
        Plan { values: vec![Place::Nowhere; count], gradients: vec![None; count], ..Plan::default() };
    for (at, parameter) in graph.parameters.iter().enumerate() {
        plan.values[parameter.value] = Place::Parameter(at);
    }
    for (at, (value, constant)) in graph.constants.iter().enumerate() {
        plan.values[*value] = match constant {
            Constant::Floats(_) => Place::Constant(at),
            Constant::Ints(_) => plan.new_ints(graph.values[*value].elements()),
        };
    }
    for port in graph.inputs.iter().filter(|port| graph.values[port.tensor as usize].kind == Kind::Int) {
        let value = port.tensor as usize;
        plan.values[value] = plan.new_ints(graph.values[value].elements());
    }

    let lives = Lives::new(graph, schedule, outputs);
    // A value that is another in a new shape.
    let mut aliases = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    for time in 0..=schedule.steps.len() {
        for &slot in &lives.begin[time] {
            match slot {
                Slot::Value(value) if lives.alias[value].is_some() => aliases.push(value),
                Slot::Value(value) if graph.values[value].kind == Kind::Int => {
                    if plan.values[value] == Place::Nowhere {
                        plan.values[value] = plan.new_ints(graph.values[value].elements());
                    }
                }
                Slot::Value(value) => {
                    if plan.values[value] == Place::Nowhere {
                        plan.values[value] =
                            Place::Buffer(plan.take(&mut free, graph.values[value].floats()));
                    }
                }
                Slot::Gradient(value) => {
                    plan.gradients[value] = Some(plan.take(&mut free, graph.values[value].floats()));
                }
            }
        }
        for value in aliases.drain(..) {
            plan.values[value] = plan.values[lives.root(value)];
        }
        for &slot in &lives.end[time] {
            match slot {
                Slot::Value(value) => {
                    if let Place::Buffer(buffer) = plan.values[value] {
                        free.push(buffer);
                    }
                }
                Slot::Gradient(value) => free.extend(plan.gradients[value]),
            }
        }
    }
    for &(shared, with) in &schedule.shared {
        plan.gradients[shared] = plan.gradients[lives.gradient_root(with)];
    }
    plan
}

impl Plan {
    /// Numbers the buffers by their size, the largest first, so that programs share them well.
    pub fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.sizes.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.sizes[at]));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| place[from] = to);
        for value in &mut self.values {
            if let Place::Buffer(at) = value {
                *at = place[*at];
            }
        }
        self.gradients.iter_mut().flatten().for_each(|at| *at = place[*at]);
        self.sizes = order.into_iter().map(|at| self.sizes[at]).collect();
    }

    fn new_ints(&mut self, length: usize) -> Place {
        self.ints.push(length);
        Place::Ints(self.ints.len() - 1)
    }

    /// The free buffer that fits best: the smallest that is large enough, or the largest, which then grows.
    fn take(&mut self, free: &mut Vec<usize>, floats: usize) -> usize {
        let large = |&at: &usize| self.sizes[free[at]] >= floats;
        let fitting = (0..free.len()).filter(large).min_by_key(|&at| self.sizes[free[at]]);
        let best = fitting.or_else(|| (0..free.len()).max_by_key(|&at| self.sizes[free[at]]));
        match best {
            Some(at) => {
                let buffer = free.swap_remove(at);
                self.sizes[buffer] = self.sizes[buffer].max(floats);
                buffer
            }
            None => {
                self.sizes.push(floats);
                self.sizes.len() - 1
            }
        }
    }
}

/// When each slot is first and last touched.
struct Lives {
    begin: Vec<Vec<Slot>>,
    end: Vec<Vec<Slot>>,
    alias: Vec<Option<ValueId>>,
    shared: Vec<Option<ValueId>>,
}

impl Lives {
    fn new(graph: &Graph, schedule: &Schedule, outputs: &[ValueId]) -> Self {
        let (values, times) = (graph.values.len(), schedule.steps.len());
        let mut alias = vec![None; values];
        for node in graph.nodes.iter().filter(|node| node.op == Op::Reshape) {
            alias[node.output] = Some(node.inputs[0]);
        }
        let mut shared = vec![None; values];
        for &(one, other) in &schedule.shared {
            shared[one] = Some(other);
        }
        let mut lives =
            Self { begin: vec![Vec::new(); times + 1], end: vec![Vec::new(); times + 1], alias, shared };
        let mut first = [vec![usize::MAX; values], vec![usize::MAX; values]];
        let mut last = [vec![0; values], vec![0; values]];
        let mut touch = |slot, time: usize| {
            let (kind, value) = match slot {
                Slot::Value(value) => (0, lives.root(value)),
                Slot::Gradient(value) => (1, lives.gradient_root(value)),
            };
            first[kind][value] = first[kind][value].min(time);
            last[kind][value] = last[kind][value].max(time);
        };
        for port in &graph.inputs {
            touch(Slot::Value(port.tensor as usize), 0);
        }
        for (time, step) in schedule.steps.iter().enumerate() {
            touched(graph, step, &mut |slot| touch(slot, time));
        }
        outputs.iter().for_each(|&value| touch(Slot::Value(value), times));
        schedule.trained.iter().for_each(|&value| touch(Slot::Gradient(value), times));
        for value in 0..values {
            for (kind, slot) in [(0, Slot::Value(value)), (1, Slot::Gradient(value))] {
                if first[kind][value] != usize::MAX {
                    lives.begin[first[kind][value]].push(slot);
                    lives.end[last[kind][value]].push(slot);
                }
            }
            if lives.alias[value].is_some() {
                lives.begin[times].push(Slot::Value(value));
            }
        }
        lives
    }

    fn root(&self, mut value: ValueId) -> ValueId {
        while let Some(from) = self.alias[value] {
            value = from;
        }
        value
    }

    fn gradient_root(&self, mut value: ValueId) -> ValueId {
        while let Some(from) = self.shared[value] {
            value = from;
        }
        value
    }
}

/// Tells the slots that a step reads or writes.
fn touched(graph: &Graph, step: &Step, touch: &mut impl FnMut(Slot)) {
    let inputs = |id: NodeId| graph.nodes[id].inputs.as_slice();
    let output = |id: NodeId| graph.nodes[id].output;
    match step {
        Step::Node(id) => {
            inputs(*id).iter().for_each(|&value| touch(Slot::Value(value)));
            touch(Slot::Value(output(*id)));
        }
        Step::Conv(step) => {
            match step.before {
                Some(norm) => {
                    norm_operands(graph, norm, touch);
                    if step.keep {
                        touch(Slot::Value(output(norm)));
                    }
                }
                None => touch(Slot::Value(inputs(step.conv)[0])),
            }
            match step.after {
                Some(norm) => {
                    inputs(norm).get(5).into_iter().for_each(|&value| touch(Slot::Value(value)));
                    touch(Slot::Value(output(norm)));
                }
                None => touch(Slot::Value(output(step.conv))),
            }
        }
        Step::Moments(id) => touch(Slot::Value(inputs(*id)[0])),
        Step::Norm(id) => {
            norm_operands(graph, *id, touch);
            touch(Slot::Value(output(*id)));
        }
        Step::Seed { loss, zeros } => {
            zeros.iter().chain([loss]).for_each(|&value| touch(Slot::Gradient(value)));
        }
        Step::Gradient { node, input, .. } => {
            touch(Slot::Gradient(output(*node)));
            touch(Slot::Gradient(inputs(*node)[*input]));
            derivative_reads(graph, *node, *input).into_iter().for_each(|value| touch(Slot::Value(value)));
        }
        Step::NormSums(id) => {
            touch(Slot::Value(inputs(*id)[0]));
            touch(Slot::Value(output(*id)));
            touch(Slot::Gradient(output(*id)));
        }
        Step::NormResidual { node, .. } => {
            touch(Slot::Gradient(output(*node)));
            touch(Slot::Gradient(inputs(*node)[5]));
        }
        Step::NormInput { node, .. } => {
            touch(Slot::Value(inputs(*node)[0]));
            touch(Slot::Gradient(output(*node)));
            touch(Slot::Gradient(inputs(*node)[0]));
        }
        Step::ConvGradient(step) => {
            let x = inputs(step.conv)[0];
            match step.before {
                Some(norm) => norm_operands(graph, norm, touch),
                None => touch(Slot::Value(x)),
            }
            match step.after {
                Some(norm) => {
                    touch(Slot::Value(inputs(norm)[0]));
                    touch(Slot::Gradient(output(norm)));
                }
                None => touch(Slot::Gradient(output(step.conv))),
            }
            if step.input.is_some() {
                touch(Slot::Gradient(x));
            }
            if step.weight.is_some() {
                touch(Slot::Gradient(inputs(step.conv)[1]));
            }
            if let Some(norm) = step.sums {
                touch(Slot::Value(inputs(norm)[0]));
            }
        }
    }
}

/// The tensors that applying a norm reads.
fn norm_operands(graph: &Graph, norm: NodeId, touch: &mut impl FnMut(Slot)) {
    let inputs = &graph.nodes[norm].inputs;
    touch(Slot::Value(inputs[0]));
    inputs.get(5).into_iter().for_each(|&value| touch(Slot::Value(value)));
}

/// The values that the derivative of a node for one operand reads.
fn derivative_reads(graph: &Graph, node: NodeId, input: usize) -> Vec<ValueId> {
    let node = &graph.nodes[node];
    match &node.op {
        Op::Unary(op) => match op {
            op if op.is_linear() => vec![],
            op if op.derivative_of_output() => vec![node.output],
            _ => vec![node.inputs[0]],
        },
        Op::Binary(Binary::Add | Binary::Sub) => vec![],
        Op::Binary(_) | Op::Where => node.inputs.clone(),
        Op::Matmul => vec![node.inputs[1 - input]],
        Op::Conv(_) => node.inputs.clone(),
        Op::Softmax { .. } => vec![node.output],
        Op::Reduce { kind: Reduce::Max | Reduce::Min, .. } => vec![node.inputs[0]],
        Op::Gather { .. } | Op::Select { .. } => vec![node.inputs[1]],
        Op::Pool(pool) if pool.kind == PoolKind::Max => vec![node.inputs[0]],
        _ => vec![],
    }
}
