//! What every session checks, whatever runs the programs.

use std::collections::BTreeMap;

use expanse_program::{NamedTensor, Parameter, Port, TensorView};

use crate::EngineError;

/// Every port gets an input, in its shape and type.
pub fn check_inputs(source: &str, ports: &[Port], inputs: &[TensorView<'_>]) -> Result<(), EngineError> {
    ports.iter().try_for_each(|port| find_input(source, port, inputs).map(|_| ()))
}

/// The input for a port, in its shape and type.
pub(crate) fn find_input<'a, 'b>(
    source: &str,
    port: &Port,
    inputs: &'b [TensorView<'a>],
) -> Result<&'b TensorView<'a>, EngineError> {
    let input = inputs.iter().find(|input| input.name == port.name);
    let input =
        input.ok_or_else(|| EngineError::MissingInput { program: source.into(), name: port.name.clone() })?;
    let size: usize = input.shape.iter().product();
    if input.shape != port.shape || input.data.dtype() != port.dtype || input.data.len() != size {
        return Err(EngineError::Input {
            program: source.into(),
            name: port.name.clone(),
            found: format!("{:?} of {:?}, {} values", input.data.dtype(), input.shape, input.data.len()),
            expected: format!("{:?} of {:?}", port.dtype, port.shape),
        });
    }
    Ok(input)
}

/// The output of that name, of as many values.
pub fn find_output<'a>(
    source: &str,
    ports: &'a [Port],
    name: &str,
    values: usize,
) -> Result<&'a Port, EngineError> {
    let fits = |port: &&Port| port.name == name && port.shape.iter().product::<usize>() == values;
    ports.iter().find(fits).ok_or_else(|| {
        let given = ports.iter().map(|port| format!("`{}` of {:?}", port.name, port.shape));
        EngineError::Output {
            program: source.into(),
            name: name.into(),
            found: values,
            expected: given.collect::<Vec<_>>().join(", "),
        }
    })
}

/// The output that training makes small: `loss`, of one value.
pub fn find_loss<'a>(source: &str, ports: &'a [Port]) -> Result<&'a Port, EngineError> {
    let loss = ports.iter().find(|port| port.name == "loss");
    let loss = loss.filter(|port| port.shape.iter().product::<usize>() == 1);
    loss.ok_or_else(|| EngineError::NoLoss { program: source.into() })
}

/// Parameters of a program have the shapes that a session knows them in, if it knows them.
pub fn check_parameters<'a>(
    source: &str,
    parameters: &[Parameter],
    known: impl Fn(&str) -> Option<&'a [usize]>,
) -> Result<(), EngineError> {
    for parameter in parameters {
        if let Some(before) = known(&parameter.name)
            && before != parameter.shape
        {
            return Err(EngineError::ParameterShape {
                name: parameter.name.clone(),
                program: source.into(),
                now: parameter.shape.clone(),
                before: before.to_vec(),
            });
        }
    }
    Ok(())
}

/// Imported tensors belong to parameters that a session knows, in their shapes.
pub fn check_import(tensors: &[NamedTensor], known: &BTreeMap<&str, &[usize]>) -> Result<(), EngineError> {
    for tensor in tensors {
        let shape = known.get(tensor.name.as_str()).ok_or_else(|| EngineError::Unexpected {
            name: tensor.name.clone(),
            expected: known.keys().map(|name| (*name).to_owned()).collect(),
        })?;
        if *shape != tensor.shape {
            return Err(EngineError::ImportShape {
                name: tensor.name.clone(),
                found: tensor.shape.clone(),
                expected: shape.to_vec(),
            });
        }
    }
    Ok(())
}
