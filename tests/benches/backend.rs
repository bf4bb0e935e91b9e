//! A backend, through host and plugin, beside PyTorch on the same model and batch.
//!
//! `cargo xtask bench backend --python PYTHON --threads 2 --pairs 15 --depth 32 --image 3x32x32 --batch 128`
//!
//! The sides take turns, so that whatever else the machine does falls on all, and in each turn run once before they
//! are measured. Without `--python` only the backend is measured; `--tasks step,steps,forward,head` tells what (`steps`
//! are `--steps 50` of which the losses are read once at the end, as in an epoch), `--backbone wide-resnet --depth 16
//! --widen 4` of which model.
//!
//! `--backend` names another than `cpu`, built already, and `--instructions AVX2`, `--convolutions winograd`,
//! `--precision bf16` and `--device 1` set options of it. With `wgpu` and `cuda`, the same steps run once more in a
//! process in which each launch of a kernel is timed, which tells the share of a step that no kernel takes. PyTorch is on
//! `--peer-device cuda` or `cpu`; `--compile default` adds it compiled, which is a peer on `cuda` anyway.
//!
//! `--explain` prints the plan that `cpu` compiles instead, as estimated and as measured.

#![allow(clippy::print_stdout, reason = "its result is what a benchmark prints")]

mod peer;

