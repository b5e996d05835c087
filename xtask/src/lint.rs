//! Format and lints of every crate that compiles for the host; the BPF crate is compiled, and so checked, by
//! bridge-user's build script.

use anyhow::Result;

use crate::process::{cargo, run};

/// Everything but the BPF crate, which does not link on the host.
pub(crate) const HOST_CRATES: [&str; 3] = ["--workspace", "--exclude", "bridge-ebpf"];

/// `cargo fmt --check`, then clippy with warnings as errors.
///
/// # Errors
/// When either finds something.
pub(crate) fn lint() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(cargo(&["clippy", "--quiet"]).args(HOST_CRATES).args(["--all-targets", "--", "-D", "warnings"]))
}
