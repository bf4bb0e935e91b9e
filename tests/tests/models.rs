//! The shipped backbones and heads against PyTorch's values, and against the sizes that their papers tell.

use std::{collections::BTreeMap, fs, path::Path};

use expanse_domain::Seed;
use expanse_host::{Session, TensorKind};
use expanse_program::{
    BackboneRequest, HeadRequest, LossRequest, NamedTensor, Program, TensorData, TensorView,
};
use expanse_tests::{
    model::{OPTIMIZER, tensors, to_bytes},
    plugins,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Golden {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    file: String,
    backbone: String,
    backbone_options: Map<String, Value>,
    head: String,
    head_options: Map<String, Value>,
    /// The largest distance of PyTorch's gradients in f32 from those in f64, relative to the largest of the tensor.
    f32_error: f32,
    features: usize,
    classes: usize,
    targets: Vec<i64>,
}

/// Program numbers in a session of [`Model::session`].
const TRAINING: usize = 0;
const EVALUATION: usize = 1;

impl Model {
    fn tensors(&self) -> BTreeMap<String, NamedTensor> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models");
        let bytes = fs::read(file.join(format!("{}.safetensors", self.file))).unwrap();
        tensors(&bytes).into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
    }

    fn session(&self, image: &[usize]) -> Box<dyn Session> {
        let &[batch, channels, height, width] = image else { panic!("{image:?} is no batch of images") };
        let request = BackboneRequest { batch, channels, height, width };
        let backbone = plugins().backbone(&self.backbone, &self.backbone_options).unwrap();
        let backbone = backbone.record(&request).unwrap();
        let request = HeadRequest { batch, features: self.features, classes: self.classes };
        let head = plugins().head(&self.head, &self.head_options).unwrap().record(&request).unwrap();
        let request = LossRequest { batch, classes: self.classes, class_counts: vec![1; self.classes] };
        let loss = plugins().loss("cross-entropy", &Map::new()).unwrap().record(&request).unwrap();
        let mut session = plugins().backend("flex", &Map::new()).unwrap().open_session(OPTIMIZER).unwrap();
        assert_eq!(session.load(&[&backbone, &head, &loss]).unwrap(), TRAINING);
        assert_eq!(session.load(&[&backbone, &head]).unwrap(), EVALUATION);
        session
    }
}

/// Equal up to a share of the largest expected value.
fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let scale = expected.iter().fold(0f32, |scale, value| scale.max(value.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * scale, "{what}: {found}, not {expected}, of {scale}");
    }
}

#[test]
fn logits_and_every_gradient_are_pytorchs() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/models.json")).unwrap();
    for model in &golden.models {
        let golden = model.tensors();
        let images = &golden["images"];
        let mut session = model.session(&images.shape);
        let below = |folder: &str| -> Vec<NamedTensor> {
            let named = golden.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(folder)?, tensor)));
            named.map(|(name, tensor)| NamedTensor { name: name.into(), ..tensor.clone() }).collect()
        };
        session.import(TensorKind::Parameters, &to_bytes(&below("parameter/"))).unwrap();
        let weights = &golden["class_weights"];
        let view = |name, shape, data| TensorView { name, shape, data };
        let inputs = [
            view("images", &images.shape[..], TensorData::F32(&images.values)),
            view("targets", &images.shape[..1], TensorData::I64(&model.targets)),
            view("class_weights", &weights.shape[..], TensorData::F32(&weights.values)),
        ];
        let mut logits = vec![f32::NAN; model.targets.len() * model.classes];
        session.forward(EVALUATION, &inputs[..1], &mut [("logits", &mut logits)]).unwrap();
        assert_near(&logits, &golden["evaluated"].values, 1e-4, &format!("{}: logits", model.file));

        let found = tensors(&session.gradients(TRAINING, &inputs).unwrap());
        let found: BTreeMap<&str, &NamedTensor> = found.iter().map(|t| (t.name.as_str(), t)).collect();
        assert_near(&found["loss"].values, &golden["loss"].values, 1e-4, &format!("{}: loss", model.file));
        // Where PyTorch's own f32 is further off than that, it is the measure.
        let tolerance = (2.0 * model.f32_error).max(1e-4);
        let expected = below("gradient/");
        assert_eq!(found.len(), expected.len() + 1, "{}", model.file);
        for expected in expected {
            let what = format!("{}: gradient of {}", model.file, expected.name);
            assert_near(&found[expected.name.as_str()].values, &expected.values, tolerance, &what);
        }
    }
}

