//! Every backbone with every head, loss and class weighting trains and evaluates, or is refused before training.

use std::collections::BTreeMap;

use expanse_domain::{ClassCounts, Seed};
use expanse_host::{Kind, TensorKind};
use expanse_imbalance::ClassWeighting;
use expanse_program::{
    BackboneRequest, HeadRequest, LossRequest, Method, Optimizer, Program, TensorData, TensorView,
    check_chain, mixture,
};
use expanse_tests::{
    model::{OPTIMIZER, tensors, to_bytes},
    plugins, small,
};
use serde_json::{Map, Value, json};

const BATCH: usize = 4;
/// Rows and columns of an image, as few as every backbone takes.
const SIDE: usize = 33;
const COUNTS: [u64; 3] = [100, 10, 1];

/// Options that make a backbone small; what is not named here is tried as it is.
fn small(backbone: &str) -> Map<String, Value> {
    let options = match backbone {
        "resnet" => json!({"depth": 8, "width": 2}),
        "resnet-imagenet" => json!({"depth": 18, "width": 2}),
        "wide-resnet" => json!({"depth": 10, "widen": 1, "width": 2, "dropout": 0.1}),
        "densenet" => json!({"depth": 10, "growth": 2}),
        _ => json!({}),
    };
    options.as_object().cloned().unwrap_or_default()
}

fn named(kind: Kind) -> Vec<String> {
    let found = plugins().list().into_iter().filter(|found| found.kind == kind);
    found.map(|found| found.name.replace('_', "-")).collect()
}

#[test]
fn every_combination_trains_and_evaluates_or_is_refused_before() {
    let (mut trained, mut refused, mut met) = (0, Vec::new(), BTreeMap::new());
    let backend = plugins().backend("flex", &Map::new()).unwrap();
    let images: Vec<f32> = (0..BATCH * 3 * SIDE * SIDE).map(|at| (at % 61) as f32 / 30.0 - 1.0).collect();
    let request = BackboneRequest { batch: BATCH, channels: 3, height: SIDE, width: SIDE };
    for backbone_name in named(Kind::Backbone) {
        let backbone = plugins().backbone(&backbone_name, &small(&backbone_name)).unwrap();
        let program = backbone.record(&request).unwrap();
        let values = tensors(&backbone.initialize(&request, Seed(1)).unwrap());
        let features = program.header.output("embedding").unwrap().shape[1];
        for head_name in named(Kind::Head) {
            let request = HeadRequest { batch: BATCH, features, classes: COUNTS.len() };
            let head = plugins().head(&head_name, &Map::new()).unwrap();
            let values = [values.clone(), tensors(&head.initialize(&request, Seed(1)).unwrap())].concat();
            let head = head.record(&request).unwrap();
            for loss_name in named(Kind::Loss) {
                let request =
                    LossRequest { batch: BATCH, classes: COUNTS.len(), class_counts: COUNTS.to_vec() };
                let loss = plugins().loss(&loss_name, &Map::new()).unwrap().record(&request).unwrap();
                let programs: [&Program; 3] = [&program, &head, &loss];
                if let Err(error) = check_chain(&programs.map(|program| &program.header)) {
                    let mut session = backend.open_session(OPTIMIZER).unwrap();
                    session.load(&programs).unwrap_err();
                    refused.push((head_name.clone(), loss_name.clone(), error.to_string()));
                    continue;
                }
                for weighting in ClassWeighting::NAMES {
                    let what = format!("{backbone_name} × {head_name} × {loss_name} × {weighting}");
                    let weighting: ClassWeighting = weighting.parse().unwrap();
                    let weights = weighting.weights(&ClassCounts::new(COUNTS.to_vec())).unwrap();
                    let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();
                    // Sparsely, but each loss meets every optimiser, and after a while with clipping and mixed.
                    let tries: &mut usize = met.entry(loss_name.clone()).or_default();
                    let method = Method::ALL[*tries % Method::ALL.len()];
                    let clip_norm = (*tries / Method::ALL.len() % 2 == 1).then_some(1.0);
                    let mixed = *tries / (2 * Method::ALL.len()) % 2 == 1;
                    *tries += 1;
                    let what = format!("{what} × {method} × clip_norm {clip_norm:?} × mixup {mixed}");
                    let optimizer = Optimizer { method, clip_norm, ..OPTIMIZER };
                    let mut session = backend.open_session(optimizer).unwrap();
                    let training = match mixed {
                        false => session.load(&programs).unwrap(),
                        true => {
                            let [targets, partners, mix] = mixture(loss.clone());
                            session.load(&[&program, &head, &targets, &partners, &mix]).unwrap()
                        }
                    };
                    let evaluation = session.load(&programs[..2]).unwrap();
                    session.import(TensorKind::Parameters, &to_bytes(&values)).unwrap();
                    let inputs = [
                        TensorView {
                            name: "images",
                            shape: &[BATCH, 3, SIDE, SIDE],
                            data: TensorData::F32(&images),
                        },
                        TensorView { name: "targets", shape: &[BATCH], data: TensorData::I64(&[0, 1, 2, 0]) },
                        TensorView {
                            name: "partners",
                            shape: &[BATCH],
                            data: TensorData::I64(&[1, 0, 2, 2]),
                        },
                        TensorView { name: "share", shape: &[1], data: TensorData::F32(&[0.7]) },
                        TensorView { name: "rest", shape: &[1], data: TensorData::F32(&[0.3]) },
                        TensorView {
                            name: "class_weights",
                            shape: &[COUNTS.len()],
                            data: TensorData::F32(&weights),
                        },
                    ];
                    let mut logits = [f32::NAN; BATCH * COUNTS.len()];
                    let mut evaluate = |session: &mut dyn expanse_host::Session| {
                        session.forward(evaluation, &inputs[..1], &mut [("logits", &mut logits)]).unwrap();
                        logits
                    };
                    let before = evaluate(&mut *session);
                    session.step(training, &inputs, 0.01).unwrap();
                    let after = evaluate(&mut *session);
                    assert!(session.losses().unwrap()[0].is_finite(), "{what}");
                    assert!(after.iter().all(|logit| logit.is_finite()) && before != after, "{what}");
                    trained += 1;
                }
            }
        }
    }
    // The margins of `ldam` are of cosines, so it takes the head that gives them and no other.
    assert!(trained > 0 && !refused.is_empty());
    let few = met.iter().find(|(_, tries)| **tries < 3 * Method::ALL.len());
    assert_eq!(few, None, "did not meet every optimiser, with clipping and mixed");
    for (head, loss, why) in refused {
        assert_eq!(loss, "ldam", "with head {head}: {why}");
        assert_ne!(head, "cosine", "{why}");
        assert!(why.contains("use the head `cosine`"), "{why}");
    }
}

