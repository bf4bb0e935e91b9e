//! Runs the steps of a compiled program.

mod conv;
mod derivatives;
mod frame;
mod nodes;
mod norm;

use conv::{ConvState, Neighbours, Scratch};
use expanse_program::{TensorData, TensorView};
use frame::Frame;
use norm::NormState;

use crate::{
    compile::{
        convolution::{Convolution, Target},
        plan::{Place, Plan, plan},
        schedule::{Schedule, Step},
    },
    graph::{Constant, Graph, Node, Op, ValueId},
    kernels::matmul::Workspace,
    memory::Buffer,
    team::Team,
};

/// What all programs of a session use one after the other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The buffers of plans, the largest first.
    work: Vec<Buffer>,
    scratch: Scratch,
}

/// The parameters of a session, as a program sees them.
pub(crate) struct Parameters<'a> {
    pub values: &'a [Buffer],
    /// Where the parameters of the program's graph are among them.
    pub places: &'a [usize],
    /// Changes whenever a value does.
    pub version: u64,
}

/// A program in its training or evaluation form.
pub(crate) struct Executable {
    graph: Graph,
    schedule: Schedule,
    plan: Plan,
    constants: Vec<Buffer>,
    ints: Vec<Vec<i64>>,
    /// By node.
    states: Vec<State>,
    /// Floats of scratch memory for images and for partial gradients.
    scratch: [usize; 2],
    /// Whether it is worth while to share its work among threads.
    large: bool,
}

/// What a node keeps from step to step.
enum State {
    Conv(Box<ConvState>),
    Norm(Box<NormState>),
    /// Memory for the products of a node and for those of its gradients.
    Products(Box<[Workspace; 3]>),
    Nothing,
}

/// Multiply–add operations below which sharing work among threads costs more than it saves.
const LARGE: usize = 4_000_000;

impl Executable {
    /// Plans the memory of a schedule and prepares what its nodes keep.
    pub fn new(graph: Graph, schedule: Schedule, outputs: &[ValueId], target: Target) -> Self {
        let mut plan = plan(&graph, &schedule, outputs);
        plan.sort();
        let states: Vec<State> =
            (0..graph.nodes.len()).map(|node| State::new(&graph, node, target)).collect();
        let mut scratch = [0, 0];
        let trains = schedule.steps.iter().any(|step| matches!(step, Step::ConvGradient(_)));
        for state in &states {
            if let State::Conv(state) = state {
                let groups = state.groups().count;
                scratch[0] = scratch[0].max(groups * state.scratch());
                if trains {
                    scratch[1] = scratch[1].max(groups * state.convolution.partial());
                }
            }
        }
        let constants = graph.constants.iter().map(|(_, constant)| match constant {
            Constant::Floats(values) => Buffer::from_slice(values),
            Constant::Ints(_) => Buffer::default(),
        });
        let constants = constants.collect();
        let mut ints: Vec<Vec<i64>> = plan.ints.iter().map(|&length| vec![0; length]).collect();
        for (value, constant) in &graph.constants {
            if let (Constant::Ints(values), Place::Ints(at)) = (constant, plan.values[*value]) {
                ints[at].copy_from_slice(values);
            }
        }
        let large = multiply_adds(&graph) >= LARGE;
        Self { graph, schedule, plan, constants, ints, states, scratch, large }
    }

    /// Makes room for its buffers.
    fn reserve(&self, shared: &mut Shared) {
        if shared.work.len() < self.plan.sizes.len() {
            shared.work.resize(self.plan.sizes.len(), Buffer::default());
        }
        for (number, (buffer, &floats)) in shared.work.iter_mut().zip(&self.plan.sizes).enumerate() {
            buffer.reserve_numbered(number, floats);
        }
        shared.scratch.images.reserve(self.scratch[0]);
        shared.scratch.partial.reserve(self.scratch[1]);
    }

