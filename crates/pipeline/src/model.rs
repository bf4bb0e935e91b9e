//! A model in a session: programs recorded as they are needed, for each size of batch.

use std::collections::{BTreeMap, HashMap};

use expanse_checkpoint::usual_name;
use expanse_data::{ImageSet, ImageShape, Normalization, Picks, bordered_bytes, write_batch, write_bordered};
use expanse_domain::{ClassCounts, Matrix, MatrixView, Seed};
use expanse_host::{Backbone, Backend, Device, Head, Loss, Session, TensorKind};
use expanse_metrics::{Scores, scores, softmax};
use expanse_program::{
    BackboneRequest, HeadRequest, LossRequest, NamedTensor, Optimizer, Parameter, Program, TensorData,
    TensorView, mixture, tensors_to_bytes,
};

use crate::{Components, PipelineError, Prepared, kept::Images, mixup::Mixture};

/// Images or embeddings in one batch of evaluation.
const EVALUATION_BATCH: usize = 200;
/// Bytes of images that go to the device at a time.
const PIECE: u64 = 64 << 20;

/// The parts of a model.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub backbone: &'a Backbone,
    pub head: &'a Head,
    pub loss: &'a Loss,
    /// Channels, rows and columns of an image.
    pub image: [usize; 3],
    /// Length of an embedding.
    pub features: usize,
    /// Training samples of each class, for the loss.
    pub class_counts: &'a [u64],
}

/// What a program computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    /// Images to loss.
    TrainModel,
    /// Images to the loss by two labels.
    TrainMixed,
    /// Embeddings to loss.
    TrainHead,
    /// Images to embeddings and logits.
    Predict,
}

/// Parts with a session.
pub(crate) struct Model<'a> {
    parts: Parts<'a>,
    session: Box<dyn Session>,
    programs: HashMap<(Role, usize), usize>,
    device: Device,
}

impl<'a> Parts<'a> {
    /// The parts of the model, with the length of its embeddings.
    pub fn of(data: &'a Prepared, components: &'a Components) -> Result<Self, PipelineError> {
        Self::new(data.train.shape, data.counts.as_slice(), components)
    }

    /// As [`of`](Self::of), for images of that shape and so many training samples of each class.
    pub fn new(
        shape: ImageShape,
        class_counts: &'a [u64],
        components: &'a Components,
    ) -> Result<Self, PipelineError> {
        let mut parts = Self {
            backbone: &*components.backbone,
            head: &*components.head,
            loss: &*components.loss,
            image: [shape.channels, shape.height, shape.width],
            features: 0,
            class_counts,
        };
        let backbone = parts.backbone.record(&parts.backbone_request(1))?;
        let embedding = backbone.header.output("embedding").and_then(|port| port.shape.get(1));
        parts.features = *embedding.ok_or_else(|| PipelineError::NoPort {
            program: backbone.header.source.clone(),
            port: "embedding",
        })?;
        Ok(parts)
    }

    pub fn backbone_request(&self, batch: usize) -> BackboneRequest {
        let [channels, height, width] = self.image;
        BackboneRequest { batch, channels, height, width }
    }

    pub fn head_request(&self, batch: usize) -> HeadRequest {
        HeadRequest { batch, features: self.features, classes: self.class_counts.len() }
    }

    fn loss_request(&self, batch: usize) -> LossRequest {
        LossRequest { batch, classes: self.class_counts.len(), class_counts: self.class_counts.to_vec() }
    }

    fn programs(&self, role: Role, batch: usize) -> Result<Vec<Program>, PipelineError> {
        let mut programs = Vec::new();
        if role != Role::TrainHead {
            programs.push(self.backbone.record(&self.backbone_request(batch))?);
        }
        programs.push(self.head.record(&self.head_request(batch))?);
        match role {
            Role::Predict => {}
            Role::TrainMixed => programs.extend(mixture(self.loss.record(&self.loss_request(batch))?)),
            Role::TrainModel | Role::TrainHead => {
                programs.push(self.loss.record(&self.loss_request(batch))?);
            }
        }
        Ok(programs)
    }

