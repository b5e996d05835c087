//! `build`: the manager with the BPF object inside.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, run};

/// Build the manager, with the BPF programs inside.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Optimized, as for an installation.
    #[arg(long)]
    release: bool,
}

impl Build {
    /// As for an installation.
    pub(crate) const fn release() -> Self {
        Self { release: true }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut command = cargo(&["build", "--package", "bridge-user"]);
        if self.release {
            command.arg("--release");
        }
        run(&mut command)
    }
}