    /// Runs every step; tells `done` of each.
    pub fn run(
        &mut self,
        team: &Team,
        shared: &mut Shared,
        parameters: &Parameters<'_>,
        inputs: &[TensorView<'_>],
        mut done: impl FnMut() + Send,
    ) {
        self.reserve(shared);
        let Self { graph, schedule, plan, constants, ints, states, large, .. } = self;
        team.run(*large, |crew| {
            let mut frame = Frame {
                crew,
                graph,
                plan,
                work: &mut shared.work,
                parameters: parameters.values,
                parameter_places: parameters.places,
                constants,
                ints,
            };
            upload(&mut frame, inputs);
            for step in &schedule.steps {
                execute(&mut frame, step, states, &mut shared.scratch, parameters.version, schedule.training);
                done();
            }
        });
    }

    /// A value after the last step.
    pub fn value<'a>(&'a self, shared: &'a Shared, parameters: &Parameters<'a>, value: ValueId) -> &'a [f32] {
        let buffer = match self.plan.values[value] {
            Place::Buffer(at) => &shared.work[at],
            Place::Parameter(at) => &parameters.values[parameters.places[at]],
            Place::Constant(at) => &self.constants[at],
            place => unreachable!("an output holds floats, not {place:?}"),
        };
        &buffer[..self.graph.values[value].floats()]
    }

    /// The gradient of a trainable parameter after the last step.
    pub fn gradient<'a>(&self, shared: &'a Shared, value: ValueId) -> &'a [f32] {
        let gradient =
            self.plan.gradients[value].map(|at| &shared.work[at][..self.graph.values[value].floats()]);
        gradient.unwrap_or_default()
    }

    /// Hands over every norm's running statistics, as values of the graph, with mean and variance of the batch and
    /// the number of values that they are over.
    pub fn statistics(&self, mut each: impl FnMut([ValueId; 2], [&[f32]; 2], usize)) {
        for (node, state) in self.graph.nodes.iter().zip(&self.states) {
            if let State::Norm(state) = state {
                let size = self.graph.values[node.inputs[0]].blocked();
                let moments = [&state.mean[..size.channels], &state.variance[..size.channels]];
                each([node.inputs[3], node.inputs[4]], moments, size.images * size.pixels);
            }
        }
    }

    /// Bytes of its buffers.
    pub fn bytes(&self) -> usize {
        4 * (self.plan.sizes.iter().sum::<usize>() + self.scratch.iter().sum::<usize>())
    }

    /// Trainable parameters that get a gradient, as values of the graph.
    pub fn trained(&self) -> &[ValueId] {
        &self.schedule.trained
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The kernels of a convolution.
    pub fn convolution(&self, node: usize) -> Option<&Convolution> {
        match &self.states[node] {
            State::Conv(state) => Some(&state.convolution),
            _ => None,
        }
    }
}

impl State {
    fn new(graph: &Graph, node: usize, target: Target) -> Self {
        let node = &graph.nodes[node];
        match &node.op {
            Op::Conv(conv) if conv.groups == 1 => {
                let kernel = &graph.values[node.inputs[1]].shape;
                let x = &graph.values[node.inputs[0]];
                let y = graph.values[node.output].blocked();
                let kernel = [kernel[2], kernel[3]];
                let convolution = Convolution::new(conv, kernel, x.blocked(), y, target);
                Self::Conv(Box::new(ConvState::new(convolution, x.trained)))
            }
            Op::Norm(_) => Self::Norm(Box::new(NormState::new(graph.values[node.inputs[0]].blocked()))),
            Op::Matmul => Self::Products(Box::default()),
            _ => Self::Nothing,
        }
    }

    fn norm(&mut self) -> &mut NormState {
        match self {
            Self::Norm(state) => state,
            _ => unreachable!("the node is a norm"),
        }
    }
}

