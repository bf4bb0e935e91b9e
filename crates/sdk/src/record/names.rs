use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};
use expanse_program::{NamedTensor, Parameter, ParameterKind};

use super::recording::tensor_id;
use crate::Error;

/// What training does with each parameter of a module that lies on a device that computes.
///
/// Modules visit their running statistics as parameters, too; made ready for training, those ask for no
/// gradient.
pub(super) fn kinds<M: Module>(module: &M) -> Result<Vec<ParameterKind>, Error> {
    visit(&module.clone().train(), |_, _, trainable| {
        Ok(if trainable { ParameterKind::Trainable } else { ParameterKind::State })
    })
}

/// Gives every parameter its value: they are drawn when they are first looked at.
pub(super) fn draw<M: Module>(module: &M) -> Result<(), Error> {
    visit(module, |_, _, _| Ok(())).map(drop)
}

/// The parameters of a module that lies on the capture device, with PyTorch's names and the given kinds.
pub(super) fn parameters<M: Module>(module: &M, kinds: &[ParameterKind]) -> Result<Vec<Parameter>, Error> {
    let mut kinds = kinds.iter();
    visit(module, |name, tensor, _| {
        let kind = kinds.next().copied();
        let kind = kind.ok_or_else(|| Error::internal(format!("parameter `{name}` has no kind")))?;
        Ok(Parameter { name, shape: tensor.dims, kind, tensor: (tensor.id)()? })
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
