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
        if self.arguments.is_empty() {
            other_features()?;
        }
        let mut command = cargo(&["test", "--no-fail-fast"]);
        if !self.arguments.iter().any(|word| word == "-p" || word.starts_with("--package")) {
            command.args(HOST_CRATES);
        }
        if env::var_os("RUST_TEST_THREADS").is_none() {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            // One more than there are cores: a lab mostly waits.
            command.env("RUST_TEST_THREADS", (cores + 1).min(LABS_AT_A_TIME).to_string());
        }
        counted(command.args(&self.arguments))
    }
}

/// The other features at once: the programs with their log (that the verifier takes them, and that they tell of frames), and no libvirt (that
/// the one who asks for it is told). Only the library's tests, so that no such `fastbridge` is left for the labs to find.
fn other_features() -> Result<()> {
    let library =
        ["test", "--quiet", "--package", "bridge-user", "--no-default-features", "--features", "trace", "--lib"];
    run(cargo(&library).args(["--", "dataplane::trace", "source::libvirt"]))
        .context("feature `trace`, without `libvirt`")
}

/// Runs cargo's tests, passes their words on, and ends with one line that counts them all: cargo counts each binary.
fn counted(command: &mut Command) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("`cargo test` could not be started")?;
    let mut tally = Tally::default();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.context("what `cargo test` prints cannot be read")?;
        println!("{line}");
        tally.add(&line);
    }
    let status = child.wait().context("`cargo test` was lost")?;
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.ignored);
    if !status.success() {
        bail!("some tests failed: {status}");
    }
    Ok(())
}

/// Sum of libtest's closing lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; other lines are none of ours.
    pub(crate) fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, what)| (number.parse().unwrap_or(0), what)) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up_and_others_are_not() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.28s",
            "test result: FAILED. 6 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 86.18s",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 9, failed: 3, ignored: 1 });
    }
}
