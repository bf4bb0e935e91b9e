use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock, PoisonError},
};

use burn::{
    backend::Capture as CaptureBackend,
    module::Module,
    tensor::{DType as BurnDType, Device, Int, Tensor, TensorData},
};
use expanse_program::{Constant, DType, Header, Meaning, Port, Program};

use super::{cost::multiply_adds, dropout, names};
use crate::Error;

/// The inputs and outputs of a program while it is recorded.
pub struct Recording<'a> {
    device: &'a Device,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    usual_names: BTreeMap<String, String>,
    failure: Option<Error>,
}

impl Recording<'_> {
    /// A named `f32` input of the given shape.
    pub fn input<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let tensor = Tensor::from_data(TensorData::zeros::<f32, _>(shape), self.device);
        self.port(name, DType::F32, &shape, tensor_id(&tensor));
        tensor
    }

    /// A named `i64` input of the given shape.
    pub fn int_input<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D, Int> {
        let tensor: Tensor<D, Int> = Tensor::from_data(TensorData::zeros::<i64, _>(shape), self.device);
        let id = tensor.clone().try_into_primitive::<CaptureBackend>().map(|t| t.id().value());
        self.port(name, DType::I64, &shape, id.map_err(|e| Error::internal(format!("{e:?}"))));
        tensor
    }

    /// A named `f32` output.
    pub fn output<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        match tensor_id(tensor) {
            Ok(id) => {
                let shape = tensor.dims().to_vec();
                self.outputs.push(Port {
                    name: name.into(),
                    shape,
                    dtype: DType::F32,
                    tensor: id,
                    meaning: None,
                });
            }
            Err(error) => self.failure = Some(error),
        }
    }

    /// Says what kind of values a port has that was made before.
    pub fn mean(&mut self, name: &str, meaning: Option<Meaning>) {
        for port in self.inputs.iter_mut().chain(&mut self.outputs).filter(|port| port.name == name) {
            port.meaning.clone_from(&meaning);
        }
    }

    /// Says what parts of the names of parameters are called in PyTorch's common implementation.
    pub fn call(&mut self, usual_names: &[(&str, &str)]) {
        let names = usual_names.iter().map(|&(part, usual)| (part.to_owned(), usual.to_owned()));
        self.usual_names.extend(names);
    }

    fn port(&mut self, name: &str, dtype: DType, shape: &[usize], id: Result<u64, Error>) {
        match id {
            Ok(tensor) => {
                self.inputs.push(Port {
                    name: name.into(),
                    shape: shape.to_vec(),
                    dtype,
                    tensor,
                    meaning: None,
                });
            }
            Err(error) => self.failure = Some(error),
        }
    }
}

/// Records what `forward` does with a module into a program, without running it.
///
/// `source` tells who records, such as "backbone `resnet`". The module's parameters become the program's, with
/// PyTorch's names; tensors that `forward` makes from data become constants of the program. Batch norm is
/// recorded once and runs in its training or evaluation form, and so does [`dropout`](crate::dropout).
///
/// # Errors
///
/// [`Error::Internal`] if `forward` uses what cannot be recorded.
pub fn record<M: Module>(
    source: String,
    module: M,
    forward: impl FnOnce(&M, &mut Recording<'_>),
) -> Result<Program, Error> {
    static DEVICE: OnceLock<Mutex<Device>> = OnceLock::new();
    // Capture devices are a limited resource of the process, so there is one, used by one recording at a time.
    let device = DEVICE.get_or_init(|| Mutex::new(Device::capture()));
    let device = device.lock().unwrap_or_else(PoisonError::into_inner);

    // Before the module moves: the drawing of values must not be recorded, and on the capture device no parameter
    // asks for a gradient.
    names::draw(&module)?;
    let kinds = names::kinds(&module)?;
    let mut recording = Recording {
        device: &device,
        inputs: Vec::new(),
        outputs: Vec::new(),
        usual_names: BTreeMap::new(),
        failure: None,
    };
    let mut parameters = Vec::new();
    let capture = || {
        device.capture_scope(|scope| {
            let module = module.to_device(&device);
            match names::parameters(&module, &kinds) {
                Ok(found) => parameters = found,
                Err(error) => recording.failure = Some(error),
            }
            forward(&module, &mut recording);
            let id = |tensor: u64| burn_ir::TensorId::new(tensor);
            let inputs: Vec<_> = recording.inputs.iter().map(|port| id(port.tensor)).collect();
            let outputs: Vec<_> = recording.outputs.iter().map(|port| id(port.tensor)).collect();
            scope.complete(inputs, outputs)
        })
    };
    let (captured, dropouts) = dropout::remembering(capture);
    let Recording { inputs, outputs, usual_names, failure, .. } = recording;
    if let Some(error) = failure {
        return Err(error);
    }
    let mut captured =
        captured.map_err(|error| Error::internal(format!("{source} cannot be recorded: {error}")))?;

    let named: BTreeSet<u64> =
        inputs.iter().map(|port| port.tensor).chain(parameters.iter().map(|p| p.tensor)).collect();
    let (mut constants, mut constant_bytes) = (Vec::new(), Vec::new());
    for (id, value) in captured.values.iter().filter(|(id, _)| !named.contains(&id.value())) {
        let dtype = match value.dtype() {
            BurnDType::F32 => DType::F32,
            BurnDType::I64 => DType::I64,
            other => return Err(Error::internal(format!("{source} holds a constant of type {other:?}"))),
        };
        constants.push(Constant { shape: value.shape().to_vec(), dtype, tensor: id.value() });
        constant_bytes.extend_from_slice(value.as_bytes());
    }
    dropout::place(&mut captured.graph, &dropouts);
    let graph = postcard::to_stdvec(&captured.graph).map_err(Error::internal)?;
    let header = Header {
        dialect: String::new(),
        source,
        sha256: String::new(),
        inputs,
        outputs,
        parameters,
        usual_names,
        constants,
        multiply_adds: multiply_adds(&captured.graph),
    };
    Ok(Program::seal(header, graph, constant_bytes))
}

/// The number of a tensor on the capture device.
pub(super) fn tensor_id<const D: usize>(tensor: &Tensor<D>) -> Result<u64, Error> {
    let primitive = tensor.clone().try_into_primitive::<CaptureBackend>();
    primitive.map(|t| t.id().value()).map_err(|e| Error::internal(format!("{e:?}")))
}
