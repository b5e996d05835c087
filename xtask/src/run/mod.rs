//! `run`: fastbridge on this host's own bridge, or, without a topology file, proved in a lab of its own.
//!
//! Must not: touch anything outside the lab in the second form, nor leave anything of it behind.

mod counters;
mod flood;
mod installation;
mod iperf;
mod leftovers;
mod pass;
mod proof;
mod rates;
mod reach;
mod refusal;
mod report;
mod snmp;
mod vms;

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build::Build, install::target, lab::must_be_root, setup::Setup};

/// Run fastbridge on this host's bridge, or prove it in a lab of the reference installation.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Run the manager with this file, on this host, until it is stopped. Without it: bring up the reference installation in network
    /// namespaces, print the proof, take it down; the exit code says whether every line held.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// With a topology file: follow this libvirt, such as qemu:///system.
    #[arg(long, value_name = "URI", requires = "topology")]
    libvirt: Option<String>,
    /// Prove it with virtual machines: a libvirtd and emulated guests in the lab, beside Open vSwitch.
    #[arg(long, conflicts_with = "topology")]
    vms: bool,
}

impl Run {
    pub(crate) fn run(&self) -> Result<()> {
        let manager = target().join("release/fastbridge");
        if let Some(topology) = &self.topology {
            Build::release().run()?;
            let mut command = Command::new(&manager);
            command.args(["run", "--topology"]).arg(topology);
            command.args(self.libvirt.iter().flat_map(|uri| ["--libvirt", uri]));
            eprintln!("$ {} run --topology {}", manager.display(), topology.display());
            // It becomes the manager: signals reach it, and its exit code is ours.
            return Err(command.exec()).with_context(|| format!("{} could not be started", manager.display()));
        }
        must_be_root("labs")?;
        Setup::installing().run()?;
        Build::release().run()?;
        if self.vms { vms::prove(&manager) } else { proof::prove(&manager) }
    }
}
