//! Runs on components of this process, where no library and no tensor is needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use expanse_config::{Sources, resolve};
use expanse_data::{ImageSet, ImageShape, Normalization};
use expanse_domain::{ClassCounts, MatrixView, Provenance};
use expanse_host::{Device, HostError, Recorder, Session, TensorKind};
use expanse_program::{
    BackboneRequest, DType, HeadRequest, Header, LossRequest, NamedTensor, Optimizer, Parameter,
    ParameterKind, Port, Program, TensorData, TensorView, tensors_from_bytes, tensors_to_bytes,
};

use super::*;
use crate::{Silent, missing_operations};

const FEATURES: usize = 3;

/// A part of a model that only has ports and, where it is named, one parameter.
struct Part(&'static str);

impl Part {
    fn program(&self, inputs: &[(&str, Vec<usize>, DType)], output: (&str, Vec<usize>)) -> Program {
        let port = |name: &str, shape: &[usize], dtype| Port {
            name: name.into(),
            shape: shape.into(),
            dtype,
            tensor: 0,
            meaning: None,
        };
        let header = Header {
            dialect: String::new(),
            source: format!("part `{}`", self.0),
            sha256: String::new(),
            inputs: inputs.iter().map(|(name, shape, dtype)| port(name, shape, *dtype)).collect(),
            outputs: vec![port(output.0, &output.1, DType::F32)],
            parameters: self.parameter(),
            usual_names: self.usual_names(),
            constants: vec![],
            multiply_adds: 0,
        };
        Program::seal(header, vec![], vec![])
    }

    fn parameter(&self) -> Vec<Parameter> {
        let parameter =
            Parameter { name: self.0.into(), shape: vec![1], kind: ParameterKind::Trainable, tensor: 0 };
        if self.0.is_empty() { vec![] } else { vec![parameter] }
    }

    /// A `twin` would be called as the head's parameter in a file.
    fn usual_names(&self) -> BTreeMap<String, String> {
        let twin = (self.0 == "twin").then(|| ("twin".to_owned(), "head".to_owned()));
        twin.into_iter().collect()
    }

    fn values(&self) -> Vec<u8> {
        let value = |p: Parameter| NamedTensor { name: p.name, shape: p.shape, values: vec![0.0] };
        tensors_to_bytes(&self.parameter().into_iter().map(value).collect::<Vec<_>>()).unwrap()
    }
}

impl Recorder<BackboneRequest> for Part {
    fn record(&self, r: &BackboneRequest) -> Result<Program, HostError> {
        let images = ("images", vec![r.batch, r.channels, r.height, r.width], DType::F32);
        Ok(self.program(&[images], ("embedding", vec![r.batch, FEATURES])))
    }

    fn initialize(&self, _: &BackboneRequest, _: Seed) -> Result<Vec<u8>, HostError> {
        Ok(self.values())
    }
}

impl Recorder<HeadRequest> for Part {
    fn record(&self, r: &HeadRequest) -> Result<Program, HostError> {
        let embedding = ("embedding", vec![r.batch, r.features], DType::F32);
        Ok(self.program(&[embedding], ("logits", vec![r.batch, r.classes])))
    }

    fn initialize(&self, _: &HeadRequest, _: Seed) -> Result<Vec<u8>, HostError> {
        Ok(self.values())
    }
}

impl Recorder<LossRequest> for Part {
    fn record(&self, r: &LossRequest) -> Result<Program, HostError> {
        let logits = ("logits", vec![r.batch, r.classes], DType::F32);
        let targets = ("targets", vec![r.batch], DType::I64);
        let weights = ("class_weights", vec![r.classes], DType::F32);
        Ok(self.program(&[logits, targets, weights], ("loss", vec![1])))
    }

    fn initialize(&self, _: &LossRequest, _: Seed) -> Result<Vec<u8>, HostError> {
        Ok(self.values())
    }
}

/// A device whose embedding of an image is its first pixel, and whose steps count up every parameter.
#[derive(Clone)]
struct Counting {
    steps: Arc<AtomicUsize>,
    devices: usize,
    keeps: Option<u64>,
    /// Images that were kept, and how often each was picked.
    kept: Arc<Mutex<Vec<usize>>>,
    /// Rows of the first input of every program that was loaded.
    loaded: Arc<Mutex<BTreeSet<usize>>>,
    broken_embeddings: bool,
    broken_loss: bool,
    /// The part that it cannot run.
    lacks: Option<&'static str>,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            steps: Arc::default(),
            devices: 1,
            keeps: None,
            kept: Arc::default(),
            loaded: Arc::default(),
            broken_embeddings: false,
            broken_loss: false,
            lacks: None,
        }
    }
}

