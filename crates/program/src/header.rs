use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a host can read of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The language of the graph; see [`crate::DIALECT`].
    pub dialect: String,
    /// Who recorded it, such as "backbone `resnet`"; it begins error messages.
    pub source: String,
    /// SHA-256 of the graph and the constants, in hexadecimal.
    pub sha256: String,
    /// The tensors that must be given, by name.
    pub inputs: Vec<Port>,
    /// The tensors that come out, by name.
    pub outputs: Vec<Port>,
    /// Trainable parameters and running statistics, with PyTorch's names.
    pub parameters: Vec<Parameter>,
    /// Where PyTorch's common implementation of the network has other names: for a part of a name between its dots, what
    /// it is called there. Checkpoints are read with both and travel with those.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usual_names: BTreeMap<String, String>,
    /// Values fixed at recording, stored after the graph one after the other.
    pub constants: Vec<Constant>,
    /// Multiply–add operations of one forward pass of the whole batch (convolutions and matrix products).
    pub multiply_adds: u64,
}

/// A named tensor at the boundary of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Name, such as `images`, `embedding`, `logits`, `targets`, `class_weights` or `loss`.
    pub name: String,
    /// Length of each dimension; the first is the batch where there is one.
    pub shape: Vec<usize>,
    /// Type of the values.
    pub dtype: DType,
    /// The tensor's number in the graph.
    pub tensor: u64,
    /// What kind of values an output gives, or an input takes alone; most ports say nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Meaning>,
}

/// A kind of values, by which an input can be made for some outputs only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// The kind in a word, which is compared, such as `cosines`.
    pub values: String,
    /// What to do where another kind is given.
    #[serde(default)]
    pub remedy: String,
}

impl Meaning {
    /// Values in [−1, 1] that are cosines of angles; `remedy` tells, where it is an input that takes them, what to do
    /// about others.
    pub fn cosines(remedy: &str) -> Self {
        Self { values: "cosines".into(), remedy: remedy.into() }
    }
}

/// A named value that a session keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// PyTorch's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// Whether training moves it.
    pub kind: ParameterKind,
    /// The tensor's number in the graph.
    pub tensor: u64,
}

/// Whether training moves a parameter by its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// The optimiser moves it.
    Trainable,
    /// A running statistic that the training form of batch norm updates.
    State,
}

/// A value fixed at recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// Type of the values.
    pub dtype: DType,
    /// The tensor's number in the graph.
    pub tensor: u64,
}

/// Type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 64-bit integers.
    I64,
}

impl DType {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::I64 => 8,
        }
    }
}

impl Header {
    /// The input of that name.
    pub fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// The output of that name.
    pub fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }

    /// The number of trainable values.
    pub fn trainable_values(&self) -> usize {
        let trainable = self.parameters.iter().filter(|p| p.kind == ParameterKind::Trainable);
        trainable.map(|p| p.shape.iter().product::<usize>()).sum()
    }
}
