//! Backbones, heads and losses: ordinary burn modules that are recorded into programs.

mod cost;
mod models;
mod names;
mod recording;

pub use models::{Backbone, Head, Loss, backbone_root, head_root, loss_root};
pub use recording::{Recording, record};
