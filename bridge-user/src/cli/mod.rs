//! The command line: arguments in, one verb done, an exit code out.
//!
//! Exit codes: 0 done, 1 failed at run time, 2 bad input, 3 refused (missing bridge, privilege or kernel feature, someone
//! else's hook or lock, an unpoliced port).

pub mod render;
mod show;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    dataplane::{DataplaneError, pinned},
    manager::{self, ManagerError},
    topology,
};

/// An eBPF dataplane beside Open vSwitch or the Linux bridge.
#[derive(Debug, Parser)]
#[command(name = "fastbridge", version)]
pub struct Cli {
    /// Directory on a BPF file system where programs and maps are pinned.
    #[arg(long, global = true, env = "FASTBRIDGE_PINS", default_value = "/sys/fs/bpf/fastbridge")]
    pins: PathBuf,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Attach to the bridge's ports and keep everything true until SIGINT or SIGTERM.
    Run {
        /// The topology file.
        #[arg(long)]
        topology: PathBuf,
        /// Follow this libvirt, such as qemu:///system: its guests' interfaces become stations. Stands in for `[libvirt] uri`.
        #[arg(long, value_name = "URI", value_parser = libvirt_uri)]
        libvirt: Option<String>,
    },
    /// Validate a topology file without looking at the host.
    Check {
        /// The topology file.
        #[arg(long)]
        topology: PathBuf,
    },
    /// Show what the pinned maps hold; needs no running manager.
    Show {
        /// What to show.
        what: What,
        /// Which bridge; only needed when several are pinned.
        #[arg(long)]
        bridge: Option<String>,
    },
    /// Remove every program, pin and map of a bridge.
    Detach {
        /// Which bridge.
        #[arg(long)]
        bridge: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Ports,
    Fdb,
    Flows,
    Counters,
    Policy,
    Status,
}

/// A verb that failed: what to say and how to exit.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn input(message: impl ToString) -> Self {
        Self { code: 2, message: message.to_string() }
    }
}

impl From<DataplaneError> for Failure {
    fn from(error: DataplaneError) -> Self {
        Self { code: if error.is_refusal() { 3 } else { 1 }, message: error.to_string() }
    }
}

impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        Self { code: error.exit_code(), message: error.to_string() }
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprintln!("fastbridge: {message}");
            ExitCode::from(code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.verb {
        Verb::Run { topology, libvirt } => Ok(manager::run(&cli.pins, &topology, libvirt.as_deref())?),
        Verb::Check { topology } => check(&topology),
        Verb::Show { what, bridge } => show::show(&cli.pins, bridge, what, cli.json),
        Verb::Detach { bridge } => Ok(pinned::detach_bridge(&cli.pins, &bridge)?),
    }
}

fn libvirt_uri(text: &str) -> Result<String, String> {
    topology::unfit_libvirt_uri(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn check(path: &std::path::Path) -> Result<(), Failure> {
    let parsed = topology::load(path).map_err(Failure::input)?;
    for warning in &parsed.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
