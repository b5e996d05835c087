//! Labs for fastbridge: namespaces with a bridge and machines, frames, captures, a launcher for the binary, and the engine that compares
//! two slow paths frame by frame. Synchronous, no async runtime.
//!
//! Must not depend on `bridge-user`: `cargo xtask` uses this library on machines where the BPF toolchain is not installed yet. Must not
//! attach to, configure or send through an interface of the initial network namespace. Needs root.
//!
//! The integration tests in `tests/` find the `fastbridge` binary by `FASTBRIDGE_BIN`, or next to their own build directory:
//! `cargo test --workspace` builds it; with `-p bridge-tests` alone build it first (`cargo build -p bridge-user`).

pub mod attached;
pub mod bpffs;
pub mod capture;
pub mod differential;
mod error;
pub mod fastbridge;
pub mod foreign;
pub mod frame;
pub mod halted;
pub mod lab;
pub mod leaks;
pub mod model;
pub mod netns;
pub mod reference;
mod run;
pub mod session;
pub mod site;
pub mod skip;
pub mod steady;
mod sweep;
pub mod transfer;

pub use error::{Error, Result};
pub use run::{find_tool, wait_until};
pub use sweep::remains_of;

/// A MAC address, in the order of the wire.
pub type Mac = [u8; 6];

/// `52:54:00:00:00:01`, as iproute2 and topology files write it.
#[must_use]
pub fn format_mac(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
