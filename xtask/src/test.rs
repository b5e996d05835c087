//! `test`: every test of the workspace. Nothing is skipped for a missing tool: that is an error before the first test.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    lanes,
    lint::{HOST_CRATES, OTHER_FEATURES, lint},
    process::{cargo, run},
    setup,
    tally::Tally,
    vm,
};

/// More labs than this at a time make each other slow, whatever the machine.
const LABS_AT_A_TIME: usize = 4;

/// Check that everything is installed, then format, lints and every test.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Only the tests: neither format nor lints.
    #[arg(long)]
    no_lint: bool,
    /// Only the tests on this machine's kernel: none in an emulated machine.
    #[arg(long)]
    no_vm: bool,
    /// Passed on to `cargo test`, e.g. `-p bridge-common`, or a part of a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Test {
    /// Every test, and nothing else.
    pub(crate) const fn without_lint() -> Self {
        Self { no_lint: true, no_vm: false, arguments: Vec::new() }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let missing = setup::missing();
        if !missing.is_empty() {
            bail!("not installed: {}; `cargo xtask setup` installs what the tests need", missing.join(", "));
        }
        if !self.no_lint {
            lint()?;
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // One more than there are cores: a lab mostly waits.
        let at_a_time = (cores + 1).min(LABS_AT_A_TIME);
        let mut tally = Tally::default();
        let native = if self.arguments.is_empty() {
            let tests = lanes::run(at_a_time, &mut tally, other_features);
            tests.and(counted(cargo(&["test", "--doc"]).args(HOST_CRATES), &mut tally))
        } else {
            self.some(at_a_time, &mut tally)
        };
        let emulated = if self.arguments.is_empty() && !self.no_vm { vm::short(&mut tally) } else { Ok(()) };
        println!("{tally}");
        native.and(emulated)
    }

    /// What the arguments ask for.
    fn some(&self, at_a_time: usize, tally: &mut Tally) -> Result<()> {
        let mut command = cargo(&["test", "--no-fail-fast"]);
        if !self.arguments.iter().any(|word| word == "-p" || word.starts_with("--package")) {
            command.args(HOST_CRATES);
        }
        if env::var_os("RUST_TEST_THREADS").is_none() {
            command.env("RUST_TEST_THREADS", at_a_time.to_string());
        }
        counted(command.args(&self.arguments), tally)
    }
}

/// The other features at once: the programs with their log (that the verifier takes them, and that they tell of frames), and no libvirt (that
/// the one who asks for it is told). Only the library's tests, so that no such `fastbridge` is left for the labs to find.
fn other_features() -> Result<()> {
    let library = ["test", "--quiet", "--package", "bridge-user", "--lib"];
    run(cargo(&library).args(OTHER_FEATURES).args(["--", "dataplane::trace", "source::libvirt"]))
        .context("feature `trace`, without `libvirt`")
}

/// Runs cargo's tests, passes their words on and counts.
fn counted(command: &mut Command, tally: &mut Tally) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("`cargo test` could not be started")?;
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.context("what `cargo test` prints cannot be read")?;
        println!("{line}");
        tally.add(&line);
    }
    let status = child.wait().context("`cargo test` was lost")?;
    if !status.success() {
        bail!("some tests failed: {status}");
    }
    Ok(())
}
