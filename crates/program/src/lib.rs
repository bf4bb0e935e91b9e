//! A model is data: a [`Program`] is a recorded graph in an envelope that a host can read.
//!
//! The graph itself stays opaque here. It is written in a *dialect* that only recorders and engines know, and
//! whose name is compared before a byte of it is decoded. The [`Header`] tells everything else: ports,
//! parameters, costs. Programs are joined by the names of their ports ([`check_chain`]).

mod chain;
mod checkpoint;
mod envelope;
mod header;
mod mixture;
mod optimizer;
mod request;
mod tensor;

pub use chain::{ChainError, check_chain};
pub use checkpoint::{CheckpointError, NamedTensor, tensors_from_bytes, tensors_to_bytes};
pub use envelope::{EnvelopeError, Program};
pub use header::{Constant, DType, Header, Meaning, Parameter, ParameterKind, Port};
pub use mixture::mixture;
pub use optimizer::{ADAM_EPSILON, ADAM_SECOND, CLIP_EPSILON, Method, Optimizer};
pub use request::{BackboneRequest, HeadRequest, LossRequest};
pub use tensor::{TensorData, TensorView};

/// The dialect of graphs that this version records and runs: `burn_ir::GraphIr` in postcard.
///
/// The order of burn-ir's enums moves between versions, and a graph of another version may decode to other
/// operations without an error, so the dialect names the exact version.
pub const DIALECT: &str = "burn-ir/0.22.1";

/// The one operation of a graph that is not burn's: `Custom` of this name, with one input, one output of its shape, and
/// the probability with which training sets a value to 0. Evaluation hands its input on.
pub const DROPOUT: &str = "expanse::dropout";
