//! From the graph to steps: what runs when, with the derivatives.
//!
//! A basic block of ResNet, `relu(norm(conv(relu(norm(conv(x))))) + x)`, becomes two steps forward and two
//! backward, each one parallel region over the images of the batch. Forward, a convolution first applies the norm
//! before it, image by image, convolves while the image is in the cache, and leaves the moments of its result for
//! the norm behind it. Backward, it makes the gradient of its result from that of the norm behind it, in scratch
//! memory that one image needs, and from it those of weights and input; to the latter it applies the mask of the
//! ReLU before it, and sums what that norm's derivative needs.

use crate::graph::{Graph, Node, NodeId, Op, ValueId};

/// What runs in one go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A node by itself.
    Node(NodeId),
    Conv(ConvStep),
    /// Moments of a norm's input that no convolution has left.
    Moments(NodeId),
    /// A norm by itself, from its moments or, in evaluation, from its running statistics.
    Norm(NodeId),
    /// The gradient of the loss is 1; those of γ and β, which sums are added to, are 0.
    Seed {
        loss: ValueId,
        zeros: Vec<ValueId>,
    },
    /// What a node adds to the gradient of one of its operands.
    Gradient {
        node: NodeId,
        input: usize,
        accumulate: bool,
    },
    /// The mask of a norm's ReLU on the gradient of its output, and the sums for its derivative.
    NormSums(NodeId),
    /// The gradient of a norm's residual, where it is not the same memory as that of its output.
    NormResidual {
        node: NodeId,
        accumulate: bool,
    },
    /// The gradient of a norm's input.
    NormInput {
        node: NodeId,
        accumulate: bool,
    },
    ConvGradient(ConvGradient),
}

/// A convolution with its neighbours, forward.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConvStep {
    pub conv: NodeId,
    /// The norm that makes its input, applied on the way.
    pub before: Option<NodeId>,
    /// Whether the result of that norm is kept.
    pub keep: bool,
    /// The norm whose moments are left.
    pub moments: Option<NodeId>,
    /// In evaluation, the norm that is folded in.
    pub after: Option<NodeId>,
}

/// A convolution with its neighbours, backward.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConvGradient {
    pub conv: NodeId,
    /// The norm behind it, whose derivative is taken on the way.
    pub after: Option<NodeId>,
    /// The norm before it, applied again where its result was not kept.
    pub before: Option<NodeId>,
    /// Whether the gradient of the weights is wanted, and added to what is there.
    pub weight: Option<bool>,
    /// Whether the gradient of the input is wanted, and added to what is there.
    pub input: Option<bool>,
    /// The norm before it, whose mask and sums are done on the way.
    pub sums: Option<NodeId>,
}

/// Steps in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    /// Whether it is the training form.
    pub training: bool,
    pub steps: Vec<Step>,
    /// Gradients that are the same memory: the one, and the other that it stands for.
    pub shared: Vec<(ValueId, ValueId)>,
    /// Trainable parameters that get a gradient.
    pub trained: Vec<ValueId>,
}

/// The steps of the evaluation form.
pub(crate) fn evaluation(graph: &Graph) -> Schedule {
    let uses = graph.uses();
    let mut steps = Vec::new();
    let mut folded = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        match &node.op {
            Op::Conv(conv) if conv.groups == 1 => {
                let mut readers = readers(graph, node.output);
                // A residual must be there already, so the norm has to be next.
                let after = readers.next().filter(|&next| {
                    let Node { op, inputs, .. } = &graph.nodes[next];
                    matches!(op, Op::Norm(_)) && inputs[0] == node.output && uses[node.output] == 1
                });
                let after = after.filter(|&next| ready(graph, id, next));
                if let Some(after) = after {
                    folded[after] = true;
                }
                steps.push(Step::Conv(ConvStep { conv: id, before: None, keep: true, moments: None, after }));
            }
            Op::Norm(_) if !folded[id] => steps.push(Step::Norm(id)),
            Op::Norm(_) => {}
            _ => steps.push(Step::Node(id)),
        }
    }
    Schedule { steps, ..Schedule::default() }
}

