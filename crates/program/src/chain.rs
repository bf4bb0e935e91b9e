use std::collections::{BTreeMap, BTreeSet};

use crate::{Header, Meaning, Port};

/// Programs do not join.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// A port is given in another shape than it is expected in.
    #[error("{giver} gives `{port}` of {given}, {taker} expects {expected}")]
    Shape {
        /// Who gives the port.
        giver: String,
        /// The port.
        port: String,
        /// Its shape where it is given.
        given: String,
        /// Who takes it.
        taker: String,
        /// Its shape where it is taken.
        expected: String,
    },
    /// A port is given in another type than it is expected in.
    #[error("{giver} gives `{port}` as {given:?}, {taker} expects {expected:?}")]
    DType {
        /// Who gives the port.
        giver: String,
        /// The port.
        port: String,
        /// Its type where it is given.
        given: crate::DType,
        /// Who takes it.
        taker: String,
        /// Its type where it is taken.
        expected: crate::DType,
    },
    /// A port is taken as values of one kind and given as others.
    #[error("{taker} takes `{port}` that are {}, and those of {giver} are not; {}", expected.values, expected.remedy)]
    Meaning {
        /// Who gives the port.
        giver: String,
        /// The port.
        port: String,
        /// Who takes it.
        taker: String,
        /// The kind of values that it takes, and what to do.
        expected: Box<Meaning>,
    },
    /// Two programs give the same port.
    #[error("{first} and {second} both give `{port}`")]
    Output {
        /// The port.
        port: String,
        /// Who gives it first.
        first: String,
        /// Who gives it again.
        second: String,
    },
    /// Two programs hold a parameter of the same name.
    #[error("{first} and {second} both hold a parameter named `{name}`; one of them must rename it")]
    Parameter {
        /// The name.
        name: String,
        /// Who holds it first.
        first: String,
        /// Who holds it again.
        second: String,
    },
}

/// Checks that programs join: every input that an earlier program gives has its shape and type, outputs and
/// parameters are unique. Answers the names of the inputs that none gives, in order.
pub fn check_chain(programs: &[&Header]) -> Result<Vec<String>, ChainError> {
    let mut given: BTreeMap<&str, (&Header, &Port)> = BTreeMap::new();
    let mut taken: BTreeMap<&str, (&Header, &Port)> = BTreeMap::new();
    let mut owners: BTreeMap<&str, &Header> = BTreeMap::new();
    let mut open = Vec::new();
    let mut seen = BTreeSet::new();
    for program in programs {
        for port in &program.inputs {
            let name = port.name.as_str();
            match given.get(name).or_else(|| taken.get(name)) {
                Some((giver, from)) => check_port(giver, from, program, port)?,
                None => {
                    taken.insert(name, (program, port));
                }
            }
            if !given.contains_key(name) && seen.insert(name) {
                open.push(name.to_owned());
            }
        }
        for port in &program.outputs {
            if let Some((first, _)) = given.insert(&port.name, (program, port)) {
                let (first, second) = (first.source.clone(), program.source.clone());
                return Err(ChainError::Output { port: port.name.clone(), first, second });
            }
        }
        for parameter in &program.parameters {
            if let Some(first) = owners.insert(&parameter.name, program) {
                let (first, second) = (first.source.clone(), program.source.clone());
                return Err(ChainError::Parameter { name: parameter.name.clone(), first, second });
            }
        }
    }
    Ok(open)
}

fn check_port(giver: &Header, from: &Port, taker: &Header, to: &Port) -> Result<(), ChainError> {
    let (giver, taker, port) = (giver.source.clone(), taker.source.clone(), to.name.clone());
    if from.dtype != to.dtype {
        return Err(ChainError::DType { giver, port, given: from.dtype, taker, expected: to.dtype });
    }
    if from.shape != to.shape {
        let (given, expected) = shapes(&from.shape, &to.shape);
        return Err(ChainError::Shape { giver, port, given, taker, expected });
    }
    if let Some(expected) = &to.meaning
        && from.meaning.as_ref().map(|meaning| &meaning.values) != Some(&expected.values)
    {
        return Err(ChainError::Meaning { giver, port, taker, expected: Box::new(expected.clone()) });
    }
    Ok(())
}

