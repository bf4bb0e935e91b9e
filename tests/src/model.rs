//! The shipped model as its plugins record it, and batches of pseudo-random images for it.

use expanse_domain::Seed;
use expanse_host::{Backbone, HostError, Session, TensorKind};
use expanse_program::{
    BackboneRequest, HeadRequest, LossRequest, NamedTensor, Optimizer, Program, TensorData, TensorView,
    tensors_from_bytes, tensors_to_bytes,
};
use serde_json::{Map, Value};

use crate::plugins;

/// The optimiser that the model is trained with.
pub const OPTIMIZER: Optimizer = Optimizer::sgd(0.9, 2e-4);
/// The learning rate that the model is trained with.
pub const LEARNING_RATE: f64 = 0.1;

/// A classifier: backbone `resnet` or `wide-resnet`, head `linear`, loss `cross-entropy`.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Depth of the backbone: 6n + 2, or 6n + 4 of a Wide ResNet.
    pub depth: usize,
    /// Factor of the channels of a Wide ResNet.
    pub widen: Option<usize>,
    /// Channels, height and width of an image.
    pub image: [usize; 3],
    /// Images in a batch.
    pub batch: usize,
    /// Number of classes.
    pub classes: usize,
}

/// Backbone, head and loss, recorded for one size of batch.
pub struct Programs {
    /// `images → embedding`.
    pub backbone: Program,
    /// `embedding → logits`.
    pub head: Program,
    /// `logits, targets, class_weights → loss`.
    pub loss: Program,
}

/// One batch with everything that the loss needs.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Values of the images, `image_shape`.
    pub images: Vec<f32>,
    /// Class of each image.
    pub targets: Vec<i64>,
    /// Weight of each class.
    pub class_weights: Vec<f32>,
    /// Batch, channels, height, width.
    pub image_shape: [usize; 4],
    target_shape: [usize; 1],
    class_shape: [usize; 1],
}

impl Model {
    /// The three programs for this size of batch.
    pub fn record(&self) -> Result<Programs, HostError> {
        let (backbone, head) = self.requests();
        let loss =
            LossRequest { batch: self.batch, classes: self.classes, class_counts: vec![1; self.classes] };
        Ok(Programs {
            backbone: self.backbone()?.record(&backbone)?,
            head: plugins().head("linear", &Map::new())?.record(&head)?,
            loss: plugins().loss("cross-entropy", &Map::new())?.record(&loss)?,
        })
    }

    /// The first values of all parameters, as safetensors.
    pub fn initialize(&self, seed: Seed) -> Result<Vec<u8>, HostError> {
        let (backbone, head) = self.requests();
        let backbone = self.backbone()?.initialize(&backbone, seed)?;
        let head = plugins().head("linear", &Map::new())?.initialize(&head, seed)?;
        Ok(to_bytes(&[tensors(&backbone), tensors(&head)].concat()))
    }

    /// A session on backend `flex` with the model loaded and initialised; its programs are
    /// [`TRAINING`] and [`EVALUATION`].
    pub fn session(&self, seed: Seed) -> Result<Box<dyn Session>, HostError> {
        let mut session = self.empty_session()?;
        session.import(TensorKind::Parameters, &self.initialize(seed)?)?;
        Ok(session)
    }

    /// As [`session`](Self::session), without values of the parameters.
    pub fn empty_session(&self) -> Result<Box<dyn Session>, HostError> {
        let Programs { backbone, head, loss } = self.record()?;
        let mut session = plugins().backend("flex", &Map::new())?.open_session(OPTIMIZER)?;
        assert_eq!(session.load(&[&backbone, &head, &loss])?, TRAINING);
        assert_eq!(session.load(&[&backbone, &head])?, EVALUATION);
        Ok(session)
    }

    /// A batch of images with values uniform in [−1, 1).
    pub fn batch(&self, seed: Seed) -> Batch {
        let [channels, height, width] = self.image;
        let mut rng = seed.derive("batch", &[]).rng();
        let mut draw = |count: usize| (0..count).map(|_| 2.0 * rng.unit_f32() - 1.0).collect::<Vec<_>>();
        let images = draw(self.batch * channels * height * width);
        let class_weights = draw(self.classes).into_iter().map(|value| value + 1.5).collect();
        let mut targets = seed.derive("targets", &[]).rng();
        Batch {
            images,
            targets: (0..self.batch).map(|_| targets.index(self.classes) as i64).collect(),
            class_weights,
            image_shape: [self.batch, channels, height, width],
            target_shape: [self.batch],
            class_shape: [self.classes],
        }
    }

    /// The logits of a batch in the evaluation form.
    pub fn logits(&self, session: &mut dyn Session, batch: &Batch) -> Result<Vec<f32>, HostError> {
        let mut logits = vec![f32::NAN; self.batch * self.classes];
        session.forward(EVALUATION, &batch.inputs()[..1], &mut [("logits", &mut logits)])?;
        Ok(logits)
    }

    /// What backbone and head are recorded for.
    pub fn requests(&self) -> (BackboneRequest, HeadRequest) {
        let Self { batch, classes, image: [channels, height, width], .. } = *self;
        let features = 64 * self.widen.unwrap_or(1);
        (BackboneRequest { batch, channels, height, width }, HeadRequest { batch, features, classes })
    }

    fn backbone(&self) -> Result<Box<Backbone>, HostError> {
        let mut options: Map<String, Value> = [("depth".to_owned(), self.depth.into())].into_iter().collect();
        let Some(widen) = self.widen else { return plugins().backbone("resnet", &options) };
        options.insert("widen".into(), widen.into());
        plugins().backbone("wide-resnet", &options)
    }
}

/// Number of the program with the loss in a session of [`Model::session`].
pub const TRAINING: usize = 0;
/// Number of the program without the loss.
pub const EVALUATION: usize = 1;

impl Batch {
    /// The batch as a session takes it, the images first.
    pub fn inputs(&self) -> [TensorView<'_>; 3] {
        let view = |name, shape, data| TensorView { name, shape, data };
        [
            view("images", &self.image_shape, TensorData::F32(&self.images)),
            view("targets", &self.target_shape, TensorData::I64(&self.targets)),
            view("class_weights", &self.class_shape, TensorData::F32(&self.class_weights)),
        ]
    }
}

/// The tensors of safetensors bytes that a plugin has written, sorted by name.
///
/// # Panics
///
/// If they are none.
pub fn tensors(bytes: &[u8]) -> Vec<NamedTensor> {
    tensors_from_bytes(bytes).expect("plugins write safetensors")
}

/// Tensors as safetensors.
///
/// # Panics
///
/// If a name occurs twice or a shape does not fit.
pub fn to_bytes(tensors: &[NamedTensor]) -> Vec<u8> {
    tensors_to_bytes(tensors).expect("names and shapes fit")
}
