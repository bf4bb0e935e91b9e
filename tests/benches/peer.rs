//! PyTorch in a process of its own: `peer.py`.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use expanse_tests::model::Model;
use serde_json::json;

/// How PyTorch runs the model.
#[derive(Clone, Debug)]
pub struct Variant {
    /// A Python that has PyTorch.
    pub python: String,
    /// `channels_last` or `nchw`.
    pub layout: &'static str,
    /// The mode of `torch.compile`, if it is compiled.
    pub compile: Option<String>,
    /// The number of the card that it is on; `None` on the processor.
    pub card: Option<usize>,
}

pub struct Peer {
    name: String,
    on_card: bool,
    /// Its version and device.
    pub version: String,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it, and waits until it is ready. An error is one line.
    pub fn start(
        Variant { python, layout, compile, card }: &Variant,
        model: &Model,
        [threads, rows, steps]: [usize; 3],
    ) -> Result<Self, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer.py");
        let Model { depth, widen, image, batch, .. } = *model;
        let config = json!({
            "threads": threads, "layout": layout, "compile": compile, "card": card, "depth": depth,
            "widen": widen, "image": image, "batch": batch, "rows": rows, "steps": steps,
        });
        let mut process = Command::new(python)
            .arg(script)
            .arg(config.to_string())
            .env("OMP_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{python}` does not start: {error}"))?;
        let commands = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let layout = if *layout == "nchw" { "NCHW" } else { layout };
        let name = match compile.as_deref() {
            None => format!("PyTorch, {layout}"),
            Some("default") => format!("PyTorch, {layout}, compiled"),
            Some(mode) => format!("PyTorch, {layout}, {mode}"),
        };
        let mut peer =
            Self { name, on_card: card.is_some(), version: String::new(), process, commands, answers };
        peer.version = peer.answer()?;
        match peer.version.strip_prefix("error: ") {
            Some(told) => Err(told.into()),
            None => Ok(peer),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The seconds that a task took, or the MiB of memory.
    pub fn number(&mut self, command: &str) -> Result<f64, String> {
        // Where it has ended, it does not answer either.
        let _ = writeln!(self.commands, "{command}");
        let answer = self.answer()?;
        answer.parse().map_err(|_| format!("{} answered `{answer}` to `{command}`", self.name))
    }

    /// The MiB of the card's memory that it has had at most; `None` on the processor.
    pub fn card(&mut self) -> Result<Option<f64>, String> {
        if self.on_card { self.number("card").map(Some) } else { Ok(None) }
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut answer = String::new();
        match self.answers.read_line(&mut answer) {
            Ok(0) | Err(_) => Err(format!("{} has ended before it answered", self.name)),
            Ok(_) => Ok(answer.trim().into()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
