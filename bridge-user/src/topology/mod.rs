//! The topology file: parsed with positions, checked, and turned into [`model::Topology`].
//!
//! Must not look at the host, the clock or the environment.

pub mod model;
