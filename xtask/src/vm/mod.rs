//! `vm`: a command, or tests, on another kernel in an emulated machine (virtme-ng) that has this machine's files, read-only.
//!
//! Three results: the command's own, an error, or SKIP (exit code 77) where the machine cannot be had here. Must not: take a
//! machine that did not start for one in which nothing failed.

mod guest;
mod kernel;
mod suite;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use self::{guest::Guest, kernel::Kernel};

/// What automake calls a skipped test, and scripts with it.
const SKIPPED: u8 = 77;

/// Run a command or tests on another kernel, in an emulated machine.
#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// Which Linux.
    #[arg(long, value_enum)]
    kernel: Release,
    /// Run these test files of tests/tests there (built here), one after the other, instead of a command: `--test prog_cases`.
    #[arg(long = "test", value_name = "NAME", conflicts_with = "command")]
    tests: Vec<String>,
    /// What to run there, as root, in the repository's root; files can be written to the directory in `$VM_OUT`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Kernels of Debian's packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    /// Without tcx: filters under clsact.
    #[value(name = "6.1")]
    V6_1,
    /// With tcx.
    #[value(name = "6.12")]
    V6_12,
}

impl Release {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }
}

impl Vm {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        if self.tests.is_empty() && self.command.is_empty() {
            bail!("nothing to run: give `--test NAME` or `-- COMMAND`");
        }
        let kernel = match Kernel::get(self.kernel)? {
            Ok(kernel) => kernel,
            Err(why) => {
                println!("SKIP: {why}");
                return Ok(ExitCode::from(SKIPPED));
            }
        };
        let guest = Guest::new(kernel)?;
        if self.tests.is_empty() {
            return Ok(ExitCode::from(guest.run(&quoted(&self.command))?));
        }
        suite::run(&guest, &self.tests)
    }
}

/// Words for a shell.
fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_shell_as_they_are() {
        assert_eq!(quoted(&["a b".into(), "it's".into(), "$x".into()]), r"'a b' 'it'\''s' '$x'");
    }
}
