//! The entry points: one file for each kind of program, each ending in an exhaustive match.

mod tc;
mod xdp;