/// Two shapes that differ, without the batch where that is the same: "64" rather than "128×64".
fn shapes(given: &[usize], expected: &[usize]) -> (String, String) {
    let from = usize::from(given.len() > 1 && expected.len() > 1 && given.first() == expected.first());
    let text = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    (text(&given[from..]), text(&expected[from..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Meaning, Parameter, ParameterKind, Program, mixture};

    fn header(
        source: &str,
        inputs: &[(&str, &[usize])],
        outputs: &[(&str, &[usize])],
        names: &[&str],
    ) -> Header {
        let port = |(name, shape): &(&str, &[usize])| Port {
            name: (*name).into(),
            shape: shape.to_vec(),
            dtype: DType::F32,
            tensor: 0,
            meaning: None,
        };
        let parameter = |name: &&str| Parameter {
            name: (*name).into(),
            shape: vec![2, 3],
            kind: ParameterKind::Trainable,
            tensor: 0,
        };
        Header {
            dialect: String::new(),
            source: source.into(),
            sha256: String::new(),
            inputs: inputs.iter().map(port).collect(),
            outputs: outputs.iter().map(port).collect(),
            parameters: names.iter().map(parameter).collect(),
            usual_names: BTreeMap::new(),
            constants: vec![],
            multiply_adds: 0,
        }
    }

    #[test]
    fn ports_join_by_name() {
        let backbone =
            header("backbone `b`", &[("images", &[8, 1, 4, 4])], &[("embedding", &[8, 64])], &["conv"]);
        let head = header("head `h`", &[("embedding", &[8, 64])], &[("logits", &[8, 10])], &["fc"]);
        assert_eq!(check_chain(&[&backbone, &head]).unwrap(), ["images"]);
        assert_eq!(check_chain(&[&head]).unwrap(), ["embedding"]);
        assert_eq!(head.trainable_values(), 6);
    }

    #[test]
    fn an_input_that_takes_one_kind_of_values_takes_no_other() {
        let mut head = header("head `h`", &[], &[("logits", &[8, 10])], &[]);
        let mut loss = header("loss `l`", &[("logits", &[8, 10])], &[], &[]);
        loss.inputs[0].meaning = Some(Meaning::cosines("use another head"));
        assert_eq!(
            check_chain(&[&head, &loss]).unwrap_err().to_string(),
            "loss `l` takes `logits` that are cosines, and those of head `h` are not; use another head",
        );
        head.outputs[0].meaning = Some(Meaning::cosines(""));
        assert_eq!(check_chain(&[&head, &loss]).unwrap(), [""; 0]);
        loss.inputs[0].meaning = None;
        assert_eq!(check_chain(&[&head, &loss]).unwrap(), [""; 0]);
    }

    /// As `mixture` says: its two copies hold the same parameters.
    #[test]
    fn a_loss_with_parameters_is_not_mixed_with_itself() {
        let mixed = |parameters: &[&str]| {
            let inputs: [(&str, &[usize]); 2] = [("logits", &[8, 10]), ("targets", &[8])];
            let loss = header("loss `l`", &inputs, &[("loss", &[1])], parameters);
            let programs = mixture(Program::seal(loss, Vec::new(), Vec::new()));
            check_chain(&programs.each_ref().map(|program| &program.header))
        };
        assert_eq!(mixed(&[]).unwrap(), ["logits", "targets", "partners", "share", "rest"]);
        assert_eq!(
            mixed(&["margin"]).unwrap_err().to_string(),
            "loss `l` and loss `l` both hold a parameter named `margin`; one of them must rename it",
        );
    }

    #[test]
    fn what_does_not_join_is_told_in_one_line() {
        let backbone = header("backbone `resnet`", &[], &[("embedding", &[8, 64])], &["w"]);
        let check = |head: Header, message: &str| {
            assert_eq!(check_chain(&[&backbone, &head]).unwrap_err().to_string(), message);
        };
        check(
            header("head `linear`", &[("embedding", &[8, 128])], &[], &[]),
            "backbone `resnet` gives `embedding` of 64, head `linear` expects 128",
        );
        check(
            header("head `linear`", &[("embedding", &[4, 64])], &[], &[]),
            "backbone `resnet` gives `embedding` of 8×64, head `linear` expects 4×64",
        );
        check(
            header("head `linear`", &[], &[("embedding", &[8, 64])], &[]),
            "backbone `resnet` and head `linear` both give `embedding`",
        );
        check(
            header("head `linear`", &[], &[], &["w"]),
            "backbone `resnet` and head `linear` both hold a parameter named `w`; one of them must rename it",
        );
    }
}
