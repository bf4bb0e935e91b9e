//! The compiled CPU backend, through host and plugin, beside PyTorch on the same model, batch and threads.
//!
//! `cargo xtask bench backend --python PYTHON --threads 2 --pairs 15 --depth 32 --image 3x32x32`
//!
//! The sides take turns, so that whatever else the machine does falls on all, and in each turn run once before they
//! are measured. Without `--python` only the backend is measured; `--tasks step,forward,head` tells what,
//! `--backbone wide-resnet --depth 16 --widen 4` of which model, `--instructions AVX2` and `--convolutions winograd`
//! with which options, and `--explain` prints its compiled plan instead, as estimated and as measured.

#![allow(clippy::print_stdout, reason = "its result is what a benchmark prints")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use expanse_cpu::{Convolutions, Team};
use expanse_domain::Seed;
use expanse_engine::{Kind, Running};
use expanse_host::{Session, TensorKind, set_threads};
use expanse_program::{HeadRequest, LossRequest, TensorData, TensorView};
use expanse_tests::{
    model::{Batch, Model, OPTIMIZER, Programs, TRAINING},
    plugins,
    timing::{peak_memory, sorted},
};
use serde_json::{Map, json};

const WARM_UP: usize = 3;
const REST: Duration = Duration::from_millis(100);
const BATCH: usize = 128;
/// Embeddings of phase 3, and how often they are gone through.
const ROWS: usize = 50_000;
const EPOCHS: usize = 10;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let given = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let number = |name: &str, default| given(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let image: Vec<usize> =
        given("--image").unwrap_or("3x32x32").split('x').filter_map(|length| length.parse().ok()).collect();
    let image: [usize; 3] = image.try_into().expect("an image is CHANNELSxROWSxCOLUMNS");
    let (threads, pairs) = (number("--threads", 2), number("--pairs", 15));
    let (depth, widen) = match given("--backbone") {
        None | Some("resnet") => (32, None),
        Some("wide-resnet") => (16, Some(number("--widen", 4))),
        Some(other) => panic!("`{other}` is not measured; use resnet or wide-resnet"),
    };
    let model = Model { depth: number("--depth", depth), widen, image, batch: BATCH, classes: 10 };
    if arguments.iter().any(|argument| argument == "--explain") {
        let known = |name| Convolutions::ALL.into_iter().find(|known| known.name() == name);
        let convolutions = given("--convolutions").map(|name| known(name).expect("it is direct or winograd"));
        return explain(&model, threads, convolutions.unwrap_or_default());
    }
    set_threads(threads);
    let chosen = ["instructions", "convolutions"].map(|name| (name, given(&format!("--{name}"))));
    let options: Map<String, serde_json::Value> =
        chosen.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into()))).collect();
    let mut ours = Ours::open(&model, &options);
    let mut peers: Vec<Peer> = given("--python")
        .into_iter()
        .flat_map(|python| {
            ["channels_last", "nchw"].map(|layout| Peer::start(python, layout, &model, threads))
        })
        .collect();

    let [channels, height, width] = image;
    let name =
        widen.map_or(format!("ResNet-{}", model.depth), |k| format!("Wide ResNet-{}-{k}", model.depth));
    println!(
        "{name}, batch {BATCH} of {channels}×{height}×{width}, {threads} threads, {pairs} rounds after {WARM_UP}; {}",
        plugins().backend("cpu", &options).and_then(|b| b.device()).expect("a device").name
    );
    if let Some(peer) = peers.first_mut() {
        println!("PyTorch {}", peer.ask("version"));
    }
    println!(
        "\n{:<34}{:>10}{:>10}{:>10}{:>8}",
        "median, least and most, ms", "median", "least", "most", "ratio"
    );
    let tasks = given("--tasks").unwrap_or("step,forward,head");
    for task in tasks.split(',') {
        measure(task, if task == "head" { pairs.min(5) } else { pairs }, &mut ours, &mut peers);
    }
    println!("\npeak memory, MiB: cpu {:.0}", peak_memory().unwrap_or(f64::NAN));
    for peer in &mut peers {
        println!("peak memory, MiB: {} {:.0}", peer.name(), peer.number("memory"));
    }
}

