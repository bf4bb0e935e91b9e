use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use expanse_engine::{
    EngineError, Kind, Linked, OptimizerState, Running, STATISTICS_MOMENTUM, check_import, check_inputs,
    check_parameters, find_loss, find_output, link,
};
use expanse_program::{
    NamedTensor, Optimizer, Parameter, ParameterKind, Program, TensorView, tensors_from_bytes,
    tensors_to_bytes,
};

use crate::{
    compile::{
        assign_layouts,
        convolution::{Convolutions, Target},
        fuse,
        lower::lower,
        schedule,
    },
    explain::explain,
    graph::{Graph, ValueId},
    kernels::{
        simd::Isa,
        update::{Descent, Moved, descend, sum_of_squares},
    },
    memory::Buffer,
    run::{Executable, Parameters, Shared},
    team::Team,
};

/// Parameters, optimiser state and compiled programs.
///
/// All programs of a session share the parameters of the same name, and the memory that they run in.
pub struct Session {
    team: Team,
    convolutions: Convolutions,
    optimizer: Optimizer,
    programs: Vec<Loaded>,
    store: Store,
    shared: Shared,
    losses: Vec<f32>,
}

/// A linked program; its forms are compiled when they are first run.
struct Loaded {
    linked: Linked,
    graph: Graph,
    /// Where its parameters are in the session.
    places: Vec<usize>,
    training: Option<Executable>,
    evaluation: Option<Executable>,
}

/// The parameters of a session.
#[derive(Default)]
struct Store {
    slots: Vec<Slot>,
    values: Vec<Buffer>,
    velocities: Vec<Buffer>,
    /// Empty for methods without them.
    squares: Vec<Buffer>,
    /// Whether the method has them.
    has_squares: bool,
    /// Steps that were taken.
    steps: u64,
    names: HashMap<String, usize>,
    version: u64,
}

struct Slot {
    name: String,
    shape: Vec<usize>,
    kind: ParameterKind,
    has_value: bool,
    has_velocity: bool,
}

impl Session {
    /// A session without programs.
    pub fn new(team: Team, optimizer: Optimizer) -> Self {
        let has_squares = optimizer.method.has_squares();
        let (store, shared) = (Store { has_squares, ..Store::default() }, Shared::default());
        let convolutions = Convolutions::default();
        Self { team, convolutions, optimizer, programs: Vec::new(), store, shared, losses: Vec::new() }
    }

    /// As it is, with another way to compute convolutions, for programs that have not run yet.
    #[must_use]
    pub fn with_convolutions(self, convolutions: Convolutions) -> Self {
        Self { convolutions, ..self }
    }

    fn target(&self) -> Target {
        Target { isa: self.team.isa(), convolutions: self.convolutions }
    }

    /// The compiled form of a program, in words.
    ///
    /// # Errors
    ///
    /// If there is no program of that number, or it cannot be trained and its training form is asked for.
    pub fn explain(&self, program: usize, training: bool) -> Result<String, EngineError> {
        let count = self.programs.len();
        let loaded = self.programs.get(program);
        let Loaded { linked, graph, .. } =
            loaded.ok_or(EngineError::NoProgram { number: program, loaded: count })?;
        let executable = match training {
            true => {
                let loss = find_loss(&linked.source, &linked.outputs)?.tensor as usize;
                compile_training(graph, loss, self.target())
            }
            false => compile_evaluation(graph, self.target()),
        };
        Ok(explain(&executable, &linked.source, &self.team, None))
    }