    /// Multiplications with an addition for the logits of one image.
    pub fn multiply_adds(&self) -> Result<u64, PipelineError> {
        let programs = self.programs(Role::Predict, 1)?;
        Ok(programs.iter().map(|program| program.header.multiply_adds).sum())
    }

    /// What backbone and head keep, and the names that PyTorch's common implementation has for parts of theirs.
    pub fn parameters(&self) -> Result<(Vec<Parameter>, BTreeMap<String, String>), PipelineError> {
        let programs = self.programs(Role::Predict, 1)?;
        let headers = || programs.iter().map(|program| &program.header);
        let usual_names = headers().flat_map(|header| header.usual_names.clone()).collect();
        let parameters: Vec<_> = headers().flat_map(|header| header.parameters.clone()).collect();
        let mut seen = BTreeMap::new();
        for Parameter { name, .. } in &parameters {
            let usual = usual_name(name, &usual_names);
            if let Some(first) = seen.insert(usual.clone(), name) {
                let (first, second) = (first.clone(), name.clone());
                return Err(PipelineError::UsualNames { first, second, usual });
            }
        }
        Ok((parameters, usual_names))
    }

    /// The whole model's programs for a small batch, to look at before anything runs.
    pub fn sample_programs(&self) -> Result<Vec<Program>, PipelineError> {
        self.programs(Role::TrainModel, 2)
    }

    /// The same with a loss by two labels.
    pub fn mixed_sample_programs(&self) -> Result<Vec<Program>, PipelineError> {
        self.programs(Role::TrainMixed, 2)
    }
}

impl<'a> Model<'a> {
    pub fn new(parts: Parts<'a>, backend: &dyn Backend, optimizer: Optimizer) -> Result<Self, PipelineError> {
        let (session, device) = (backend.open_session(optimizer)?, backend.device()?);
        Ok(Self { parts, session, programs: HashMap::new(), device })
    }

    /// The devices that share every batch that can be divided among them.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The program for a batch, or for the part of it that each device has. A batch without equal parts is left to the
    /// first device.
    fn program(&mut self, role: Role, batch: usize) -> Result<usize, PipelineError> {
        let devices = self.device.devices;
        let batch = if batch.is_multiple_of(devices) { batch / devices } else { batch };
        if let Some(&program) = self.programs.get(&(role, batch)) {
            return Ok(program);
        }
        let programs = self.parts.programs(role, batch)?;
        let program = self.session.load(&programs.iter().collect::<Vec<_>>())?;
        self.programs.insert((role, batch), program);
        Ok(program)
    }

    /// Sets all parameters to their first values.
    pub fn initialize(&mut self, seed: Seed) -> Result<(), PipelineError> {
        let Parts { backbone, head, .. } = self.parts;
        let (backbone_request, head_request) = (self.parts.backbone_request(1), self.parts.head_request(1));
        self.import_model(&backbone.initialize(&backbone_request, seed.derive("backbone", &[]))?)?;
        self.import_model(&head.initialize(&head_request, seed.derive("head", &[]))?)
    }

    /// Sets parameters; the programs that have them are loaded first.
    pub fn import_model(&mut self, parameters: &[u8]) -> Result<(), PipelineError> {
        self.program(Role::Predict, EVALUATION_BATCH)?;
        Ok(self.session.import(TensorKind::Parameters, parameters)?)
    }

    /// Sets the state of the optimiser; the parameters are set before.
    pub fn import_optimizer(&mut self, state: &[u8]) -> Result<(), PipelineError> {
        Ok(self.session.import(TensorKind::Optimizer, state)?)
    }

    pub fn optimizer(&self) -> Result<Vec<u8>, PipelineError> {
        Ok(self.session.export(TensorKind::Optimizer)?)
    }