/// Rounds of one task, all sides in turn.
fn measure(task: &str, rounds: usize, ours: &mut Ours, peers: &mut [Peer]) {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); 1 + peers.len()];
    let warm_up = if task == "head" { 1 } else { WARM_UP };
    for round in 0..warm_up + rounds {
        for turn in 0..seconds.len() {
            // Each round begins with another side.
            let side = (round + turn) % seconds.len();
            // Threads of the other side may still wait for work by spinning: PyTorch's do so for about 10 ms.
            std::thread::sleep(REST);
            // A core that has had nothing to do for some hundred milliseconds is slow to start, which says nothing of
            // a step among thousands: of each turn the second run counts, on all sides.
            let mut run = || if side == 0 { ours.run(task) } else { peers[side - 1].number(task) };
            if task != "head" {
                run();
            }
            let taken = run();
            if round >= warm_up {
                seconds[side].push(taken);
            }
        }
    }
    for side in 0..seconds.len() {
        let name = if side == 0 { "cpu" } else { peers[side - 1].name() };
        let ratios = sorted(seconds[0].iter().zip(&seconds[side]).map(|(ours, theirs)| ours / theirs));
        let times = sorted(seconds[side].iter().map(|seconds| seconds * 1e3));
        let (median, ratio) = (times[times.len() / 2], ratios[ratios.len() / 2]);
        let (least, most) = (times[0], times[times.len() - 1]);
        let name = format!("{task}, {name}");
        println!("{name:<34}{median:>10.2}{least:>10.2}{most:>10.2}{ratio:>8.3}");
    }
}

/// The backend with a model and with a head alone.
struct Ours {
    session: Box<dyn Session>,
    batch: Batch,
    logits: Vec<f32>,
    head: Box<dyn Session>,
    rows: Vec<f32>,
    labels: Vec<i64>,
}

impl Ours {
    fn open(model: &Model, options: &Map<String, serde_json::Value>) -> Self {
        let backend = plugins().backend("cpu", options).expect("the plugin opens");
        let Programs { backbone, head, loss } = model.record().expect("the model is recorded");
        let mut session = backend.open_session(OPTIMIZER).expect("a session opens");
        session.load(&[&backbone, &head, &loss]).expect("the programs join");
        let parameters = model.initialize(Seed(0)).expect("the model has first values");
        session.import(TensorKind::Parameters, &parameters).expect("they fit");

        let mut alone = backend.open_session(OPTIMIZER).expect("a session opens");
        let linear = plugins().head("linear", &Map::new()).expect("the plugin opens");
        let cross_entropy = plugins().loss("cross-entropy", &Map::new()).expect("the plugin opens");
        for batch in [BATCH, ROWS % BATCH] {
            let request = HeadRequest { batch, features: 64, classes: 10 };
            let head = linear.record(&request).expect("the head is recorded");
            let request = LossRequest { batch, classes: 10, class_counts: vec![1; 10] };
            let loss = cross_entropy.record(&request).expect("the loss is recorded");
            alone.load(&[&head, &loss]).expect("the programs join");
        }
        let request = HeadRequest { batch: BATCH, features: 64, classes: 10 };
        let values = linear.initialize(&request, Seed(0)).expect("the head has first values");
        alone.import(TensorKind::Parameters, &values).expect("they fit");

        let mut rng = Seed(0).derive("rows", &[]).rng();
        let rows = (0..ROWS * 64).map(|_| 2.0 * rng.unit_f32() - 1.0).collect();
        let labels = (0..ROWS).map(|_| rng.index(10) as i64).collect();
        let logits = vec![0.0; BATCH * 10];
        Self { session, batch: model.batch(Seed(0)), logits, head: alone, rows, labels }
    }

    fn run(&mut self, task: &str) -> f64 {
        let began = Instant::now();
        match task {
            "step" => {
                self.session.step(TRAINING, &self.batch.inputs(), 0.01).expect("the step runs");
                self.session.losses().expect("the loss can be read");
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

    /// One pass over the embeddings, the rest of them in a smaller batch.
    fn epoch(&mut self) {
        for (rows, labels) in self.rows.chunks(BATCH * 64).zip(self.labels.chunks(BATCH)) {
            let view = |name, shape, data| TensorView { name, shape, data };
            let (shape, count, weights) = ([labels.len(), 64], [labels.len()], [1.0; 10]);
            let inputs = [
                view("embedding", &shape[..], TensorData::F32(rows)),
                view("targets", &count, TensorData::I64(labels)),
                view("class_weights", &[10], TensorData::F32(&weights)),
            ];
            let program = usize::from(labels.len() != BATCH);
            self.head.step(program, &inputs, 0.01).expect("the step runs");
        }
    }
}

/// PyTorch in a process of its own.
struct Peer {
    layout: &'static str,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &str, layout: &'static str, model: &Model, threads: usize) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer.py");
        let Model { depth, widen, image, batch, .. } = *model;
        let config = json!({
            "threads": threads, "layout": layout, "depth": depth, "widen": widen, "image": image, "batch": batch,
            "rows": ROWS,
        });
        let mut process = Command::new(python)
            .arg(script)
            .arg(config.to_string())
            .env("OMP_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let commands = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { layout, process, commands, answers }
    }

    fn name(&self) -> &'static str {
        if self.layout == "nchw" { "PyTorch, NCHW" } else { "PyTorch, channels_last" }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").expect("PyTorch listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("PyTorch answers");
        answer.trim().into()
    }

    fn number(&mut self, command: &str) -> f64 {
        let answer = self.ask(command);
        answer.parse().unwrap_or_else(|_| panic!("PyTorch answered `{answer}` to `{command}`"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