impl Backend for Counting {
    fn device(&self) -> Result<Device, HostError> {
        Ok(Device { name: "counting".into(), threads: 1, devices: self.devices, keeps: self.keeps })
    }

    fn missing_operations(&self, program: &Program) -> Result<Vec<String>, HostError> {
        let lacks = self.lacks.filter(|source| program.header.source.contains(source));
        Ok(lacks.map(|source| vec!["Float::Erf".into(), format!("of {source}")]).unwrap_or_default())
    }

    fn open_session(&self, _: Optimizer) -> Result<Box<dyn Session>, HostError> {
        Ok(Box::new(CountingSession { device: self.clone(), parameters: BTreeMap::new(), losses: vec![] }))
    }
}

struct CountingSession {
    device: Counting,
    parameters: BTreeMap<String, f32>,
    losses: Vec<f32>,
}

impl Session for CountingSession {
    fn load(&mut self, programs: &[&Program]) -> Result<usize, HostError> {
        self.device.loaded.lock().unwrap().insert(programs[0].header.inputs[0].shape[0]);
        Ok(0)
    }

    fn import(&mut self, kind: TensorKind, tensors: &[u8]) -> Result<(), HostError> {
        let tensors = tensors_from_bytes(tensors).unwrap();
        match kind {
            TensorKind::Optimizer => {}
            TensorKind::Parameters => {
                self.parameters.extend(tensors.into_iter().map(|t| (t.name, t.values[0])));
            }
            TensorKind::Kept => self.device.kept.lock().unwrap().resize(tensors[0].shape[0], 0),
        }
        Ok(())
    }

    fn export(&self, _: TensorKind) -> Result<Vec<u8>, HostError> {
        let tensor = |(name, value): (&String, &f32)| NamedTensor {
            name: name.clone(),
            shape: vec![1],
            values: vec![*value],
        };
        Ok(tensors_to_bytes(&self.parameters.iter().map(tensor).collect::<Vec<_>>()).unwrap())
    }

