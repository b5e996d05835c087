//! What the decision's and the programs' tests share: a small world, cases as data, and the two ways to run them.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod case;
pub mod cases;
pub mod clock;
pub mod context;
pub mod effects;
pub mod fill;
pub mod host;
pub mod kernel;
pub mod world;
