//! fastbridge's shared core: what kernel programs and user space must agree on.
//!
//! * [`abi`]: names, sizes and layouts of every map, and the numbered reasons;
//! * [`wire`]: one bounded parser from a frame to a small `Copy` header;
//! * [`decide`]: the one pure decision, from a header and look-ups to a verdict.
//!
//! No I/O, no clock, no allocation, no floating point: all of it compiles into BPF.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod decide;
pub mod wire;