    /// Sets the head's parameters alone.
    pub fn import_head(&mut self, parameters: &[u8], batch: usize) -> Result<(), PipelineError> {
        self.program(Role::TrainHead, batch)?;
        Ok(self.session.import(TensorKind::Parameters, parameters)?)
    }

    pub fn parameters(&self) -> Result<Vec<u8>, PipelineError> {
        Ok(self.session.export(TensorKind::Parameters)?)
    }

    pub fn losses(&mut self) -> Result<Vec<f32>, PipelineError> {
        Ok(self.session.losses()?)
    }

    /// Puts images on the device, from which batches are picked.
    pub fn keep_images(
        &mut self,
        set: &ImageSet,
        normalization: &Normalization,
        mut each_piece: impl FnMut() -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        let images = (PIECE / bordered_bytes(set).div_ceil(set.len() as u64).max(1)).max(1) as usize;
        for from in (0..set.len()).step_by(images) {
            each_piece()?;
            let indices = from..(from + images).min(set.len());
            let (shape, values) = write_bordered(set, indices, normalization);
            let piece = NamedTensor { name: "images".into(), shape: shape.to_vec(), values };
            self.session.import(TensorKind::Kept, &tensors_to_bytes(&[piece])?)?;
        }
        Ok(())
    }

    /// A step on a batch of images.
    pub fn step_images(
        &mut self,
        images: &Images,
        targets: &[i64],
        class_weights: &[f32],
        learning_rate: f64,
    ) -> Result<(), PipelineError> {
        let program = self.program(Role::TrainModel, targets.len())?;
        let [channels, height, width] = self.parts.image;
        let batch = targets.len();
        let (shape, row_shape) = ([batch, channels, height, width], [batch]);
        let (y_shape, x_shape) = ([batch, height], [batch, width]);
        let places = |name, shape, places| TensorView { name, shape, data: TensorData::I64(places) };
        let inputs = match images {
            Images::Sent(pixels) => {
                vec![TensorView { name: "images", shape: &shape, data: TensorData::F32(pixels) }]
            }
            Images::Kept(Picks { rows, ys, xs }) => vec![
                places("images.rows", &row_shape[..], rows),
                places("images.ys", &y_shape[..], ys),
                places("images.xs", &x_shape[..], xs),
            ],
        };
        self.step(program, &inputs, targets, class_weights, learning_rate)
    }

    /// A step on a batch of images that are mixed already, by both labels of each.
    pub fn step_mixed_images(
        &mut self,
        images: &[f32],
        targets: &[i64],
        mixture: &Mixture,
        class_weights: &[f32],
        learning_rate: f64,
    ) -> Result<(), PipelineError> {
        let program = self.program(Role::TrainMixed, targets.len())?;
        let [channels, height, width] = self.parts.image;
        let (shape, batch) = ([targets.len(), channels, height, width], [targets.len()]);
        let partners = mixture.labels(targets);
        let (share, rest) = ([mixture.share], [1.0 - mixture.share]);
        let inputs = [
            TensorView { name: "images", shape: &shape, data: TensorData::F32(images) },
            TensorView { name: "partners", shape: &batch, data: TensorData::I64(&partners) },
            TensorView { name: "share", shape: &[1], data: TensorData::F32(&share) },
            TensorView { name: "rest", shape: &[1], data: TensorData::F32(&rest) },
        ];
        self.step(program, &inputs, targets, class_weights, learning_rate)
    }

    /// A step of the head on a batch of embeddings.
    pub fn step_embeddings(
        &mut self,
        embeddings: &Matrix,
        targets: &[i64],
        class_weights: &[f32],
        learning_rate: f64,
    ) -> Result<(), PipelineError> {
        let program = self.program(Role::TrainHead, targets.len())?;
        let shape = [embeddings.rows(), embeddings.cols()];
        let data = TensorData::F32(embeddings.as_slice());
        let embedding = TensorView { name: "embedding", shape: &shape, data };
        self.step(program, &[embedding], targets, class_weights, learning_rate)
    }