/// Whole runs: every loss, optimiser, decay and weighting at least once, in pairs that change from run to run.
#[test]
fn runs_train_with_every_loss_optimizer_and_schedule() {
    for (at, loss) in named(Kind::Loss).into_iter().enumerate() {
        let method = Method::ALL[at % Method::ALL.len()];
        let other = Method::ALL[(at + 1) % Method::ALL.len()];
        let rate = |method: Method| if method.has_squares() { 0.001 } else { 0.05 };
        let pick = |choices: &[&str], by: usize| choices[at / by % choices.len()].to_owned();
        let mut set = vec![
            format!("loss.plugin={loss}"),
            format!("train.optimizer={method}"),
            format!("train.learning_rate={}", rate(method)),
            format!("train.decay={}", pick(&["cosine", "step"], 1)),
            format!("train.clip_norm={}", pick(&["0", "1"], 2)),
            format!("train.mixup={}", pick(&["0.4", "0"], 1)),
            format!("train.class_weighting={}", pick(&["effective-number", "inverse"], 1)),
            format!("train.class_weighting_from={}", pick(&["0.5", "0"], 2)),
            format!("finetune.optimizer={other}"),
            format!("finetune.learning_rate={}", rate(other)),
            format!("finetune.decay={}", pick(&["step", "cosine"], 1)),
        ];
        if loss == "ldam" {
            set.push("head.plugin=cosine".into());
        }
        let runs = tempfile::tempdir().unwrap();
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let output = small::command(runs.path(), &set).output().unwrap();
        assert!(output.status.success(), "{set:?}: {}", String::from_utf8_lossy(&output.stderr));
        let metrics: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(metrics["train"]["trained"], 2, "{set:?}");
        assert!(metrics["three_phase"]["bac"].as_f64().unwrap() > 0.0, "{set:?}");
    }
}
