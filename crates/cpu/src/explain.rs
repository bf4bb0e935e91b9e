//! The compiled plan in words.

use crate::run::Executable;

/// One line for each step.
pub(crate) fn explain(executable: &Executable, source: &str) -> String {
    let mut text = format!("{source}: {} bytes\n", executable.bytes());
    for step in &executable.schedule().steps {
        text += &format!("{step:?}\n");
    }
    text
}
