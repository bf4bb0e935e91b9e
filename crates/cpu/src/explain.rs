//! The compiled plan in words.

use std::fmt::Write;

use crate::{
    compile::{plan::Place, schedule::Step},
    graph::{Layout, NodeId, Op, ValueId},
    run::Executable,
    team::Team,
};

/// One line for each step: what it does, to what, where the result lies, how many multiply–add operations that
/// takes and for how long about, on this processor and team; or for how long it was `measured`, in seconds.
pub(crate) fn explain(
    executable: &Executable,
    source: &str,
    team: &Team,
    measured: Option<&[f64]>,
) -> String {
    let lines: Vec<Line> = executable.schedule().steps.iter().map(|step| line(executable, step)).collect();
    let operations: f64 = lines.iter().map(|line| line.operations as f64).sum();
    let (threads, isa) = (team.threads(), team.isa());
    let seconds = |operations: f64| operations / (isa.rate() * threads as f64);
    let (sizes, mebibytes) = (&executable.plan().sizes, |floats: usize| floats as f64 / f64::from(1 << 18));
    let mut text = format!("{source}: {} steps on {threads} threads with {}\n", lines.len(), isa.name());
    let all = mebibytes(executable.bytes() / 4);
    let buffers = mebibytes(sizes.iter().sum());
    // Writing to a string does not fail.
    let _ = writeln!(text, "{} buffers of {buffers:.1} MiB, with scratch memory {all:.1} MiB", sizes.len());
    let (giga, milli) = (operations / 1e9, seconds(operations) * 1e3);
    let _ = writeln!(text, "{giga:.2} G multiply–adds, about {milli:.1} ms of arithmetic\n");
    let [step, result, layout, buffer, mega, milli, rate] =
        ["step", "result", "layout", "buffer", "M", "ms", "G/s"];
    let _ = writeln!(text, "{step:<58}{result:<16}{layout:<10}{buffer:>7}{mega:>9}{milli:>9}{rate:>8}");
    for (at, Line { what, shape, layout, buffer, operations }) in lines.into_iter().enumerate() {
        let operations = operations as f64;
        let seconds = measured.map_or(seconds(operations), |measured| measured[at]);
        let (mega, milli) = (operations / 1e6, seconds * 1e3);
        // Of steps without such operations only the time is of interest.
        let rate = if operations > 0.0 { format!("{:.0}", operations / seconds / 1e9) } else { "–".into() };
        let _ =
            writeln!(text, "{what:<58}{shape:<16}{layout:<10}{buffer:>7}{mega:>9.1}{milli:>9.3}{rate:>8}");
    }
    text
}

struct Line {
    what: String,
    shape: String,
    layout: &'static str,
    buffer: String,
    operations: usize,
}

fn line(executable: &Executable, step: &Step) -> Line {
    let graph = executable.graph();
    let node = |id: NodeId| &graph.nodes[id];
    let norm = |id: NodeId| norm_name(&node(id).op);
    let name = |id: NodeId| {
        let text = format!("{:?}", node(id).op);
        text.split([' ', '{', '(']).next().unwrap_or_default().to_lowercase()
    };
    let conv = |id: NodeId| {
        let kernel = executable.convolution(id).map_or("", |convolution| convolution.kernel_name());
        format!("conv ({kernel})")
    };
    let multiply_adds = |id: NodeId| executable.convolution(id).map_or(0, |c| c.multiply_adds());
    let (what, value, gradient, operations) = match step {
        Step::Node(id) => (name(*id), node(*id).output, false, 0),
        Step::Conv(step) => {
            let before = step.before.map(|id| format!("{} → ", norm(id))).unwrap_or_default();
            let behind = match (step.moments, step.after) {
                (Some(_), _) => " → moments".into(),
                (_, Some(id)) => format!(" → {}", norm(id)),
                _ => String::new(),
            };
            let output = step.after.map_or(node(step.conv).output, |id| node(id).output);
            (format!("{before}{}{behind}", conv(step.conv)), output, false, multiply_adds(step.conv))
        }
        Step::Moments(id) => ("moments".into(), node(*id).inputs[0], false, 0),
        Step::Norm(id) => (norm(*id), node(*id).output, false, 0),
        Step::Seed { loss, .. } => ("gradient of the loss".into(), *loss, true, 0),
        Step::Gradient { node: id, input, .. } => {
            (format!("∂ {}", name(*id)), node(*id).inputs[*input], true, 0)
        }
        Step::NormSums(id) => ("∂ mask, sums".into(), node(*id).output, true, 0),
        Step::NormResidual { node: id, .. } => ("∂ residual".into(), node(*id).inputs[5], true, 0),
        Step::NormInput { node: id, .. } => ("∂ norm".into(), node(*id).inputs[0], true, 0),
        Step::ConvGradient(step) => {
            let after = if step.after.is_some() { "norm → " } else { "" };
            let weight = step.weight.map_or("", |_| "weights ");
            let input = step.input.map_or("", |_| "input ");
            let sums = step.sums.map_or("", |_| "→ mask, sums");
            let wanted = [step.weight.is_some(), step.input.is_some()];
            let (kernels, products) = executable.convolution(step.conv).map_or_else(Default::default, |c| {
                (c.gradient_names(wanted), c.gradient_multiply_adds(wanted))
            });
            let what = format!("∂ {after}conv ({kernels}): {weight}{input}{sums}");
            let inputs = &node(step.conv).inputs;
            let value = if step.input.is_some() { inputs[0] } else { inputs[1] };
            (what, value, true, products)
        }
    };
    let (shape, layout) = (&graph.values[value].shape, graph.values[value].layout);
    let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    let layout = if layout == Layout::Blocked { "blocked" } else { "rows" };
    Line { what, shape, layout, buffer: buffer(executable, value, gradient), operations }
}

fn norm_name(op: &Op) -> String {
    let Op::Norm(norm) = op else { return String::new() };
    let residual = if norm.residual { " + residual" } else { "" };
    let relu = if norm.relu { " + relu" } else { "" };
    format!("norm{residual}{relu}")
}

fn buffer(executable: &Executable, value: ValueId, gradient: bool) -> String {
    let plan = executable.plan();
    if gradient {
        return plan.gradients[value].map_or("–".into(), |at| at.to_string());
    }
    match plan.values[value] {
        Place::Buffer(at) => at.to_string(),
        _ => "–".into(),
    }
}