    fn step(&mut self, _: usize, inputs: &[TensorView<'_>], _: f64) -> Result<(), HostError> {
        if let TensorView { name: "images.rows", data: TensorData::I64(rows), .. } = inputs[0] {
            let mut kept = self.device.kept.lock().unwrap();
            rows.iter().for_each(|row| kept[*row as usize] += 1);
        }
        self.device.steps.fetch_add(1, Ordering::Relaxed);
        self.parameters.values_mut().for_each(|value| *value += 1.0);
        self.losses.push(if self.device.broken_loss { f32::NAN } else { 1.0 });
        Ok(())
    }

    fn losses(&mut self) -> Result<Vec<f32>, HostError> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn forward(
        &mut self,
        _: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), HostError> {
        let TensorData::F32(images) = inputs[0].data else { panic!("images are numbers") };
        let values: usize = inputs[0].shape[1..].iter().product();
        for (name, output) in outputs {
            let width = output.len() / inputs[0].shape[0];
            for (row, image) in output.chunks_mut(width).zip(images.chunks(values)) {
                row.fill(image[0]);
                if *name == "embedding" && self.device.broken_embeddings {
                    row[1] = f32::NAN;
                }
            }
        }
        Ok(())
    }

    fn gradients(&mut self, _: usize, _: &[TensorView<'_>]) -> Result<Vec<u8>, HostError> {
        unreachable!("a run asks for no gradients")
    }
}

/// Repeats the first sample of a class.
struct Repeat;

impl Sampler for Repeat {
    fn resample(
        &self,
        features: MatrixView<'_>,
        labels: &[u32],
        wanted: &[u64],
        _: Seed,
    ) -> Result<Synthetic, HostError> {
        let made: Vec<u32> =
            (0u32..).zip(wanted).flat_map(|(class, &n)| std::iter::repeat_n(class, n as usize)).collect();
        let first = |class: &u32| labels.iter().position(|label| label == class).unwrap();
        let rows: Vec<usize> = made.iter().map(first).collect();
        Ok(Synthetic {
            features: features.select_rows(&rows),
            provenance: vec![Provenance::default(); made.len()],
            labels: made,
            report: serde_json::json!({ "notes": [] }),
        })
    }
}

fn components(backend: Counting) -> Components {
    Components {
        backbone: Box::new(Part("backbone")),
        head: Box::new(Part("head")),
        loss: Box::new(Part("")),
        sampler: Box::new(Repeat),
        backend: Box::new(backend),
        identities: BTreeMap::new(),
    }
}

/// Two classes of one-pixel images: 6 and 2 to train on, 2 of each to test with.
fn data() -> Prepared {
    let shape = ImageShape { channels: 1, height: 1, width: 1 };
    let classes = vec!["dark".to_owned(), "light".to_owned()];
    let set = |pixels: &[u8], labels: &[u32]| {
        ImageSet::new(shape, pixels.to_vec(), labels.to_vec(), classes.clone()).unwrap()
    };
    let train = set(&[0, 10, 20, 30, 40, 50, 200, 250], &[0, 0, 0, 0, 0, 0, 1, 1]);
    Prepared {
        normalization: Normalization::of(&train),
        counts: ClassCounts::new(vec![6, 2]),
        validation: train.select(&[]),
        train: Arc::new(train),
        test: set(&[5, 15, 210, 240], &[0, 0, 1, 1]),
    }
}

fn experiment() -> Experiment {
    experiment_with(&[])
}

fn experiment_with(more: &[&str]) -> Experiment {
    let set = ["train.epochs=3", "train.batch_size=4", "finetune.epochs=2", "finetune.batch_size=5"];
    let set: Vec<String> = set.iter().chain(more).map(ToString::to_string).collect();
    let sources = Sources {
        config_folder: std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config")),
        experiment: None,
        environment: [],
        set: &set,
    };
    resolve(sources).unwrap().experiment
}

#[test]
fn the_phases_do_what_they_say() {
    let backend = Counting::default();
    let outcome = run(&experiment(), &data(), &components(backend.clone()), None, &Silent).unwrap();
    // Phase 1: 3 epochs of 2 batches; phase 3: 2 epochs over 6 + 2 + 4 rows in batches of 5.
    assert_eq!(backend.steps.load(Ordering::Relaxed), 3 * 2 + 2 * 3);
    let values = |bytes: &[u8]| -> Vec<(String, f32)> {
        tensors_from_bytes(bytes).unwrap().into_iter().map(|t| (t.name, t.values[0])).collect()
    };
    assert_eq!(values(&outcome.baseline), [("backbone".into(), 6.0), ("head".into(), 6.0)]);
    assert_eq!(values(&outcome.three_phase), [("backbone".into(), 6.0), ("head".into(), 6.0)]);
    assert_eq!(outcome.synthetic.labels, [1, 1, 1, 1]);
    assert_eq!((outcome.train.0.rows(), outcome.test.0.rows()), (8, 4));
    let phases: Vec<_> = outcome.metrics.seconds.keys().map(String::as_str).collect();
    assert_eq!(phases, ["augment", "embed", "evaluate", "finetune", "train"]);
}

#[test]
fn programs_are_recorded_for_the_part_of_a_batch_that_each_device_has() {
    let loaded = |devices| {
        let backend = Counting { devices, ..Counting::default() };
        run(&experiment(), &data(), &components(backend.clone()), None, &Silent).unwrap();
        backend.loaded.lock().unwrap().iter().copied().collect::<Vec<_>>()
    };
    // Phase 1 has batches of 4, phase 3 of 5, 5 and 2; what is embedded has 8 and 4 images, in batches of at most 200.
    assert_eq!(loaded(1), [2, 4, 5, 8, 200]);
    assert_eq!(loaded(2), [1, 2, 4, 5, 100]);
    assert_eq!(loaded(4), [1, 2, 5, 50]);
}

#[test]
fn images_stay_on_a_device_that_has_room_for_them() {
    let attempt = |keeps, set: &[&str]| {
        let backend = Counting { keeps, ..Counting::default() };
        let experiment = experiment_with(set);
        let ended = run(&experiment, &data(), &components(backend.clone()), None, &Silent);
        let kept = backend.kept.lock().unwrap().clone();
        ended.map(|_| kept).map_err(|error| error.to_string())
    };
    // Eight images of one pixel with their borders, each in every one of three epochs.
    let (room, all) = (8 * 4 * 4, vec![3; 8]);
    let (always, never) = ("data.on_device=always", "data.on_device=never");
    assert_eq!(attempt(Some(room), &[]).unwrap(), all);
    assert_eq!(attempt(Some(room), &[always]).unwrap(), all);
    for (keeps, set) in [
        (None, vec![]),
        (Some(room - 1), vec![]),
        (Some(room), vec![never]),
        (Some(room), vec!["train.mixup=0.2"]),
    ] {
        assert_eq!(attempt(keeps, &set).unwrap(), [0; 0], "{keeps:?}, {set:?}");
    }
    for (keeps, set, reason) in [
        (None, vec![always], "the memory of counting is that of the host"),
        (Some(room - 1), vec![always], "they take 1 MiB, and the device has room for 0 MiB of them"),
        (Some(room), vec![always, "train.mixup=0.2"], "train.mixup mixes images on the host"),
    ] {
        let expected = format!("data.on_device is `always`, and {reason}; use `auto`");
        assert_eq!(attempt(keeps, &set).unwrap_err(), expected);
    }
}

#[test]
fn what_is_not_a_number_stops_the_run_where_it_appears() {
    let check = |backend: Counting, message: &str| {
        let error = run(&experiment(), &data(), &components(backend), None, &Silent).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    };
    let broken = Counting { broken_embeddings: true, ..Counting::default() };
    check(broken, "the training embeddings hold NaN at row 0, column 1");
    let broken = Counting { broken_loss: true, ..Counting::default() };
    check(broken, "train: the loss is NaN in epoch 1; training has diverged: lower train.learning_rate");
}

#[test]
fn parts_that_do_not_fit_are_refused_before_the_first_step() {
    let backend = Counting::default();
    let mut components = components(backend.clone());
    components.head = Box::new(Part("backbone"));
    let error = run(&experiment(), &data(), &components, None, &Silent).unwrap_err().to_string();
    assert!(error.contains("both hold a parameter named `backbone`"), "{error}");
    (components.backbone, components.head) = (Box::new(Part("twin")), Box::new(Part("head")));
    let error = run(&experiment(), &data(), &components, None, &Silent).unwrap_err().to_string();
    assert!(error.contains("parameters `twin` and `head` would both be called `head`"), "{error}");
    assert_eq!(backend.steps.load(Ordering::Relaxed), 0);
}

/// What a run notes.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event) {
        if let Event::Note { message } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

#[test]
fn images_that_do_not_fit_on_the_device_are_noted_once() {
    let notes = |keeps, set: &[&str]| {
        let (notes, backend) = (Notes::default(), Counting { keeps, ..Counting::default() });
        run(&experiment_with(set), &data(), &components(backend), None, &notes).unwrap();
        let mut notes = notes.0.into_inner().unwrap();
        notes.retain(|note| note.contains("sent with every batch"));
        notes
    };
    let told = "images are sent with every batch: they take 1 MiB, and the device has room for 0 MiB of them";
    assert_eq!(notes(Some(1), &[]), [told]);
    for (keeps, set) in [(Some(1), vec!["data.on_device=never"]), (Some(1 << 20), vec![]), (None, vec![])] {
        assert_eq!(notes(keeps, &set), [""; 0], "{keeps:?}, {set:?}");
    }
}

#[test]
fn a_loss_with_parameters_is_not_mixed() {
    let backend = Counting::default();
    let mut components = components(backend.clone());
    components.loss = Box::new(Part("margins"));
    let error = run(&experiment_with(&["train.mixup=0.2"]), &data(), &components, None, &Silent);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("part `margins` has parameters") && error.contains("set train.mixup to 0"),
        "{error}"
    );
    assert_eq!(backend.steps.load(Ordering::Relaxed), 0);
}

#[test]
fn what_the_backend_lacks_is_known_before_a_run() {
    let lacking = Counting { lacks: Some("part"), ..Counting::default() };
    let missing = missing_operations(&data(), &components(lacking.clone())).unwrap();
    assert_eq!(missing, ["Float::Erf", "of part"]);
    assert_eq!(missing_operations(&data(), &components(Counting::default())).unwrap(), [""; 0]);
    let error = run(&experiment(), &data(), &components(lacking), None, &Silent).unwrap_err().to_string();
    assert!(error.contains("lacks Float::Erf, of part; choose another backend"), "{error}");
}
