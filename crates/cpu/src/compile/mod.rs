//! The passes of the compiler, in their order: lower, fuse, layout, schedule, plan.

pub(crate) mod convolution;
mod fuse;
mod layout;
pub(crate) mod lower;
pub(crate) mod plan;
pub(crate) mod schedule;

pub(crate) use fuse::fuse;
pub(crate) use layout::assign_layouts;
