use std::collections::{BTreeMap, HashMap};

use burn_ir::{GraphIr, IrVisitorMut, OperationIr, TensorId, TensorIr};
use expanse_program::{Constant, Parameter, Port, Program, check_chain};

use crate::EngineError;

/// Programs that have become one: every tensor has a slot of its own.
#[derive(Debug)]
pub struct Linked {
    /// Who recorded the parts, for messages.
    pub source: String,
    /// Operations in order; the ids of their tensors are slots.
    pub operations: Vec<OperationIr>,
    /// How many slots there are.
    pub slots: usize,
    /// What must be given; `tensor` is a slot.
    pub inputs: Vec<Port>,
    /// What comes out; `tensor` is a slot.
    pub outputs: Vec<Port>,
    /// What the session keeps; `tensor` is a slot.
    pub parameters: Vec<Parameter>,
    /// Values fixed at recording with their bytes; `tensor` is a slot.
    pub constants: Vec<(Constant, Vec<u8>)>,
}

/// Joins programs by the names of their ports. Tensor ids restart in every plugin, so all are renumbered.
pub fn link(programs: &[Program]) -> Result<Linked, EngineError> {
    let headers: Vec<_> = programs.iter().map(|program| &program.header).collect();
    let open = check_chain(&headers)?;
    let source = headers.iter().map(|header| header.source.as_str()).collect::<Vec<_>>().join(" + ");
    let mut linked = Linked {
        source,
        operations: Vec::new(),
        slots: 0,
        inputs: Vec::new(),
        outputs: Vec::new(),
        parameters: Vec::new(),
        constants: Vec::new(),
    };
    let mut ports: BTreeMap<String, u64> = BTreeMap::new();
    for program in programs {
        append(&mut linked, program, &mut ports)?;
    }
    linked.inputs.retain(|port| open.contains(&port.name));
    Ok(linked)
}

fn append(
    linked: &mut Linked,
    program: &Program,
    ports: &mut BTreeMap<String, u64>,
) -> Result<(), EngineError> {
    let header = &program.header;
    let graph: GraphIr = postcard::from_bytes(&program.graph)
        .map_err(|source| EngineError::Graph { program: header.source.clone(), source })?;
    let mut renumber = Renumber { slots: HashMap::new(), next: linked.slots as u64 };
    for port in &header.inputs {
        let slot = match ports.get(&port.name) {
            Some(&slot) => slot,
            None => {
                let slot = renumber.fresh();
                ports.insert(port.name.clone(), slot);
                linked.inputs.push(Port { tensor: slot, ..port.clone() });
                slot
            }
        };
        renumber.slots.insert(port.tensor, slot);
    }
    for parameter in &header.parameters {
        let slot = renumber.slot(parameter.tensor);
        linked.parameters.push(Parameter { tensor: slot, ..parameter.clone() });
    }
    let mut bytes = program.constants.as_slice();
    for constant in &header.constants {
        let (value, rest) = bytes.split_at(constant.shape.iter().product::<usize>() * constant.dtype.size());
        bytes = rest;
        let slot = renumber.slot(constant.tensor);
        linked.constants.push((Constant { tensor: slot, ..constant.clone() }, value.to_vec()));
    }
    for mut operation in graph.operations {
        if matches!(operation, OperationIr::Drop(_) | OperationIr::Init(_)) {
            continue;
        }
        if let Some(unknown) = operation.inputs().find(|t| !renumber.slots.contains_key(&t.id.value())) {
            let (program, tensor) = (header.source.clone(), unknown.id.value());
            return Err(EngineError::Undefined { program, tensor });
        }
        operation.visit_mut(&mut renumber);
        linked.operations.push(operation);
    }
    for port in &header.outputs {
        let slot = *renumber.slots.get(&port.tensor).ok_or_else(|| EngineError::Tensor {
            program: header.source.clone(),
            tensor: port.tensor,
            name: port.name.clone(),
        })?;
        ports.insert(port.name.clone(), slot);
        linked.outputs.push(Port { tensor: slot, ..port.clone() });
    }
    linked.slots = renumber.next as usize;
    Ok(())
}

struct Renumber {
    slots: HashMap<u64, u64>,
    next: u64,
}

impl Renumber {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn slot(&mut self, tensor: u64) -> u64 {
        if let Some(&slot) = self.slots.get(&tensor) {
            return slot;
        }
        let slot = self.fresh();
        self.slots.insert(tensor, slot);
        slot
    }
}

impl IrVisitorMut for Renumber {
    fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
        tensor.id = TensorId::new(self.slot(tensor.id.value()));
    }
}
