//! Images that stay on the device, against the same images sent with every batch.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use burn_flex::{Flex, FlexDevice};
use expanse_domain::Seed;
use expanse_engine::{EngineError, Kind, Limit, Parallel, Running, Session};
use expanse_program::{NamedTensor, TensorData, TensorView};
use expanse_tests::model::{Model, OPTIMIZER, Programs, TRAINING, to_bytes};

const SEED: Seed = Seed(21);
const MODEL: Model = Model { depth: 8, image: [3, 16, 16], batch: 6, classes: 10, widen: None };
const CHANNELS: usize = MODEL.image[0];
const HEIGHT: usize = MODEL.image[1];
const WIDTH: usize = MODEL.image[2];
/// Images that stay, with one row and one column more.
const KEPT: usize = 10;
const PLANE: [usize; 2] = [HEIGHT + 1, WIDTH + 1];

fn one() -> Session<Flex> {
    Session::new(FlexDevice, OPTIMIZER)
}

fn loaded(mut session: Box<dyn Running>, batch: usize) -> Box<dyn Running> {
    let model = Model { batch, ..MODEL };
    let Programs { backbone, head, loss } = model.record().unwrap();
    assert_eq!(session.load(&[backbone, head, loss]).unwrap(), TRAINING);
    session.import(Kind::Parameters, &model.initialize(SEED).unwrap()).unwrap();
    session
}

fn kept() -> Vec<f32> {
    let mut rng = SEED.derive("kept", &[]).rng();
    (0..KEPT * CHANNELS * PLANE[0] * PLANE[1]).map(|_| 2.0 * rng.unit_f32() - 1.0).collect()
}

/// Some of the images, as a session takes them.
fn piece(channels: usize, images: Range<usize>) -> Vec<u8> {
    let size = channels * PLANE[0] * PLANE[1];
    let values = kept()[images.start * size..images.end * size].to_vec();
    let shape = vec![images.len(), channels, PLANE[0], PLANE[1]];
    to_bytes(&[NamedTensor { name: "images".into(), shape, values }])
}

fn keep(session: &mut dyn Running) {
    for images in [0..3, 3..4, 4..KEPT] {
        session.import(Kind::Kept, &piece(CHANNELS, images)).unwrap();
    }
}

/// What a batch picks, and the images that it picks.
struct Picked {
    rows: Vec<i64>,
    ys: Vec<i64>,
    xs: Vec<i64>,
    images: Vec<f32>,
}

impl Picked {
    fn new(number: u64) -> Self {
        let mut rng = SEED.derive("picks", &[number]).rng();
        let mut draw =
            |count: usize, below: usize| (0..count).map(|_| rng.index(below) as i64).collect::<Vec<_>>();
        let rows = draw(MODEL.batch, KEPT);
        let (ys, xs) = (draw(MODEL.batch * HEIGHT, PLANE[0]), draw(MODEL.batch * WIDTH, PLANE[1]));
        let (kept, mut images) = (kept(), Vec::new());
        for image in 0..MODEL.batch {
            for channel in 0..CHANNELS {
                for y in 0..HEIGHT {
                    let line = (rows[image] as usize * CHANNELS + channel) * PLANE[0]
                        + ys[image * HEIGHT + y] as usize;
                    let columns = &xs[image * WIDTH..][..WIDTH];
                    images.extend(columns.iter().map(|x| kept[line * PLANE[1] + *x as usize]));
                }
            }
        }
        Self { rows, ys, xs, images }
    }

    fn views(&self) -> [TensorView<'_>; 3] {
        let view = |name, shape, places| TensorView { name, shape, data: TensorData::I64(places) };
        [
            view("images.rows", &[MODEL.batch], &self.rows),
            view("images.ys", &[MODEL.batch, HEIGHT], &self.ys),
            view("images.xs", &[MODEL.batch, WIDTH], &self.xs),
        ]
    }
}

