//! Format and lints of every crate that compiles for the host; the BPF crates are compiled, and so checked, by
//! the build scripts of bridge-user and bench.

use anyhow::Result;

use crate::process::{cargo, run};

/// Everything but the BPF crates, which do not link on the host.
pub(crate) const HOST_CRATES: [&str; 5] = ["--workspace", "--exclude", "bridge-ebpf", "--exclude", "bench-ebpf"];

/// bridge-user the other way.
pub(crate) const OTHER_FEATURES: [&str; 3] = ["--no-default-features", "--features", "trace"];

/// `cargo fmt --check`, then clippy with warnings as errors.
///
/// # Errors
/// When either finds something.
pub(crate) fn lint() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    let strict = ["--all-targets", "--", "-D", "warnings"];
    run(cargo(&["clippy", "--quiet"]).args(HOST_CRATES).args(strict))?;
    // Where libvirt is not there to link with; with the programs' log, as the tests of both have it, so that the programs are not built once more.
    run(cargo(&["clippy", "--quiet", "--package", "bridge-user"]).args(OTHER_FEATURES).args(strict))
}
