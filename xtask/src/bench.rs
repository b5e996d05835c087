//! `bench`: builds the manager and the benchmark, optimized, and runs it. What it measures is in the package bridge-bench.

use std::{env, ffi::OsString, process::Command};

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, root, run};

/// Measure packets per second, TCP streams, round trips, and the manager, against the paths beside it (`-- --help` for its options).
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Passed on: --quick, --vms, --json FILE, --html FILE, --markdown FILE, --only with a list of parts.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        run(&mut cargo(&["build", "--release", "--package", "bridge-user", "--package", "bridge-bench"]))?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
        run(Command::new(target.join("release/bridge-bench")).args(&self.arguments))
    }
}
