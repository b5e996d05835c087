//! A second opinion: random frames, described before they are built, judged by a model that knows the topology's policy
//! and the design's sentences, and neither the parser nor the lowered tables.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod generate;
pub mod guard;
pub mod judge;
pub mod policy;
pub mod reading;
pub mod spec;
