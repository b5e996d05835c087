//! `vm`: a command, or tests, on another kernel in an emulated machine (virtme-ng) that has this machine's files, read-only.
//!
//! With `--matrix`, tests on every kernel, this machine's included. Three results: the command's own, an error, or SKIP (exit code 77) where the machine cannot be had here. Must not: take a
//! machine that did not start for one in which nothing failed.

mod guest;
mod kernel;
mod matrix;
mod suite;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use self::{
    guest::Guest,
    kernel::Kernel,
    matrix::Matrix,
    suite::{Place, Suite},
};
use crate::tally::Tally;

/// What automake calls a skipped test, and scripts with it.
const SKIPPED: u8 = 77;

/// What [`short`] runs: file and filters. All in labs of their own.
const SHORT: &[(&str, &[&str])] =
    &[("differential_vlan", &["ovs_kernel_datapath_with_the_reference", "filtering_linux_bridge_with_the_reference"])];

/// Of each random stream.
const SHORT_FRAMES: &str = "1500";

/// Run a command or tests on another kernel, in an emulated machine.
#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// Which Linux; several with tests.
    #[arg(long, value_enum, required_unless_present = "matrix")]
    kernel: Vec<Release>,
    /// Every kernel, this machine's included; without --test: every file of programs (prog_*) and labs (lab_*).
    #[arg(long, conflicts_with_all = ["kernel", "command"])]
    matrix: bool,
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
    /// This machine's own, without emulation.
    #[value(name = "here")]
    Here,
}

impl Release {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Here => "here",
        }
    }

    /// For a table's head.
    fn title(self) -> String {
        let own = || crate::process::output("uname", &["-r"]).unwrap_or_default().trim().to_owned();
        if self == Self::Here { format!("{} (here)", own()) } else { format!("Linux {}", self.name()) }
    }
}

impl Vm {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        if self.matrix {
            let all = || suite::files(&["prog_", "lab_"]);
            let tests = if self.tests.is_empty() { all()? } else { self.tests.clone() };
            return on_all(&[Release::V6_1, Release::V6_12, Release::Here], &tests);
        }
        if !self.tests.is_empty() {
            return on_all(&self.kernel, &self.tests);
        }
        let ([release], false) = (&self.kernel[..], self.command.is_empty()) else {
            bail!("give tests (`--test NAME`), or one kernel and a command (`-- COMMAND`)");
        };
        match place(*release)? {
            Ok(Place::Guest(guest)) => Ok(ExitCode::from(guest.run(&quoted(&self.command))?)),
            Ok(Place::Here) => bail!("a command on this machine needs no `vm`"),
            Err(why) => {
                println!("SKIP: {why}");
                Ok(ExitCode::from(SKIPPED))
            }
        }
    }
}

/// The inner error says why that kernel cannot be had on this machine.
fn place(release: Release) -> Result<Result<Place, String>> {
    if release == Release::Here {
        return Ok(Ok(Place::Here));
    }
    match Kernel::get(release)? {
        Ok(kernel) => Ok(Ok(Place::Guest(Guest::new(kernel)?))),
        Err(why) => Ok(Err(why)),
    }
}

fn on_all(kernels: &[Release], tests: &[String]) -> Result<ExitCode> {
    let suite = Suite::build(tests, &[])?;
    let mut matrix = Matrix::default();
    for release in kernels {
        let name = release.title();
        println!("━━ {name}");
        let ran = match place(*release)? {
            Ok(place) => Ok(suite.run(&place)?),
            Err(why) => Err(why),
        };
        matrix.add(&name, ran);
    }
    matrix.show(suite.names());
    Ok(match (matrix.is_empty(), matrix.is_whole()) {
        (true, _) => ExitCode::from(SKIPPED),
        (false, whole) => {
            if whole {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
    })
}

/// Installs what [`short`] needs, or says why it cannot be had here.
pub(crate) fn prepare() -> Result<()> {
    if let Err(why) = Kernel::get(Release::V6_1)? {
        println!("setup: tests in an emulated machine will be skipped: {why}");
    }
    Ok(())
}

/// What `test` runs in a machine besides: a short differential beside the bridges that a development machine's kernel may lack, and the
/// programs' golden cases on the oldest kernel. Its counts are added to `tally`; a machine that cannot be had adds nothing and says SKIP.
pub(crate) fn short(tally: &mut Tally) -> Result<()> {
    let place = match place(Release::V6_1)? {
        Ok(place) => place,
        Err(why) => {
            println!("SKIP: Linux 6.1 in an emulated machine: {why}");
            return Ok(());
        }
    };
    let mut whole = true;
    for (test, arguments) in SHORT {
        let suite = Suite::build(&[(*test).into()], arguments)?.variable("FASTBRIDGE_FRAMES", SHORT_FRAMES);
        for (_, ran) in suite.run(&place)? {
            whole &= ran.ended == 1 && ran.failed == 0;
            tally.absorb(ran);
        }
    }
    if !whole {
        bail!("some tests failed on Linux 6.1 in the emulated machine");
    }
    Ok(())
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
