use std::{io, path::PathBuf};

/// A file holds no checkpoint that can be read.
#[derive(Debug, thiserror::Error)]
#[error("checkpoint {}: {problem}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with the bytes of a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refuses.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Neither format.
    #[error("it is neither a zip archive of torch.save nor safetensors; save it as one of them")]
    Format,
    /// What `torch.save` wrote before PyTorch 1.6.
    #[error(
        "it is in the format of PyTorch before 1.6; bring it to today's with \
         `torch.save(torch.load(FILE, map_location='cpu', weights_only=True), NEW)`"
    )]
    Legacy,
    /// A model with its code.
    #[error(
        "it is a TorchScript program, not a dictionary of tensors; save \
         `torch.jit.load(FILE).state_dict()` with torch.save"
    )]
    TorchScript,
    /// The archive is damaged or cut short.
    #[error("the zip archive is damaged or cut short: {0}; fetch or save it again")]
    Archive(String),
    /// An entry of the archive is packed.
    #[error(
        "`{entry}` in the archive is compressed, which torch.save never does; save it again with torch.save"
    )]
    Compressed {
        /// The entry.
        entry: String,
    },
    /// The entries of the archive overlap.
    #[error(
        "the archive claims {claimed} bytes of content and is {length} bytes long; it is damaged or hostile"
    )]
    Overlap {
        /// The sum over all entries.
        claimed: u64,
        /// The length of the file.
        length: u64,
    },
    /// The archive holds something else.
    #[error(
        "the archive has no `{0}`, so torch.save did not write it; save the model's state_dict() with it"
    )]
    Entry(&'static str),
    /// Numbers with their highest byte first.
    #[error(
        "its numbers are in the byte order `{0}`; only `little` is read, save it again on another machine"
    )]
    ByteOrder(String),
    /// More instructions than a dictionary of tensors needs.
    #[error("its pickle of {length} bytes is longer than {most}, which no dictionary of tensors needs")]
    Long {
        /// Its length.
        length: u64,
        /// The longest that is read.
        most: u64,
    },
    /// A name that no dictionary of tensors needs.
    #[error(
        "its pickle names `{name}`, which a dictionary of tensors does not need; nothing was run: save \
         `model.state_dict()` alone"
    )]
    Global {
        /// The module and the name in it.
        name: String,
    },
    /// An operation that no dictionary of tensors needs.
    #[error(
        "its pickle has the operation {code:#04x} at byte {at}, which torch.save does not write; save it again"
    )]
    Operation {
        /// The operation.
        code: u8,
        /// Where it stands.
        at: usize,
    },
    /// Operations that do not fit together.
    #[error("its pickle is damaged at byte {at}: {message}; fetch or save it again")]
    Pickle {
        /// Where.
        at: usize,
        /// What is wrong.
        message: &'static str,
    },
    /// Something else than a dictionary of tensors.
    #[error(
        "it holds {found} and no dictionary of tensors; save `model.state_dict()`, alone or as `state_dict`"
    )]
    NoState {
        /// What it holds.
        found: String,
    },
    /// Something else among the tensors.
    #[error("`{name}` is {found}, not a tensor; save `model.state_dict()`, alone or as `state_dict`")]
    NoTensor {
        /// The name.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// A name that occurs twice.
    #[error("tensor `{name}` is there twice; save the file again")]
    Twice {
        /// The tensor.
        name: String,
    },
    /// A tensor that its storage does not hold.
    #[error("tensor `{name}`: {message}; the file is damaged or hostile, fetch or save it again")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A tensor of a type that no model here has.
    #[error(
        "tensor `{name}` holds {found}; read are numbers with a point of 16 to 64 bits, and whole ones of 8 to 64"
    )]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// What looks like safetensors is none.
    #[error("its safetensors are damaged or cut short: {0}; fetch or save it again")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// What Expanse wrote besides cannot be read.
    #[error("what Expanse has written of the model (`expanse`) is no JSON object: {0}")]
    About(#[from] serde_json::Error),
}

/// A checkpoint cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name of the file tells no format.
    #[error("{} ends neither in .pth nor in .safetensors, by which its format is told; give it such a name", .0.display())]
    Extension(PathBuf),
    /// The operating system refuses.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive cannot be made.
    #[error("the zip archive cannot be made: {0}")]
    Archive(#[from] zip::result::ZipError),
    /// The bytes of the archive cannot be made.
    #[error("the zip archive cannot be made: {0}")]
    Bytes(#[from] io::Error),
    /// The safetensors cannot be made.
    #[error("the safetensors cannot be made: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
}
