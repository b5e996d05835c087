//! The kernel's side of things as seen from user space: programs, maps, links and pins. The only place that knows aya.
//!
//! Must not decide anything: it carries out operations and reports what is there.

mod batch;
mod clsact;
mod error;
pub mod executor;
pub mod foreign;
mod glimpse;
mod link;
mod links;
pub mod maps;
pub mod notes;
pub mod object;
mod ops;
pub mod pinned;
pub mod pins;
mod publish;
pub mod sweep;
mod tcx;
#[cfg(feature = "trace")]
mod trace;

use bridge_common::abi::Plain;

pub use error::DataplaneError;

/// A map key or value, handed to aya byte by byte.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Pod<T>(pub(crate) T);

// SAFETY: `Plain` promises a `repr(C)` type without padding of which every bit pattern is valid.
unsafe impl<T: Plain> aya::Pod for Pod<T> {}