/// Copies what is given to where the plan wants it.
fn upload(frame: &mut Frame<'_>, inputs: &[TensorView<'_>]) {
    for port in &frame.graph.inputs {
        let Some(input) = inputs.iter().find(|input| input.name == port.name) else { continue };
        let value = port.tensor as usize;
        match input.data {
            TensorData::F32(values) => {
                if let Place::Buffer(_) = frame.plan.values[value] {
                    frame.write(value, |_, to| to.copy_from_slice(values));
                }
            }
            TensorData::I64(values) => {
                let at = frame.ints_place(value);
                frame.ints[at].copy_from_slice(values);
            }
        }
    }
}

fn execute(
    frame: &mut Frame<'_>,
    step: &Step,
    states: &mut [State],
    scratch: &mut Scratch,
    version: u64,
    training: bool,
) {
    match step {
        Step::Node(node) => {
            let mut none = Workspace::default();
            let workspace = match &mut states[*node] {
                State::Products(workspaces) => &mut workspaces[2],
                _ => &mut none,
            };
            nodes::forward(frame, *node, workspace);
        }
        Step::Gradient { node, input, accumulate } => {
            let mut none = Workspace::default();
            let workspace = match &mut states[*node] {
                State::Products(workspaces) => &mut workspaces[*input],
                _ => &mut none,
            };
            derivatives::gradient(frame, *node, *input, *accumulate, workspace);
        }
        Step::Conv(step) => {
            let after = step.moments.or(step.after);
            with_neighbours(states, step.conv, step.before, after, |state, neighbours| {
                conv::forward(frame, step, state, neighbours, scratch, version);
            });
        }
        Step::ConvGradient(step) => {
            let before = step.before.or(step.sums);
            with_neighbours(states, step.conv, before, step.after, |state, neighbours| {
                conv::backward(frame, step, state, neighbours, scratch);
            });
        }
        Step::Moments(node) => norm::moments(frame, *node, states[*node].norm()),
        Step::Norm(node) => {
            let state = states[*node].norm();
            // In the evaluation form nobody has left moments.
            if !training {
                norm::evaluate(frame, *node, state);
            }
            norm::apply(frame, *node, state);
        }
        Step::Seed { loss, zeros } => {
            for &value in zeros {
                frame.write_gradient(value, |_, gradient| gradient.fill(0.0));
            }
            frame.write_gradient(*loss, |_, gradient| gradient.fill(1.0));
        }
        Step::NormSums(node) => norm::sums(frame, *node, states[*node].norm()),
        Step::NormResidual { node, accumulate } => norm::residual_gradient(frame, *node, *accumulate),
        Step::NormInput { node, accumulate } => {
            norm::input_gradient(frame, *node, *accumulate, states[*node].norm());
        }
    }
}

/// Takes out the states of a convolution and of the norms around it.
fn with_neighbours(
    states: &mut [State],
    conv: usize,
    before: Option<usize>,
    after: Option<usize>,
    run: impl FnOnce(&mut ConvState, Neighbours<'_>),
) {
    let mut take = |node: usize| std::mem::replace(&mut states[node], State::Nothing);
    let (mut state, mut first, mut second) = (take(conv), before.map(&mut take), after.map(&mut take));
    if let State::Conv(state) = &mut state {
        let neighbours =
            Neighbours { before: first.as_mut().map(State::norm), after: second.as_mut().map(State::norm) };
        run(state, neighbours);
    }
    states[conv] = state;
    for (node, state) in [before.zip(first), after.zip(second)].into_iter().flatten() {
        states[node] = state;
    }
}

/// Multiply–add operations of one forward pass.
fn multiply_adds(graph: &Graph) -> usize {
    let of = |node: &Node| {
        let shape = |value: usize| graph.values[value].shape.as_slice();
        match &node.op {
            Op::Conv(_) => {
                let weight = shape(node.inputs[1]);
                graph.values[node.output].elements() * weight[1..].iter().product::<usize>()
            }
            Op::Matmul => graph.values[node.output].elements() * shape(node.inputs[0]).last().unwrap_or(&0),
            _ => 0,
        }
    };
    graph.nodes.iter().map(of).sum()
}