/// Inputs with what is picked, and with the same images.
fn with_inputs<T>(picked: &Picked, mut work: impl FnMut(&[TensorView<'_>]) -> T) -> [T; 2] {
    let mut batch = MODEL.batch(SEED);
    batch.images.clone_from(&picked.images);
    let sent = batch.inputs();
    let others = sent.iter().copied().filter(|view| view.name != "images");
    let picks: Vec<_> = others.chain(picked.views()).collect();
    [work(&picks), work(&sent)]
}

/// Parameters, optimiser state and losses after some steps, the images of which are kept or sent.
fn trained(mut session: Box<dyn Running>, kept: bool) -> (Vec<Vec<u8>>, Vec<f32>) {
    if kept {
        keep(&mut *session);
    }
    for number in 0..4 {
        let mut turn = [true, false].into_iter();
        with_inputs(&Picked::new(number), |inputs| {
            if turn.next() == Some(kept) {
                session.step(TRAINING, inputs, 0.05).unwrap();
            }
        });
    }
    let state = [Kind::Parameters, Kind::Optimizer].map(|kind| session.export(kind).unwrap());
    (state.to_vec(), session.losses().unwrap())
}

#[test]
fn steps_on_picked_images_leave_the_bytes_of_steps_on_the_same_images() {
    let session = || loaded(Box::new(one()), MODEL.batch);
    let expected = trained(session(), false);
    assert!(trained(session(), true) == expected);
    assert!(expected.1[3] != expected.1[0], "nothing is trained");
}

#[test]
fn devices_that_share_a_batch_each_pick_their_part() {
    let session = || loaded(Box::new(Parallel::new(one(), [one(), one()]).unwrap()), MODEL.batch / 3);
    assert!(trained(session(), true) == trained(session(), false));
}

#[test]
fn what_is_kept_comes_back_and_is_no_parameter() {
    let mut session = loaded(Box::new(one()), MODEL.batch);
    let parameters = session.export(Kind::Parameters).unwrap();
    keep(&mut *session);
    assert!(session.export(Kind::Kept).unwrap() == piece(CHANNELS, 0..KEPT));
    assert!(session.export(Kind::Parameters).unwrap() == parameters);
    // An image that is sent is taken before one that is kept.
    let [picked, sent] = with_inputs(&Picked::new(0), |inputs| session.gradients(TRAINING, inputs).unwrap());
    assert!(picked == sent);
}

#[test]
fn what_cannot_be_kept_or_picked_is_told() {
    let mut session = loaded(Box::new(one()), MODEL.batch);
    let told = |answer: Result<Vec<u8>, EngineError>| answer.unwrap_err().to_string();
    let pick = |session: &mut dyn Running, picked: Picked| {
        let [answer, _] = with_inputs(&picked, |inputs| session.gradients(TRAINING, inputs));
        told(answer)
    };
    let missing = pick(&mut *session, Picked::new(0));
    assert!(missing.contains("needs `images`, which is not among the inputs given"), "{missing}");

    keep(&mut *session);
    let shape = session.import(Kind::Kept, &piece(CHANNELS - 1, 0..2)).unwrap_err().to_string();
    assert!(shape.contains("tensor `images` is [2, 2, 17, 17], expected [10, 3, 17, 17]"), "{shape}");
    let mut picked = Picked::new(0);
    picked.rows[2] = KEPT as i64;
    assert_eq!(pick(&mut *session, picked), "`images.rows` names place 10, and there are 10");
    let mut picked = Picked::new(0);
    picked.xs[7] = -1;
    assert_eq!(pick(&mut *session, picked), "`images.xs` names place -1, and there are 17");
    let mut picked = Picked::new(0);
    picked.ys.pop();
    let wrong = pick(&mut *session, picked);
    assert!(wrong.contains("input `images.ys` is I64 of [6, 16], 95 values"), "{wrong}");
    // What it refused has changed nothing.
    let [picked, sent] = with_inputs(&Picked::new(0), |inputs| session.gradients(TRAINING, inputs).unwrap());
    assert!(picked == sent);

    let mut narrow = loaded(Box::new(one()), MODEL.batch);
    narrow.import(Kind::Kept, &piece(1, 0..4)).unwrap();
    let wrong = pick(&mut *narrow, Picked::new(0));
    assert!(wrong.contains("tensor `images` is [4, 1, 17, 17], expected [6, 3, 16, 16]"), "{wrong}");
}

#[test]
fn more_memory_than_the_limit_ends_the_call_that_took_it() {
    let asked = AtomicU64::new(0);
    // A MiB more each time: for the parameters, the first step and the second.
    let taken = Box::new(move || (asked.fetch_add(1, Ordering::Relaxed) + 1) << 20);
    let session = one().with_limit(Some(Limit { bytes: (3 << 20) - 1, taken }));
    let (mut session, batch) = (loaded(Box::new(session), MODEL.batch), MODEL.batch(SEED));
    session.step(TRAINING, &batch.inputs(), 0.1).unwrap();
    assert_eq!(
        session.step(TRAINING, &batch.inputs(), 0.1).unwrap_err().to_string(),
        "3 MiB of the device's memory are taken, and the limit is 2 MiB; use smaller batches, or raise the limit"
    );
}
