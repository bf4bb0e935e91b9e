use expanse_program::{ChainError, CheckpointError, EnvelopeError};

/// A program cannot be linked or run, or a session was asked for something it cannot do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The bytes are no program.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The programs do not join.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The graph cannot be decoded.
    #[error("the graph of {program} cannot be decoded: {source}")]
    Graph {
        /// Who recorded it.
        program: String,
        /// What the decoder says.
        source: postcard::Error,
    },
    /// The header names a tensor that the graph does not have.
    #[error("{program} is inconsistent: its header names tensor {tensor} as `{name}` and its graph lacks it")]
    Tensor {
        /// Who recorded it.
        program: String,
        /// The tensor.
        tensor: u64,
        /// Its name in the header.
        name: String,
    },
    /// The graph reads a tensor that nothing gives.
    #[error("{program} is inconsistent: its graph reads tensor {tensor}, which nothing gives")]
    Undefined {
        /// Who recorded it.
        program: String,
        /// The tensor.
        tensor: u64,
    },
    /// The graph uses operations that the engine lacks.
    #[error("{program} uses operations that this backend lacks: {}", operations.join(", "))]
    Missing {
        /// Who recorded it.
        program: String,
        /// Their names.
        operations: Vec<String>,
    },
    /// A session has no program of that number.
    #[error("the session has loaded {loaded} programs, and number {number} is asked for")]
    NoProgram {
        /// The number asked for.
        number: usize,
        /// Programs loaded.
        loaded: usize,
    },
    /// A parameter has another shape than in a program that was loaded before.
    #[error("parameter `{name}` is {now:?} in {program} and {before:?} in a program loaded before")]
    ParameterShape {
        /// The parameter.
        name: String,
        /// Who recorded the new program.
        program: String,
        /// Its shape there.
        now: Vec<usize>,
        /// Its shape before.
        before: Vec<usize>,
    },
    /// A parameter has no value yet.
    #[error("parameter `{name}` has no value; import it before running the program")]
    NoValue {
        /// The parameter.
        name: String,
    },
    /// An imported tensor belongs to no program.
    #[error("tensor `{name}` belongs to no loaded program; expected one of: {}", expected.join(", "))]
    Unexpected {
        /// The tensor.
        name: String,
        /// The names known.
        expected: Vec<String>,
    },
    /// An imported tensor has another shape.
    #[error("tensor `{name}` is {found:?}, expected {expected:?}")]
    ImportShape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The parameter's shape.
        expected: Vec<usize>,
    },
    /// Imported bytes are no tensors.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An input is missing.
    #[error("{program} needs `{name}`, which is not among the inputs given")]
    MissingInput {
        /// Who recorded it.
        program: String,
        /// The port.
        name: String,
    },
    /// An input has another shape or type.
    #[error("input `{name}` is {found}, {program} expects {expected}")]
    Input {
        /// Who recorded it.
        program: String,
        /// The port.
        name: String,
        /// What was given.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// What is picked of kept inputs is not there.
    #[error("`{name}` names place {place}, and there are {count}")]
    Place {
        /// The input.
        name: String,
        /// The place that it names.
        place: i64,
        /// Places that there are, from 0.
        count: usize,
    },
    /// The session keeps no inputs.
    #[error("this backend keeps no inputs: its memory is that of the host")]
    KeepsNone,
    /// An output is asked for that the program does not give, or in another size.
    #[error("output `{name}` of {found} values is asked for; {program} gives {expected}")]
    Output {
        /// Who recorded it.
        program: String,
        /// The port.
        name: String,
        /// Values asked for.
        found: usize,
        /// What the program gives.
        expected: String,
    },
    /// The program cannot be trained.
    #[error("{program} cannot be trained: it gives no `loss` of one value")]
    NoLoss {
        /// Who recorded it.
        program: String,
    },
    /// More memory of the device is taken than the limit allows.
    #[error(
        "{} MiB of the device's memory are taken, and the limit is {} MiB; use smaller batches, or raise the limit",
        taken.div_ceil(1 << 20), limit >> 20
    )]
    Memory {
        /// Bytes taken.
        taken: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}
