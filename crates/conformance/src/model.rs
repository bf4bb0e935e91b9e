use std::collections::BTreeSet;

use expanse_domain::Seed;
use expanse_host::{Backbone, Backend, Head, HostError, Loss, Session, TensorKind};
use expanse_program::{
    BackboneRequest, HeadRequest, Header, LossRequest, NamedTensor, Optimizer, Port, Program, TensorView,
    check_chain, tensors_from_bytes, tensors_to_bytes,
};

use crate::{inputs::Inputs, outcome::Reason};

/// The components around a plugin while it is checked. Without one of them some checks do not apply.
#[derive(Default)]
pub struct References {
    /// Runs programs.
    pub backend: Option<Box<dyn Backend>>,
    /// Makes embeddings of images.
    pub backbone: Option<Box<Backbone>>,
    /// Makes logits of embeddings.
    pub head: Option<Box<Head>>,
    /// Makes a loss of logits.
    pub loss: Option<Box<Loss>>,
}

/// Images in a batch, where nothing else is said.
pub(crate) const BATCH: usize = 4;
/// Classes of the model.
pub(crate) const CLASSES: usize = 3;
/// Values of an embedding, where no backbone makes it.
const FEATURES: usize = 8;
/// Channels, height and width of images; a backbone is checked with the first that it takes.
const IMAGES: [[usize; 3]; 5] = [[1, 16, 16], [3, 32, 32], [1, 28, 28], [3, 64, 64], [3, 224, 224]];

pub(crate) const OPTIMIZER: Optimizer = Optimizer::sgd(0.9, 2e-4);

/// A backbone, head or loss with the size that it is checked in.
pub(crate) enum Part {
    Backbone(Box<Backbone>, [usize; 3]),
    Head(Box<Head>, usize),
    Loss(Box<Loss>),
}

impl Part {
    /// A backbone with the first size of images that it takes.
    pub fn backbone(backbone: Box<Backbone>) -> Result<Self, Reason> {
        let mut why = None;
        for image in IMAGES {
            match backbone.record(&backbone_request(image, 1)) {
                Ok(_) => return Ok(Self::Backbone(backbone, image)),
                Err(error) => why = why.or(Some(error)),
            }
        }
        let why = why.map(|error| error.to_string()).unwrap_or_default();
        Err(Reason::Failed(format!("it records for images of none of the sizes {IMAGES:?}: {why}")))
    }

    pub fn head(head: Box<Head>) -> Self {
        Self::Head(head, FEATURES)
    }

    pub fn loss(loss: Box<Loss>) -> Self {
        Self::Loss(loss)
    }

    pub fn record(&self, batch: usize) -> Result<Program, HostError> {
        match self {
            Self::Backbone(part, image) => part.record(&backbone_request(*image, batch)),
            Self::Head(part, features) => part.record(&head_request(*features, batch)),
            Self::Loss(part) => part.record(&loss_request(batch)),
        }
    }

    pub fn initialize(&self, seed: Seed) -> Result<Vec<NamedTensor>, Reason> {
        let bytes = self.initialize_bytes(BATCH, seed)?;
        tensors_from_bytes(&bytes).map_err(|error| Reason::Failed(format!("its first values: {error}")))
    }

    pub fn initialize_bytes(&self, batch: usize, seed: Seed) -> Result<Vec<u8>, HostError> {
        match self {
            Self::Backbone(part, image) => part.initialize(&backbone_request(*image, batch), seed),
            Self::Head(part, features) => part.initialize(&head_request(*features, batch), seed),
            Self::Loss(part) => part.initialize(&loss_request(batch), seed),
        }
    }

    pub fn evaluate(
        &self,
        batch: usize,
        seed: Seed,
        inputs: &[TensorView<'_>],
        output: &mut [f32],
    ) -> Result<(), HostError> {
        match self {
            Self::Backbone(part, image) => {
                part.evaluate(&backbone_request(*image, batch), seed, inputs, output)
            }
            Self::Head(part, features) => {
                part.evaluate(&head_request(*features, batch), seed, inputs, output)
            }
            Self::Loss(part) => part.evaluate(&loss_request(batch), seed, inputs, output),
        }
    }

    /// The request for a batch, in JSON.
    pub fn request(&self, batch: usize) -> serde_json::Value {
        let json = match self {
            Self::Backbone(_, image) => serde_json::to_value(backbone_request(*image, batch)),
            Self::Head(_, features) => serde_json::to_value(head_request(*features, batch)),
            Self::Loss(_) => serde_json::to_value(loss_request(batch)),
        };
        // Structs of numbers can always be written.
        json.unwrap_or_default()
    }
}

pub(crate) fn backbone_request([channels, height, width]: [usize; 3], batch: usize) -> BackboneRequest {
    BackboneRequest { batch, channels, height, width }
}

fn head_request(features: usize, batch: usize) -> HeadRequest {
    HeadRequest { batch, features, classes: CLASSES }
}

fn loss_request(batch: usize) -> LossRequest {
    LossRequest { batch, classes: CLASSES, class_counts: vec![9, 4, 1] }
}

/// Programs that join into one, with the first values of their parameters.
pub(crate) struct Model {
    pub programs: Vec<Program>,
    pub values: Vec<NamedTensor>,
}

impl Model {
    /// A program that gives `loss`: the part with the references before and after it, as far as there are any before.
    pub fn training(part: &Part, references: &References, seed: Seed) -> Result<Self, Reason> {
        let lacking = |what| Reason::NotApplicable(format!("there is no reference {what}"));
        let (mut programs, mut values) = (vec![part.record(BATCH)?], part.initialize(seed)?);
        if let Part::Backbone(..) = part {
            let head = references.head.as_deref().ok_or(lacking("head"))?;
            add_head(head, &mut programs, &mut values, seed)?;
        }
        if let Part::Loss(_) = part {
            // A loss has no parameters of its own: what is trained is the head before it.
            let head = references.head.as_deref().ok_or(lacking("head"))?;
            let request = head_request(FEATURES, BATCH);
            programs.insert(0, suited(head.record(&request)?, &programs[0]));
            values.extend(decoded(&head.initialize(&request, seed)?)?);
        } else {
            let loss = references.loss.as_deref().ok_or(lacking("loss"))?;
            programs.push(loss.record(&loss_request(BATCH))?);
        }
        Ok(Self { programs, values })
    }

