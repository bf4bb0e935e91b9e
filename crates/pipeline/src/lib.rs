//! The three phases: train end to end, over-sample the embeddings, fine-tune the head on them.
//!
//! Source: Dablain, Bellinger, Krawczyk, Chawla, *Efficient Augmentation for Imbalanced Deep Learning*
//! (arXiv 2207.06080). The phases work on components that may come from libraries or from the same process;
//! nothing here loads a file of a plugin. Progress goes to an [`Observer`]; the terminal is not known here.

mod augment;
mod cache;
mod checkpoint;
mod error;
mod kept;
mod learning_rate;
mod mixup;
mod model;
mod observer;
mod phases;
mod plan;
mod prepare;
mod rebalance;
mod record;
mod rehearsal;
mod run;
mod runs;
mod single;
mod standing;
mod store;
mod train;

pub use augment::{Augmented, augment};
pub use checkpoint::{About, Evaluated, Made, Subject, embed, evaluate, predict};
pub use error::PipelineError;
pub use learning_rate::learning_rate;
pub use observer::{Event, Observer, Silent};
pub use plan::{KeptPhase, Plan, TrainingPlan, plan};
pub use prepare::{Prepared, find, prepare};
pub use record::{Provenance, save};
pub use rehearsal::{missing_operations, missing_to_predict};
pub use run::{Components, Identity, Outcome, run};
pub use runs::{Damage, Kept, runs, verify};
pub use single::{Rows, finetune_head, reassembled, train_model};
pub use store::RunFolder;
