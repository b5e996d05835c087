//! The command line's parts. Must not: decide anything about frames, write maps.

pub mod render;
