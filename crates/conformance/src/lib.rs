//! What every plugin must do, as checks.
//!
//! A library is checked in a child process ([`supervise`]): a plugin that crashes, exits or never returns ends that
//! child only, and the report says in which check; the checks after it run in another child. The program that
//! supervises is its own child: where [`Task::from_environment`] gives a task, it calls [`child`] and does nothing else.
//!
//! A check passes, fails or does not apply, each with its reason; what was not run never reads as passed. What stands
//! around a part of a model while it is checked (a backend that replays it, a head and a loss that make a training
//! program of a backbone) is handed in as [`References`].

mod backend;
mod checks;
mod child;
mod every_kind;
mod golden;
mod gradient;
mod inputs;
mod kept;
mod measure;
mod model;
mod optimizers;
mod outcome;
mod recorder;
mod records;
mod report;
mod sampler;
mod subject;
mod supervise;
mod task;

pub use child::child;
pub use golden::Golden;
pub use model::References;
pub use outcome::Outcome;
pub use report::{Checked, Report};
pub use supervise::{SuperviseError, supervise};
pub use task::{Plan, Task};
