//! `test`: every test of the workspace. Nothing is skipped for a missing tool: that is an error before the first test.

use std::{env, thread};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    lint::{HOST_CRATES, lint},
    process::{cargo, run},
    setup,
};

/// More labs than this at a time make each other slow, whatever the machine.
const LABS_AT_A_TIME: usize = 4;

/// Check that everything is installed, then format, lints and every test.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Only the tests: neither format nor lints.
    #[arg(long)]
    no_lint: bool,
    /// Passed on to `cargo test`, e.g. `-p bridge-common`, or a part of a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Test {
    /// Every test, and nothing else.
    pub(crate) const fn without_lint() -> Self {
        Self { no_lint: true, arguments: Vec::new() }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let missing = setup::missing();
        if !missing.is_empty() {
            bail!("not installed: {}; `cargo xtask setup` installs what the tests need", missing.join(", "));
        }
        if !self.no_lint {
            lint()?;
        }
        let mut command = cargo(&["test", "--no-fail-fast"]);
        if !self.arguments.iter().any(|word| word == "-p" || word.starts_with("--package")) {
            command.args(HOST_CRATES);
        }
        if env::var_os("RUST_TEST_THREADS").is_none() {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            command.env("RUST_TEST_THREADS", cores.min(LABS_AT_A_TIME).to_string());
        }
        run(command.args(&self.arguments))
    }
}