/// Whether the residual of a norm is computed before the convolution in front of it.
fn ready(graph: &Graph, conv: NodeId, norm: NodeId) -> bool {
    let producers = graph.producers();
    graph.nodes[norm].inputs.get(5).is_none_or(|&residual| producers[residual].is_none_or(|id| id < conv))
}

/// The steps of the training form for a loss.
pub(crate) fn training(graph: &Graph, loss: ValueId) -> Schedule {
    let mut scheduler = Scheduler {
        graph,
        uses: graph.uses(),
        producers: graph.producers(),
        kept: vec![true; graph.nodes.len()],
        written: vec![false; graph.values.len()],
        summed: vec![false; graph.nodes.len()],
        schedule: Schedule { training: true, ..Schedule::default() },
    };
    scheduler.forward();
    let norms = graph.nodes.iter().filter(|node| matches!(node.op, Op::Norm(_)));
    let mut zeros: Vec<ValueId> = norms.flat_map(|node| node.inputs[1..3].to_vec()).collect();
    zeros.retain(|&value| graph.values[value].trained && graph.values[loss].trained);
    zeros.iter().for_each(|&value| scheduler.written[value] = true);
    scheduler.schedule.steps.push(Step::Seed { loss, zeros });
    scheduler.written[loss] = true;
    for id in (0..graph.nodes.len()).rev() {
        scheduler.backward(id);
    }
    let trained = graph.parameters.iter().map(|parameter| parameter.value);
    scheduler.schedule.trained = trained.filter(|&value| scheduler.written[value]).collect();
    scheduler.schedule
}

struct Scheduler<'a> {
    graph: &'a Graph,
    uses: Vec<usize>,
    producers: Vec<Option<NodeId>>,
    /// Whether the result of a norm is in memory for the way back.
    kept: Vec<bool>,
    /// Whether the gradient of a value has got anything yet.
    written: Vec<bool>,
    /// Whether mask and sums of a norm are done.
    summed: Vec<bool>,
    schedule: Schedule,
}