    /// The gradients of the head on a batch of embeddings; nothing moves.
    pub fn head_gradients(
        &mut self,
        embeddings: &Matrix,
        targets: &[i64],
        class_weights: &[f32],
    ) -> Result<Vec<u8>, PipelineError> {
        let program = self.program(Role::TrainHead, targets.len())?;
        let (shape, batch) = ([embeddings.rows(), embeddings.cols()], [targets.len()]);
        let classes = [class_weights.len()];
        let inputs = [
            TensorView { name: "embedding", shape: &shape, data: TensorData::F32(embeddings.as_slice()) },
            TensorView { name: "targets", shape: &batch, data: TensorData::I64(targets) },
            TensorView { name: "class_weights", shape: &classes, data: TensorData::F32(class_weights) },
        ];
        Ok(self.session.gradients(program, &inputs)?)
    }

    fn step(
        &mut self,
        program: usize,
        samples: &[TensorView<'_>],
        targets: &[i64],
        class_weights: &[f32],
        learning_rate: f64,
    ) -> Result<(), PipelineError> {
        let (batch, classes) = ([targets.len()], [class_weights.len()]);
        let targets = TensorView { name: "targets", shape: &batch, data: TensorData::I64(targets) };
        let weights =
            TensorView { name: "class_weights", shape: &classes, data: TensorData::F32(class_weights) };
        let inputs: Vec<TensorView<'_>> = samples.iter().copied().chain([targets, weights]).collect();
        Ok(self.session.step(program, &inputs, learning_rate)?)
    }

    /// Embeddings and logits of all images in their order, not augmented, in evaluation form.
    pub fn predict(
        &mut self,
        set: &ImageSet,
        normalization: &Normalization,
        mut each_batch: impl FnMut() -> Result<(), PipelineError>,
    ) -> Result<(Matrix, Matrix), PipelineError> {
        let (features, classes) = (self.parts.features, self.parts.class_counts.len());
        let mut embeddings = Matrix::zeros(set.len(), features);
        let mut logits = Matrix::zeros(set.len(), classes);
        let [channels, height, width] = self.parts.image;
        let mut pixels = vec![0.0; EVALUATION_BATCH * channels * height * width];
        let indices: Vec<usize> = (0..set.len()).collect();
        for batch in indices.chunks(EVALUATION_BATCH) {
            each_batch()?;
            let program = self.program(Role::Predict, batch.len())?;
            let pixels = &mut pixels[..batch.len() * channels * height * width];
            write_batch(set, batch, normalization, None, pixels);
            let shape = [batch.len(), channels, height, width];
            let images = TensorView { name: "images", shape: &shape, data: TensorData::F32(pixels) };
            let (from, to) = (batch[0], batch[0] + batch.len());
            let embedding = &mut embeddings.as_mut_slice()[from * features..to * features];
            let logit = &mut logits.as_mut_slice()[from * classes..to * classes];
            self.session.forward(program, &[images], &mut [("embedding", embedding), ("logits", logit)])?;
        }
        Ok((embeddings, logits))
    }
}

/// The scores of logits on a set whose classes had `counts` samples to train on.
pub(crate) fn score(logits: &Matrix, labels: &[u32], counts: &ClassCounts) -> Result<Scores, PipelineError> {
    Ok(scores(labels, softmax(logits.view()).view(), counts)?)
}

/// An error if a value is not a number.
pub(crate) fn check_finite(part: &'static str, matrix: MatrixView<'_>) -> Result<(), PipelineError> {
    for row in 0..matrix.rows() {
        if let Some(column) = matrix.row(row).iter().position(|value| !value.is_finite()) {
            let value = matrix.row(row)[column];
            return Err(PipelineError::NotFinite { part, row, column, value });
        }
    }
    Ok(())
}
