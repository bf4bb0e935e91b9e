//! Backbones, heads and losses: ordinary burn modules that are recorded into programs.

mod cost;
mod dropout;
mod models;
mod names;
mod recording;

pub use dropout::dropout;
pub use models::{Backbone, Head, Loss, backbone_root, head_root, loss_root};
pub use recording::{Recording, record};