use std::{
    env,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use expanse_cpu::{Convolutions, Team};
use expanse_domain::Seed;
use expanse_engine::{Kind, Running};
use expanse_host::{Backend, HostError, Session, TensorKind, set_threads};
use expanse_program::{HeadRequest, LossRequest, TensorData, TensorView};
use expanse_tests::{
    kernels::{self, CUBECL, Kernels},
    model::{Batch, Model, OPTIMIZER, Programs, TRAINING},
    plugins, plugins_and_on_demand,
    timing::{peak_memory, sorted},
};
use peer::{Peer, Variant};
use serde_json::{Map, Value};

const WARM_UP: usize = 3;
const REST: Duration = Duration::from_millis(100);
/// Embeddings of phase 3, and how often they are gone through.
const ROWS: usize = 50_000;
const EPOCHS: usize = 10;
/// With it, this program is the process in which each launch is timed.
const KERNELS: &str = "--kernels";

fn main() -> ExitCode {
    match bench(&Arguments(env::args().collect())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("error: {told}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments(Vec<String>);

impl Arguments {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    fn given(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|argument| argument == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn number(&self, name: &str, otherwise: usize) -> usize {
        self.given(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    }

    fn model(&self) -> Result<Model, String> {
        let image = self.given("--image").unwrap_or("3x32x32");
        let image: Vec<usize> = image.split('x').filter_map(|length| length.parse().ok()).collect();
        let image = image.try_into().map_err(|_| "an image is CHANNELSxROWSxCOLUMNS")?;
        let (depth, widen) = match self.given("--backbone") {
            None | Some("resnet") => (32, None),
            Some("wide-resnet") => (16, Some(self.number("--widen", 4))),
            Some(other) => return Err(format!("`{other}` is not measured; use resnet or wide-resnet")),
        };
        let batch = self.number("--batch", 128);
        Ok(Model { depth: self.number("--depth", depth), widen, image, batch, classes: 10 })
    }

    /// Options of the backend.
    fn options(&self) -> Map<String, Value> {
        let text = ["instructions", "convolutions", "precision"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.given(&format!("--{name}"))?.into())));
        let device = self.given("--device").map(|_| ("device".to_owned(), self.number("--device", 0).into()));
        text.chain(device).collect()
    }

    /// How PyTorch runs the model beside a backend.
    fn variants(&self, python: &str, backend: &str) -> Result<Vec<Variant>, String> {
        // The card that the backend is on, where both count cards alike.
        let card = if backend == "cuda" { self.number("--device", 0) } else { 0 };
        let device = match (self.given("--peer-device"), backend) {
            (Some(device @ ("cpu" | "cuda")), _) => device,
            (Some(other), _) => return Err(format!("PyTorch on `{other}` is not measured; use cpu or cuda")),
            (None, "cpu" | "flex") => "cpu",
            (None, "cuda") => "cuda",
            (None, _) => {
                return Err(format!("name PyTorch's device: --peer-device cuda (or cpu) beside `{backend}`"));
            }
        };
        let variant = |layout, compile: Option<&str>| Variant {
            python: python.into(),
            layout,
            compile: compile.map(String::from),
            card: (device == "cuda").then_some(card),
        };
        let mut variants = vec![variant("channels_last", None)];
        variants.extend((device == "cpu").then(|| variant("nchw", None)));
        let mode = self.given("--compile").or((device == "cuda").then_some("default"));
        variants.extend(mode.map(|mode| variant("channels_last", Some(mode))));
        Ok(variants)
    }
}

fn bench(arguments: &Arguments) -> Result<(), String> {
    let model = arguments.model()?;
    let (threads, pairs) = (arguments.number("--threads", 2), arguments.number("--pairs", 15));
    let steps = arguments.number("--steps", 50);
    if arguments.has("--explain") {
        let known = |name| Convolutions::ALL.into_iter().find(|known| known.name() == name);
        let convolutions = arguments.given("--convolutions");
        let convolutions = convolutions.map(|name| known(name).expect("it is direct or winograd"));
        explain(&model, threads, convolutions.unwrap_or_default());
        return Ok(());
    }
    set_threads(threads);
    let name = arguments.given("--backend").unwrap_or("cpu");
    let variants = match arguments.given("--python") {
        Some(python) => arguments.variants(python, name)?,
        None => Vec::new(),
    };
    let (backend, device) = open(name, &arguments.options())?;
    let mut ours = Ours::open(name, &*backend, &model, steps);
    if arguments.has(KERNELS) {
        println!("{}", ours.launch());
        return Ok(());
    }
    let start = |variant: &Variant| Peer::start(variant, &model, [threads, ROWS, steps]);
    let mut peers = variants.iter().map(start).collect::<Result<Vec<_>, _>>()?;

    let Model { depth, widen, image: [channels, height, width], batch, .. } = model;
    let of = widen.map_or(format!("ResNet-{depth}"), |k| format!("Wide ResNet-{depth}-{k}"));
    println!(
        "{of}, batch {batch} of {channels}×{height}×{width}, {threads} threads, {pairs} rounds after {WARM_UP}; {name}: {device}",
    );
    if let Some(peer) = peers.first() {
        println!("PyTorch {}", peer.version);
    }
    println!(
        "\n{:<44}{:>10}{:>10}{:>10}{:>8}",
        "median, least and most, ms", "median", "least", "most", "ratio"
    );
    let on_cubecl = CUBECL.contains(&name);
    let usual = if on_cubecl { "step,steps,forward,head" } else { "step,forward,head" };
    let tasks = arguments.given("--tasks").unwrap_or(usual);
    for task in tasks.split(',') {
        let rounds = if is_long(task) { pairs.min(5) } else { pairs };
        measure(task, rounds, &mut ours, &mut peers)?;
    }
    println!("\npeak memory, MiB: {name} {:.0}", peak_memory().unwrap_or(f64::NAN));
    for peer in &mut peers {
        let memory = peer.number("memory")?;
        println!("peak memory, MiB: {} {memory:.0}", peer.name());
        if let Some(card) = peer.card()? {
            println!("peak memory of the card, MiB: {} {card:.0}", peer.name());
        }
    }
    drop(peers);
    if on_cubecl && tasks.split(',').any(|task| task == "steps") {
        tell_kernels(arguments, ours)
    } else {
        Ok(())
    }
}

/// The backend and the name of its device.
fn open(name: &str, options: &Map<String, Value>) -> Result<(Box<dyn Backend>, String), String> {
    let host = plugins_and_on_demand();
    let opened = host.backend(name, options).and_then(|backend| {
        let device = backend.device()?.name;
        Ok((backend, device))
    });
    opened.map_err(|error| match error {
        HostError::NotFound { .. } if CUBECL.contains(&name) => {
            format!("`{name}` is not built; `cargo xtask plugin build {name}` builds it, once")
        }
        error => error.to_string(),
    })
}

/// Whether a task is that long that it needs no second run in a turn.
fn is_long(task: &str) -> bool {
    matches!(task, "head" | "steps")
}

/// Rounds of one task, all sides in turn.
fn measure(task: &str, rounds: usize, ours: &mut Ours, peers: &mut [Peer]) -> Result<(), String> {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); 1 + peers.len()];
    let warm_up = if is_long(task) { 1 } else { WARM_UP };
    for round in 0..warm_up + rounds {
        for turn in 0..seconds.len() {
            // Each round begins with another side.
            let side = (round + turn) % seconds.len();
            // Threads of the other side may still wait for work by spinning: PyTorch's do so for about 10 ms.
            thread::sleep(REST);
            // A core that has had nothing to do for some hundred milliseconds is slow to start, which says nothing of
            // a step among thousands: of each turn the second run counts, on all sides.
            let mut run = || if side == 0 { Ok(ours.run(task)) } else { peers[side - 1].number(task) };
            if !is_long(task) {
                run()?;
            }
            let taken = run()?;
            if round >= warm_up {
                seconds[side].push(taken);
            }
        }
    }
    for side in 0..seconds.len() {
        let name = if side == 0 { &ours.name } else { peers[side - 1].name() };
        let ratios = sorted(seconds[0].iter().zip(&seconds[side]).map(|(ours, theirs)| ours / theirs));
        let times = sorted(seconds[side].iter().map(|seconds| seconds * 1e3));
        let (median, ratio) = (times[times.len() / 2], ratios[ratios.len() / 2]);
        let (least, most) = (times[0], times[times.len() - 1]);
        let name = format!("{task}, {name}");
        println!("{name:<44}{median:>10.2}{least:>10.2}{most:>10.2}{ratio:>8.3}");
    }
    Ok(())
}

/// What a step among many is made of.
fn tell_kernels(arguments: &Arguments, mut ours: Ours) -> Result<(), String> {
    // Once more, now that no peer is there any more, as none is while launches are timed.
    let steps = ours.steps;
    let seconds = sorted((0..5).map(|_| ours.run("steps")))[2];
    drop(ours);
    let mut process = Command::new(env::current_exe().map_err(|error| error.to_string())?);
    process.args(arguments.0.iter().skip(1)).arg(KERNELS);
    let Kernels { count, unmeasured, seconds: sum } = kernels::measure(process)?;
    let of_step = sum / steps as f64;
    println!("\na step among {steps}, launches timed in another process");
    println!("{:<44}{:>10.2}", "step, ms", seconds * 1e3);
    println!("{:<44}{:>10.1}", "kernels of a step", (count + unmeasured) as f64 / steps as f64);
    println!("{:<44}{:>10.2}", "kernel time of a step, ms", of_step * 1e3);
    match of_step <= seconds {
        true => {
            println!("{:<44}{:>10.1}", "share that is not kernel time, %", 100.0 * (1.0 - of_step / seconds))
        }
        false => println!("no share: kernels that are timed take longer in sum than a step in which none is"),
    }
    if unmeasured > 0 {
        println!(
            "{unmeasured} of {} launches have no time, and so the share is too large",
            count + unmeasured
        );
    }
    Ok(())
}

/// The backend with a model and with a head alone.
struct Ours {
    name: String,
    model: Model,
    steps: usize,
    session: Box<dyn Session>,
    batch: Batch,
    logits: Vec<f32>,
    head: Box<dyn Session>,
    rows: Vec<f32>,
    labels: Vec<i64>,
}

impl Ours {
    fn open(name: &str, backend: &dyn Backend, model: &Model, steps: usize) -> Self {
        let Programs { backbone, head, loss } = model.record().expect("the model is recorded");
        let mut session = backend.open_session(OPTIMIZER).expect("a session opens");
        session.load(&[&backbone, &head, &loss]).expect("the programs join");
        let parameters = model.initialize(Seed(0)).expect("the model has first values");
        session.import(TensorKind::Parameters, &parameters).expect("they fit");

        let mut alone = backend.open_session(OPTIMIZER).expect("a session opens");
        let linear = plugins().head("linear", &Map::new()).expect("the plugin opens");
        let cross_entropy = plugins().loss("cross-entropy", &Map::new()).expect("the plugin opens");
        for batch in [model.batch, ROWS % model.batch] {
            let request = HeadRequest { batch, features: 64, classes: 10 };
            let head = linear.record(&request).expect("the head is recorded");
            let request = LossRequest { batch, classes: 10, class_counts: vec![1; 10] };
            let loss = cross_entropy.record(&request).expect("the loss is recorded");
            alone.load(&[&head, &loss]).expect("the programs join");
        }
        let request = HeadRequest { batch: model.batch, features: 64, classes: 10 };
        let values = linear.initialize(&request, Seed(0)).expect("the head has first values");
        alone.import(TensorKind::Parameters, &values).expect("they fit");

        let mut rng = Seed(0).derive("rows", &[]).rng();
        let rows = (0..ROWS * 64).map(|_| 2.0 * rng.unit_f32() - 1.0).collect();
        let labels = (0..ROWS).map(|_| rng.index(10) as i64).collect();
        let (batch, logits) = (model.batch(Seed(0)), vec![0.0; model.batch * 10]);
        Self { name: name.into(), model: *model, steps, session, batch, logits, head: alone, rows, labels }
    }

    /// Seconds that a task takes; of `steps`, one of them.
    fn run(&mut self, task: &str) -> f64 {
        let began = Instant::now();
        match task {
            "step" => self.train(1),
            "steps" => {
                self.train(self.steps);
                return began.elapsed().as_secs_f64() / self.steps as f64;
            }
            "forward" => {
                let outputs = &mut [("logits", self.logits.as_mut_slice())];
                self.session.forward(TRAINING, &self.batch.inputs(), outputs).expect("the program runs");
            }
            _ => {
                for _ in 0..EPOCHS {
                    self.epoch();
                }
                self.head.losses().expect("the losses can be read");
            }
        }
        began.elapsed().as_secs_f64()
    }

    /// So many steps, the losses of which are read at the end.
    fn train(&mut self, steps: usize) {
        for _ in 0..steps {
            self.session.step(TRAINING, &self.batch.inputs(), 0.01).expect("the step runs");
        }
        self.session.losses().expect("the losses can be read");
    }

    /// Steps whose launches are logged, once those before have shown which kernels are chosen and fused; answers where
    /// the log of theirs begins.
    fn launch(&mut self) -> u64 {
        for _ in 0..2 {
            self.train(self.steps);
        }
        let begin = kernels::logged();
        self.train(self.steps);
        kernels::logged();
        begin
    }

    /// One pass over the embeddings, the rest of them in a smaller batch.
    fn epoch(&mut self) {
        let batch = self.model.batch;
        for (rows, labels) in self.rows.chunks(batch * 64).zip(self.labels.chunks(batch)) {
            let view = |name, shape, data| TensorView { name, shape, data };
            let (shape, count, weights) = ([labels.len(), 64], [labels.len()], [1.0; 10]);
            let inputs = [
                view("embedding", &shape[..], TensorData::F32(rows)),
                view("targets", &count, TensorData::I64(labels)),
                view("class_weights", &[10], TensorData::F32(&weights)),
            ];
            let program = usize::from(labels.len() != batch);
            self.head.step(program, &inputs, 0.01).expect("the step runs");
        }
    }
}

fn explain(model: &Model, threads: usize, convolutions: Convolutions) {
    let team = Team::new(threads).expect("threads start");
    let mut session = expanse_cpu::Session::new(team, OPTIMIZER).with_convolutions(convolutions);
    let Programs { backbone, head, loss } = model.record().expect("the model is recorded");
    session.load(&[backbone, head, loss]).expect("the programs join");
    for training in [true, false] {
        println!("{}", session.explain(TRAINING, training).expect("the program is compiled"));
    }
    println!("measured:");
    let parameters = model.initialize(Seed(0)).expect("the model has first values");
    session.import(Kind::Parameters, &parameters).expect("they fit");
    let batch = model.batch(Seed(0));
    println!("{}", session.profile(TRAINING, &batch.inputs(), 20).expect("the program runs"));
}
