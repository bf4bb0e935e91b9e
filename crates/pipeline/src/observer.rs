use serde::Serialize;
use serde_json::Value;

/// What happens in a run; each becomes a line of `events.jsonl`, but for steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase that trains begins.
    PhaseBegins {
        /// Its name.
        phase: &'static str,
        /// Steps that it takes.
        steps: u64,
    },
    /// A phase goes on where an earlier run has stopped.
    Resumes {
        /// The phase.
        phase: &'static str,
        /// The epoch that was begun, from 1.
        epoch: u64,
        /// Steps of the phase that are done.
        steps: u64,
    },
    /// What an earlier run has told of epochs that are not trained again.
    #[serde(skip)]
    Earlier {
        /// Its events.
        epochs: Vec<Value>,
    },
    /// A step of the phase is done.
    #[serde(skip)]
    Step,
    /// An epoch of training is done.
    Epoch {
        /// The phase.
        phase: &'static str,
        /// Its number, from 1.
        epoch: u64,
        /// Epochs in all.
        epochs: u64,
        /// Mean loss of its steps.
        loss: f64,
        /// Learning rate.
        learning_rate: f64,
        /// Samples per second.
        samples_per_second: f64,
        /// Balanced accuracy on the validation split, where it is computed.
        #[serde(skip_serializing_if = "Option::is_none")]
        validation_bac: Option<f64>,
    },
    /// A phase is over.
    PhaseEnds {
        /// Its name.
        phase: &'static str,
        /// Wall-clock seconds.
        seconds: f64,
        /// Whether its result was taken from an earlier run.
        cached: bool,
    },
    /// Something that the user should know.
    Note {
        /// One line.
        message: String,
    },
}

/// Whoever follows a run.
pub trait Observer {
    /// Called as things happen, from the thread that runs.
    fn event(&self, event: &Event);
}

/// Nobody follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event) {}
}