impl Scheduler<'_> {
    fn forward(&mut self) {
        let mut deferred: Vec<Option<NodeId>> = vec![None; self.graph.nodes.len()];
        for (id, node) in self.graph.nodes.iter().enumerate() {
            match &node.op {
                Op::Conv(conv) if conv.groups == 1 => {
                    let before = deferred[id];
                    let keep = before.is_none_or(|norm| self.kept[norm]);
                    let moments = self.norm_behind(id);
                    self.schedule.steps.push(Step::Conv(ConvStep {
                        conv: id,
                        before,
                        keep,
                        moments,
                        after: None,
                    }));
                }
                Op::Norm(norm) => {
                    if self.conv_in_front(id).is_none() {
                        self.schedule.steps.push(Step::Moments(id));
                    }
                    match readers(self.graph, node.output).next() {
                        Some(next) if self.convolves(next, node.output) => {
                            deferred[next] = Some(id);
                            self.kept[id] = self.uses[node.output] > 1 || norm.residual;
                        }
                        _ => self.schedule.steps.push(Step::Norm(id)),
                    }
                }
                _ => self.schedule.steps.push(Step::Node(id)),
            }
        }
    }

    /// Whether a node convolves a value on the blocked path.
    fn convolves(&self, node: NodeId, value: ValueId) -> bool {
        let Node { op, inputs, .. } = &self.graph.nodes[node];
        matches!(op, Op::Conv(conv) if conv.groups == 1) && inputs[0] == value
    }

    /// The norm that alone reads a convolution's result, as its input.
    fn norm_behind(&self, conv: NodeId) -> Option<NodeId> {
        let output = self.graph.nodes[conv].output;
        let next = readers(self.graph, output).next()?;
        let Node { op, inputs, .. } = &self.graph.nodes[next];
        (matches!(op, Op::Norm(_)) && inputs[0] == output && self.uses[output] == 1).then_some(next)
    }

    /// The convolution whose result a norm alone reads.
    fn conv_in_front(&self, norm: NodeId) -> Option<NodeId> {
        let conv = self.producers[self.graph.nodes[norm].inputs[0]]?;
        let blocked = matches!(&self.graph.nodes[conv].op, Op::Conv(options) if options.groups == 1);
        (blocked && self.norm_behind(conv) == Some(norm)).then_some(conv)
    }

    fn backward(&mut self, id: NodeId) {
        let graph = self.graph;
        let node = &graph.nodes[id];
        if !graph.values[node.output].trained || !self.written[node.output] {
            return;
        }
        match &node.op {
            Op::Conv(conv) if conv.groups == 1 => self.backward_conv(id),
            Op::Norm(norm) => self.backward_norm(id, norm.residual),
            _ => {
                for (input, &value) in node.inputs.iter().enumerate() {
                    if graph.values[value].trained {
                        let accumulate = self.writes(value);
                        self.schedule.steps.push(Step::Gradient { node: id, input, accumulate });
                    }
                }
            }
        }
    }

    /// Notes that a gradient gets something; answers whether it had something before.
    fn writes(&mut self, value: ValueId) -> bool {
        std::mem::replace(&mut self.written[value], true)
    }

    fn backward_conv(&mut self, id: NodeId) {
        let graph = self.graph;
        let (x, weight) = (graph.nodes[id].inputs[0], graph.nodes[id].inputs[1]);
        let norm = self.producers[x].filter(|&norm| matches!(graph.nodes[norm].op, Op::Norm(_)));
        let weight = graph.values[weight].trained.then(|| self.writes(weight));
        let input = graph.values[x].trained.then(|| self.writes(x));
        // The first reader is the last to add to the gradient.
        let first = readers(graph, x).next() == Some(id);
        let sums = norm.filter(|_| first && input.is_some());
        if let Some(norm) = sums {
            self.summed[norm] = true;
        }
        self.schedule.steps.push(Step::ConvGradient(ConvGradient {
            conv: id,
            after: self.norm_behind(id),
            before: norm.filter(|&norm| !self.kept[norm]),
            weight,
            input,
            sums,
        }));
    }

    fn backward_norm(&mut self, id: NodeId, residual: bool) {
        let graph = self.graph;
        let Node { inputs, output, .. } = &graph.nodes[id];
        if !self.summed[id] {
            self.schedule.steps.push(Step::NormSums(id));
        }
        let conv = self.conv_in_front(id);
        if conv.is_some() {
            // The convolution takes the derivative on its way.
            self.written[inputs[0]] = true;
        } else if graph.values[inputs[0]].trained {
            let accumulate = self.writes(inputs[0]);
            self.schedule.steps.push(Step::NormInput { node: id, accumulate });
        }
        if residual && graph.values[inputs[5]].trained {
            let value = inputs[5];
            let accumulate = self.writes(value);
            if !accumulate && self.may_share(id, value, conv.unwrap_or(id)) {
                self.schedule.shared.push((value, *output));
            } else {
                self.schedule.steps.push(Step::NormResidual { node: id, accumulate });
            }
        }
    }

    /// Whether nothing writes to the gradient of a norm's residual before that of its output has been read for
    /// the last time, by the step of `last`.
    fn may_share(&self, norm: NodeId, residual: ValueId, last: NodeId) -> bool {
        let others = readers(self.graph, residual).filter(|&reader| reader != norm);
        let masks = self.producers[residual]
            .is_some_and(|id| id > last && matches!(self.graph.nodes[id].op, Op::Norm(_)));
        !masks && others.into_iter().all(|reader| reader < last) && !self.is_output(residual)
    }

    fn is_output(&self, value: ValueId) -> bool {
        self.graph.outputs.iter().any(|port| port.tensor as usize == value)
    }
}

/// The nodes that read a value, in order.
fn readers(graph: &Graph, value: ValueId) -> impl Iterator<Item = NodeId> + '_ {
    let reads = move |(_, node): &(usize, &Node)| node.inputs.contains(&value);
    graph.nodes.iter().enumerate().filter(reads).map(|(id, _)| id)
}
