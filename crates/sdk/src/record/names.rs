use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};
use expanse_program::{NamedTensor, ParameterKind};

use super::recording::tensor_id;
use crate::Error;

/// A parameter of a module on the capture device.
pub(super) struct Found {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: ParameterKind,
    pub tensor: u64,
}

/// The parameters of a module that lies on the capture device, with PyTorch's names.
///
/// A tensor that asks for no gradient is a running statistic: modules visit those as parameters, too.
pub(super) fn parameters<M: Module>(module: &M) -> Result<Vec<Found>, Error> {
    visit(module, |name, tensor, trainable| {
        let kind = if trainable { ParameterKind::Trainable } else { ParameterKind::State };
        Ok(Found { name, shape: tensor.dims, kind, tensor: (tensor.id)()? })
    })
}

/// The values of all parameters of a module that lies on a device that computes.
pub(super) fn values<M: Module>(module: &M) -> Result<Vec<NamedTensor>, Error> {
    visit(module, |name, tensor, _| {
        Ok(NamedTensor { name, shape: tensor.dims.clone(), values: (tensor.values)()? })
    })
}

/// A tensor of any rank.
struct AnyTensor<'a> {
    dims: Vec<usize>,
    id: &'a dyn Fn() -> Result<u64, Error>,
    values: &'a dyn Fn() -> Result<Vec<f32>, Error>,
}

fn visit<M: Module, T>(
    module: &M,
    each: impl FnMut(String, AnyTensor<'_>, bool) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut visitor = Names { path: Vec::new(), each, found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found.into_iter().collect()
}

struct Names<T, F> {
    path: Vec<(String, String)>,
    each: F,
    found: Vec<Result<T, Error>>,
}

impl<T, F: FnMut(String, AnyTensor<'_>, bool) -> Result<T, Error>> ModuleVisitor for Names<T, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.into(), container.into()));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let any = AnyTensor {
            dims: tensor.dims().to_vec(),
            id: &|| tensor_id(&tensor),
            values: &|| {
                let data = tensor.to_data();
                data.as_slice::<f32>().map(<[f32]>::to_vec).map_err(|e| Error::internal(format!("{e:?}")))
            },
        };
        let found = (self.each)(pytorch_name(&self.path), any, param.is_require_grad());
        self.found.push(found);
    }
}

/// PyTorch calls the scale and shift of its normalisation layers `weight` and `bias`, burn γ and β.
fn pytorch_name(path: &[(String, String)]) -> String {
    let name = |(name, container): &(String, String)| match (name.as_str(), container.contains("Norm")) {
        ("gamma", true) => "weight".to_owned(),
        ("beta", true) => "bias".to_owned(),
        _ => name.clone(),
    };
    path.iter().map(name).collect::<Vec<_>>().join(".")
}
