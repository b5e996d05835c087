//! `lab`: the reference installation after the repair, kept up for people to look around in, and taken down again.
//!
//! Daemonless: `up` ends and leaves the namespaces (and Open vSwitch's own daemons); they are found again by name, also after a crash. Must
//! not: touch the initial network namespace, or a lab of another name.

use std::{env, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    find_tool,
    lab::{Kept, Lab as Running, SlowPath},
    reference,
};
use clap::{Args, Subcommand, ValueEnum};

use crate::interrupt;

/// Keep the reference installation up in network namespaces of its own.
#[derive(Debug, Args)]
pub(crate) struct Lab {
    /// Which lab, when there are several: 1 to 12 letters a-z.
    #[arg(long, default_value = "lab")]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build it; it stays until `down`.
    Up {
        /// What forwards between the machines.
        #[arg(long, value_enum, default_value = "linux")]
        slow_path: Kind,
    },
    /// Take it down, also one that a crash left half built.
    Down,
    /// Run a command inside a machine, `host` or `router` of it.
    Exec {
        /// `host`, `router`, `internet` or a machine such as `master1`.
        machine: String,
        /// The command with its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

/// Which bridge.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// The kernel's own bridge.
    Linux,
    /// Open vSwitch with its userspace datapath.
    Ovs,
}

impl Lab {
    pub(crate) fn run(&self) -> Result<()> {
        must_be_root("labs")?;
        let kept = Kept::named(&self.name)?;
        match &self.verb {
            Verb::Up { slow_path } => up(&kept, *slow_path),
            Verb::Down => {
                down(&kept);
                Ok(())
            }
            Verb::Exec { machine, command } => exec(&kept, machine, command),
        }
    }
}

/// Refuses early and in words: without root the first failing system call would only say "permission denied".
pub(crate) fn must_be_root(what: &str) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "refused: {what} create network namespaces, which only root may; run this as root (for example with sudo -E)"
    );
}

fn up(kept: &Kept, kind: Kind) -> Result<()> {
    if kept.exists() {
        bail!("that lab is up already, or a crash left some of it; `cargo xtask lab down` takes it down");
    }
    interrupt::watch()?;
    let slow_path = match kind {
        Kind::Linux => SlowPath::LinuxBridge,
        Kind::Ovs => SlowPath::OvsUserspace,
    };
    let lab = reference::after_in(Running::builder(slow_path).kept(kept.clone()))?;
    interrupt::check()?;
    lab.keep(kept)?;
    println!("up: {}", kept.roles().join(", "));
    println!(
        "  cargo xtask lab exec master1 -- ping -c1 192.168.0.50
  cargo xtask lab exec host -- target/release/fastbridge run --topology tests/fixtures/reference.toml
  cargo xtask lab exec host -- target/release/fastbridge show counters
  cargo xtask lab down"
    );
    Ok(())
}

fn down(kept: &Kept) {
    let removed = kept.remove();
    if removed.is_empty() {
        println!("down: there was nothing");
    }
    for path in removed {
        println!("removed {}", path.display());
    }
}

/// Becomes the command, inside the namespace: its exit code is ours.
fn exec(kept: &Kept, machine: &str, command: &[String]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command given") };
    let path = if program.contains('/') { program.into() } else { find_tool_or_say(program)? };
    let mut inside = kept.netns(machine)?.command_at(&path)?;
    inside.args(arguments);
    if env::var_os("FASTBRIDGE_PINS").is_none() {
        inside.env("FASTBRIDGE_PINS", kept.pins());
    }
    if let Some(directory) = kept.ovs_run_dir() {
        inside.env("OVS_RUNDIR", directory);
    }
    Err(inside.exec()).with_context(|| format!("`{program}` could not be started"))
}

fn find_tool_or_say(program: &str) -> Result<std::path::PathBuf> {
    find_tool(program).map_err(|_| anyhow::anyhow!("`{program}` is not installed"))
}