    /// The references alone: the backbone if there is one, the head and the loss.
    pub fn of_references(references: &References, seed: Seed) -> Result<Self, Reason> {
        let lacking =
            |what| Reason::NotApplicable(format!("there is no reference {what} to record a program"));
        let head = references.head.as_deref().ok_or(lacking("head"))?;
        let loss = references.loss.as_deref().ok_or(lacking("loss"))?;
        let (mut programs, mut values) = (Vec::new(), Vec::new());
        match references.backbone.as_deref() {
            Some(backbone) => {
                let request = backbone_request([1, 16, 16], BATCH);
                programs.push(backbone.record(&request)?);
                values.extend(decoded(&backbone.initialize(&request, seed)?)?);
                add_head(head, &mut programs, &mut values, seed)?;
            }
            None => {
                let request = head_request(FEATURES, BATCH);
                programs.push(head.record(&request)?);
                values.extend(decoded(&head.initialize(&request, seed)?)?);
            }
        }
        programs.push(loss.record(&loss_request(BATCH))?);
        Ok(Self { programs, values })
    }

    /// A session of a backend with the model loaded and initialised; its only program is number 0.
    pub fn session(&self, backend: &dyn Backend) -> Result<Box<dyn Session>, Reason> {
        self.session_with(backend, OPTIMIZER)
    }

    /// As [`session`](Self::session), with an optimiser.
    pub fn session_with(
        &self,
        backend: &dyn Backend,
        optimizer: Optimizer,
    ) -> Result<Box<dyn Session>, Reason> {
        let mut session = self.empty_session_with(backend, optimizer)?;
        session.import(TensorKind::Parameters, &encoded(&self.values)?)?;
        Ok(session)
    }

    /// As [`session`](Self::session), without values.
    pub fn empty_session(&self, backend: &dyn Backend) -> Result<Box<dyn Session>, Reason> {
        self.empty_session_with(backend, OPTIMIZER)
    }

    /// As [`session_with`](Self::session_with), without values.
    pub fn empty_session_with(
        &self,
        backend: &dyn Backend,
        optimizer: Optimizer,
    ) -> Result<Box<dyn Session>, Reason> {
        let mut session = backend.open_session(optimizer)?;
        session.load(&self.programs.iter().collect::<Vec<_>>())?;
        Ok(session)
    }

    /// Values for the inputs that no program of the model gives.
    pub fn inputs(&self, seed: Seed) -> Result<Inputs, Reason> {
        inputs_of(&self.programs.iter().collect::<Vec<_>>(), seed)
    }
}

fn add_head(
    head: &Head,
    programs: &mut Vec<Program>,
    values: &mut Vec<NamedTensor>,
    seed: Seed,
) -> Result<(), Reason> {
    let embedding = programs.last().and_then(|program| program.header.output("embedding"));
    let features = embedding.and_then(|port| port.shape.get(1)).copied();
    let Some(features) = features else {
        return Err(Reason::Failed("it gives no `embedding` of [batch, features]".into()));
    };
    let request = head_request(features, BATCH);
    programs.push(head.record(&request)?);
    values.extend(decoded(&head.initialize(&request, seed)?)?);
    Ok(())
}

/// A program whose outputs count as the kind of values that the next one takes. The kit looks at how a loss computes,
/// and for that any logits will do.
pub(crate) fn suited(mut first: Program, second: &Program) -> Program {
    for output in &mut first.header.outputs {
        if let Some(input) = second.header.input(&output.name) {
            output.meaning.clone_from(&input.meaning);
        }
    }
    first
}

/// Values for the inputs of a chain of programs that none of them gives.
pub(crate) fn inputs_of(programs: &[&Program], seed: Seed) -> Result<Inputs, Reason> {
    let headers: Vec<&Header> = programs.iter().map(|program| &program.header).collect();
    let open = check_chain(&headers).map_err(|error| Reason::Failed(error.to_string()))?;
    let port = |name: &String| headers.iter().find_map(|header| header.input(name));
    let ports: Vec<&Port> = open.iter().filter_map(port).collect();
    Ok(Inputs::new(&ports, CLASSES, seed))
}

/// The tensors of safetensors bytes.
pub(crate) fn decoded(bytes: &[u8]) -> Result<Vec<NamedTensor>, Reason> {
    tensors_from_bytes(bytes).map_err(|error| Reason::Failed(error.to_string()))
}

/// Tensors as safetensors.
pub(crate) fn encoded(tensors: &[NamedTensor]) -> Result<Vec<u8>, Reason> {
    tensors_to_bytes(tensors).map_err(|error| Reason::Failed(error.to_string()))
}

/// All numbers of tensors in a program's header.
pub(crate) fn numbers(header: &Header) -> BTreeSet<u64> {
    let ports = header.inputs.iter().chain(&header.outputs).map(|port| port.tensor);
    ports.chain(header.parameters.iter().map(|parameter| parameter.tensor)).collect()
}