/// Trainable values with a linear head, and multiply–adds for one image, in the units of the papers.
fn check_size(backbone: &str, options: Value, image: [usize; 3], classes: usize, size: usize, cost: f64) {
    let Value::Object(options) = options else { panic!("{options} is no table") };
    let [channels, height, width] = image;
    let request = BackboneRequest { batch: 1, channels, height, width };
    let program = plugins().backbone(backbone, &options).unwrap().record(&request).unwrap();
    let features = program.header.output("embedding").unwrap().shape[1];
    let request = HeadRequest { batch: 1, features, classes };
    let head = plugins().head("linear", &Map::new()).unwrap().record(&request).unwrap();
    let sum = |count: fn(&Program) -> usize| count(&program) + count(&head);
    assert_eq!(sum(|program| program.header.trainable_values()), size, "{backbone} {options:?}");
    let found = sum(|program| program.header.multiply_adds as usize) as f64;
    assert!(
        (found / cost - 1.0).abs() < 0.01,
        "{backbone} {options:?}: {found:e} multiply–adds, not {cost:e}"
    );
}

#[test]
fn sizes_are_those_of_the_papers() {
    const CIFAR: [usize; 3] = [3, 32, 32];
    const PHOTOGRAPH: [usize; 3] = [3, 224, 224];
    let resnet = |depth, size, cost| check_size("resnet", json!({"depth": depth}), CIFAR, 10, size, cost);
    // 0.27, 0.46, 0.66, 0.85 and 1.7 million in table 6 of He et al.; exactly so in their PyTorch code.
    resnet(20, 269_722, 40.55e6);
    resnet(32, 464_154, 68.86e6);
    resnet(44, 658_586, 97.17e6);
    resnet(56, 853_018, 125.49e6);
    resnet(110, 1_727_962, 252.9e6);
    check_size("resnet", json!({"depth": 20, "shortcut": "B"}), CIFAR, 10, 272_474, 40.81e6);
    let photographs = |depth, size, cost| {
        check_size("resnet-imagenet", json!({"depth": depth}), PHOTOGRAPH, 1000, size, cost);
    };
    // Exactly those of torchvision.
    photographs(18, 11_689_512, 1.814e9);
    photographs(34, 21_797_672, 3.664e9);
    photographs(50, 25_557_032, 4.089e9);
    let wide = |depth, widen, size, cost| {
        check_size("wide-resnet", json!({"depth": depth, "widen": widen}), CIFAR, 10, size, cost);
    };
    // 36.5 and 8.9 million in tables 5 and 4 of Zagoruyko and Komodakis.
    wide(28, 10, 36_479_194, 5.248e9);
    wide(40, 4, 8_949_210, 1.299e9);
    // 0.8 million in table 2 of Huang et al.
    check_size("densenet", json!({"depth": 100, "growth": 12}), CIFAR, 10, 769_162, 0.288e9);
}

#[test]
fn dropout_is_there_in_training_and_gone_in_evaluation() {
    let options = |dropout: f64| -> Map<String, Value> {
        let values =
            [("depth", json!(10)), ("widen", json!(1)), ("width", json!(4)), ("dropout", json!(dropout))];
        values.into_iter().map(|(name, value)| (name.into(), value)).collect()
    };
    let request = BackboneRequest { batch: 4, channels: 1, height: 8, width: 8 };
    let (mut losses, mut logits) = (Vec::new(), Vec::new());
    for share in [0.0, 0.5, 0.5] {
        let model = Model {
            file: String::new(),
            f32_error: 0.0,
            backbone: "wide-resnet".into(),
            backbone_options: options(share),
            head: "linear".into(),
            head_options: Map::new(),
            features: 16,
            classes: 3,
            targets: vec![0, 1, 2, 0],
        };
        let shape = [4, 1, 8, 8];
        let mut session = model.session(&shape);
        let backbone = plugins().backbone("wide-resnet", &model.backbone_options).unwrap();
        let head = HeadRequest { batch: 4, features: 16, classes: 3 };
        let head = plugins().head("linear", &Map::new()).unwrap().initialize(&head, Seed(1)).unwrap();
        let values = [tensors(&backbone.initialize(&request, Seed(1)).unwrap()), tensors(&head)].concat();
        session.import(TensorKind::Parameters, &to_bytes(&values)).unwrap();
        let images: Vec<f32> = (0..256u16).map(|pixel| f32::from(pixel % 37) / 18.0 - 1.0).collect();
        let inputs = [
            TensorView { name: "images", shape: &shape, data: TensorData::F32(&images) },
            TensorView { name: "targets", shape: &[4], data: TensorData::I64(&model.targets) },
            TensorView { name: "class_weights", shape: &[3], data: TensorData::F32(&[1.0; 3]) },
        ];
        let mut evaluated = vec![f32::NAN; 12];
        session.forward(EVALUATION, &inputs[..1], &mut [("logits", &mut evaluated)]).unwrap();
        logits.push(evaluated);
        // A rate of 0 leaves the parameters, so that what changes from step to step is the mask.
        for _ in 0..2 {
            session.step(TRAINING, &inputs, 0.0).unwrap();
        }
        losses.push(session.losses().unwrap());
    }
    assert_eq!(logits[0], logits[1]);
    assert_eq!(losses[0][0], losses[0][1]);
    assert_ne!(losses[1][0], losses[0][0]);
    assert_ne!(losses[1][0], losses[1][1]);
    assert_eq!(losses[1], losses[2]);
}