    /// As [`explain`](Self::explain) for the training form, with the median time that each step took in some runs.
    ///
    /// # Errors
    ///
    /// If the program cannot be trained, an input is missing or does not fit, or a parameter has no value.
    pub fn profile(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        runs: usize,
    ) -> Result<String, EngineError> {
        self.backward(program, inputs)?;
        let Self { team, programs, store, shared, .. } = self;
        let Loaded { linked, places, training: Some(training), .. } = &mut programs[program] else {
            return Ok(String::new());
        };
        let mut seconds = vec![Vec::with_capacity(runs); training.schedule().steps.len()];
        for _ in 0..runs {
            let parameters = Parameters { values: &store.values, places, version: store.version };
            let (mut step, mut began) = (0, Instant::now());
            training.run(team, shared, &parameters, inputs, || {
                seconds[step].push(began.elapsed().as_secs_f64());
                (step, began) = (step + 1, Instant::now());
            });
            // As after a step of the optimiser: weights are packed again.
            store.version += 1;
        }
        let median = |seconds: &mut Vec<f64>| {
            seconds.sort_by(f64::total_cmp);
            seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let medians: Vec<f64> = seconds.iter_mut().map(median).collect();
        Ok(explain(training, &linked.source, team, Some(&medians)))
    }

    fn check(&self, program: usize, inputs: &[TensorView<'_>]) -> Result<(), EngineError> {
        let loaded = self.programs.get(program);
        let loaded = loaded.ok_or(EngineError::NoProgram { number: program, loaded: self.programs.len() })?;
        check_inputs(&loaded.linked.source, &loaded.linked.inputs, inputs)?;
        match loaded.places.iter().map(|&at| &self.store.slots[at]).find(|slot| !slot.has_value) {
            Some(slot) => Err(EngineError::NoValue { name: slot.name.clone() }),
            None => Ok(()),
        }
    }

    /// Runs the training form; answers the loss.
    fn backward(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<f32, EngineError> {
        self.check(program, inputs)?;
        let target = self.target();
        let Self { team, programs, store, shared, .. } = self;
        let Loaded { linked, graph, places, training, .. } = &mut programs[program];
        let loss = find_loss(&linked.source, &linked.outputs)?.tensor as usize;
        let training = training.get_or_insert_with(|| compile_training(graph, loss, target));
        let parameters = Parameters { values: &store.values, places, version: store.version };
        training.run(team, shared, &parameters, inputs, || ());
        Ok(training.value(shared, &parameters, loss)[0])
    }
}

impl Running for Session {
    fn load(&mut self, programs: &[Program]) -> Result<usize, EngineError> {
        let linked = link(programs)?;
        let missing = |operations| EngineError::Missing { program: linked.source.clone(), operations };
        let graph = lower(&linked).map_err(missing)?;
        let Store { slots, names, .. } = &self.store;
        check_parameters(&linked.source, &linked.parameters, |name| {
            names.get(name).map(|&at| slots[at].shape.as_slice())
        })?;
        let places = linked.parameters.iter().map(|parameter| self.store.place(parameter)).collect();
        self.programs.push(Loaded { linked, graph, places, training: None, evaluation: None });
        Ok(self.programs.len() - 1)
    }

    fn import(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), EngineError> {
        let tensors = tensors_from_bytes(bytes)?;
        let known: BTreeMap<&str, &[usize]> =
            self.store.slots.iter().map(|slot| (slot.name.as_str(), slot.shape.as_slice())).collect();
        match kind {
            Kind::Parameters => {
                check_import(&tensors, &known)?;
                for NamedTensor { name, values, .. } in tensors {
                    let at = self.store.names[&name];
                    self.store.values[at].copy_from_slice(&values);
                    self.store.slots[at].has_value = true;
                }
                self.store.version += 1;
            }
            Kind::Optimizer => {
                let state = OptimizerState::of(tensors, self.optimizer.method, &known)?;
                self.store.steps = state.steps.unwrap_or(self.store.steps);
                for NamedTensor { name, values, .. } in state.velocities {
                    let at = self.store.names[&name];
                    self.store.velocities[at].copy_from_slice(&values);
                    self.store.slots[at].has_velocity = true;
                }
                for NamedTensor { name, values, .. } in state.squares {
                    self.store.squares[self.store.names[&name]].copy_from_slice(&values);
                }
            }
            Kind::Kept => return Err(EngineError::KeepsNone),
        }
        Ok(())
    }

    fn export(&self, kind: Kind) -> Result<Vec<u8>, EngineError> {
        let Store { values, velocities, squares, has_squares, steps, .. } = &self.store;
        let tensors = match kind {
            Kind::Parameters => self.store.tensors(values, |slot| slot.has_value),
            Kind::Optimizer => {
                let velocities = self.store.tensors(velocities, |slot| slot.has_velocity);
                let squares = self.store.tensors(squares, |slot| slot.has_velocity && *has_squares);
                OptimizerState { velocities, squares, steps: has_squares.then_some(*steps) }.into_tensors()
            }
            Kind::Kept => Vec::new(),
        };
        Ok(tensors_to_bytes(&tensors)?)
    }

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), EngineError> {
        let loss = self.backward(program, inputs)?;
        let Self { team, optimizer, programs, store, shared, losses, .. } = self;
        let Loaded { training: Some(training), places, .. } = &programs[program] else { return Ok(()) };
        store.descend(training, places, shared, *optimizer, learning_rate, team.isa());
        store.update_statistics(training, places);
        store.version += 1;
        losses.push(loss);
        Ok(())
    }

    fn losses(&mut self) -> Result<Vec<f32>, EngineError> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError> {
        let loss = self.backward(program, inputs)?;
        let mut tensors = vec![NamedTensor { name: "loss".into(), shape: vec![1], values: vec![loss] }];
        if let Loaded { training: Some(training), .. } = &self.programs[program] {
            for &value in training.trained() {
                let parameter = training.graph().parameters.iter().find(|known| known.value == value);
                let Some(parameter) = parameter else { continue };
                let shape = training.graph().values[value].shape.clone();
                let values = training.gradient(&self.shared, value).to_vec();
                tensors.push(NamedTensor { name: parameter.name.clone(), shape, values });
            }
        }
        Ok(tensors_to_bytes(&tensors)?)
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError> {
        self.check(program, inputs)?;
        let target = self.target();
        let Self { team, programs, store, shared, .. } = self;
        let Loaded { linked, graph, places, evaluation, .. } = &mut programs[program];
        let evaluation = evaluation.get_or_insert_with(|| compile_evaluation(graph, target));
        let parameters = Parameters { values: &store.values, places, version: store.version };
        evaluation.run(team, shared, &parameters, inputs, || ());
        for (name, values) in outputs {
            let outputs = &evaluation.graph().outputs;
            let port = find_output(&linked.source, outputs, name, values.len())?;
            values.copy_from_slice(evaluation.value(shared, &parameters, port.tensor as usize));
        }
        Ok(())
    }
}

/// The training form of a graph.
fn compile_training(graph: &Graph, loss: ValueId, target: Target) -> Executable {
    let mut graph = graph.clone();
    // What else comes out is of no interest to a step.
    graph.outputs.retain(|port| port.tensor as usize == loss);
    fuse(&mut graph);
    assign_layouts(&mut graph);
    let loss = graph.outputs[0].tensor as usize;
    let schedule = schedule::training(&graph, loss);
    Executable::new(graph, schedule, &[loss], target)
}

/// The evaluation form of a graph.
fn compile_evaluation(graph: &Graph, target: Target) -> Executable {
    let mut graph = graph.clone();
    fuse(&mut graph);
    assign_layouts(&mut graph);
    let schedule = schedule::evaluation(&graph);
    let outputs: Vec<ValueId> = graph.outputs.iter().map(|port| port.tensor as usize).collect();
    Executable::new(graph, schedule, &outputs, target)
}

impl Store {
    /// Where a parameter is; it gets a place if it has none.
    fn place(&mut self, parameter: &Parameter) -> usize {
        let Parameter { name, shape, kind, .. } = parameter;
        if let Some(&at) = self.names.get(name) {
            return at;
        }
        let elements = shape.iter().product();
        self.slots.push(Slot {
            name: name.clone(),
            shape: shape.clone(),
            kind: *kind,
            has_value: false,
            has_velocity: false,
        });
        self.values.push(Buffer::zeros(elements));
        self.squares.push(Buffer::zeros(if self.has_squares { elements } else { 0 }));
        self.velocities.push(Buffer::zeros(elements));
        self.names.insert(name.clone(), self.slots.len() - 1);
        self.slots.len() - 1
    }

    /// One tensor of each parameter that has it.
    fn tensors(&self, values: &[Buffer], has: impl Fn(&Slot) -> bool) -> Vec<NamedTensor> {
        let there = self.slots.iter().zip(values).filter(|(slot, _)| has(slot));
        let tensor = |(slot, values): (&Slot, &Buffer)| {
            let (name, shape) = (slot.name.clone(), slot.shape.clone());
            NamedTensor { name, shape, values: values.to_vec() }
        };
        there.map(tensor).collect()
    }

    /// Moves every parameter that has a gradient.
    fn descend(
        &mut self,
        training: &Executable,
        places: &[usize],
        shared: &Shared,
        optimizer: Optimizer,
        learning_rate: f64,
        isa: Isa,
    ) {
        self.steps += 1;
        let parameters = training.graph().parameters.iter().zip(places);
        let trained = || parameters.clone().filter(|(known, _)| training.trained().contains(&known.value));
        let clipped = match optimizer.clip_norm {
            Some(_) => {
                let squares = trained().map(|(known, _)| training.gradient(shared, known.value));
                optimizer.clipped(squares.map(sum_of_squares).sum::<f64>().sqrt()) as f32
            }
            None => 1.0,
        };
        let descent = Descent::new(optimizer, learning_rate, clipped, self.steps);
        for (known, &at) in trained() {
            self.slots[at].has_velocity = true;
            let gradient = training.gradient(shared, known.value);
            let moved = Moved {
                parameter: &mut self.values[at],
                velocity: &mut self.velocities[at],
                square: &mut self.squares[at],
            };
            descend(isa, descent, gradient, moved);
        }
    }

    /// running ← (1 − m)·running + m·batch, with the unbiased variance of the batch, as in PyTorch.
    fn update_statistics(&mut self, training: &Executable, places: &[usize]) {
        let parameters = &training.graph().parameters;
        training.statistics(|running, moments, count| {
            let unbiased = count as f64 / (count.max(2) - 1) as f64;
            for ((value, batch), factor) in running.into_iter().zip(moments).zip([1.0, unbiased]) {
                let Some(parameter) = parameters.iter().position(|known| known.value == value) else {
                    continue;
                };
                let at = places[parameter];
                if self.slots[at].kind != ParameterKind::State {
                    continue;
                }
                for (running, batch) in self.values[at].iter_mut().zip(batch) {
                    let share = STATISTICS_MOMENTUM * factor * f64::from(*batch);
                    *running = ((1.0 - STATISTICS_MOMENTUM) * f64::from(*running) + share) as f32;
                }
            }
        });
    }
}
