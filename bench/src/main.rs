//! `bridge-bench`: the figures that fastbridge must reach, as ratios within one run. Prints them; judges, but fails only
//! when a measurement could not be made at all.
//!
//! Must not: know the product by anything but its command line, touch the initial network namespace, or leave anything.

mod bulk;
mod busy;
mod control;
mod cores;
mod flood;
mod frames;
mod host;
mod latency;
mod programs;
mod progress;
mod rate;
mod report;
mod stats;
mod topology;
mod work;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::{
    progress::Progress,
    report::{Files, Report},
};

/// Measure what fastbridge must reach. Everything runs in network namespaces of its own and goes with them.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Fewer rounds: under three minutes, wider spread.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    files: Files,
    /// Measure bulk TCP between two emulated guests too, which takes some minutes more.
    #[arg(long)]
    vms: bool,
    /// Only these parts: rate, ovs, bulk, vms, latency, control, scale.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Part>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Packets per second.
    Rate,
    /// Packets per second beside Open vSwitch's kernel datapath.
    Ovs,
    /// One TCP stream and four.
    Bulk,
    /// The same between guests; only when asked for, here or by --vms.
    Vms,
    /// Round trips, idle and while others flood.
    Latency,
    /// Attaching, swapping, memory.
    Control,
    /// Many ports and stations.
    Scale,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    options.files.check()?;
    let mut report = Report::new(host::describe(options.quick)?);
    let progress = Progress::start();
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    if wanted(Part::Rate) {
        let ended = rate::measure(options.quick, &progress, &mut report.rows);
        report.part("packets per second", ended);
    }
    if wanted(Part::Ovs) {
        let ended = rate::measure_beside_ovs(options.quick, &progress, &mut report.rows);
        report.part("packets per second beside Open vSwitch", ended);
    }
    if wanted(Part::Bulk) {
        let ended = bulk::measure(options.quick, &progress, &mut report.rows);
        report.part("bulk TCP", ended);
    }
    if options.vms || options.only.contains(&Part::Vms) {
        let ended = bulk::measure_guests(options.quick, &progress, &mut report.rows);
        report.part("bulk TCP between guests", ended);
    }
    if wanted(Part::Latency) {
        let ended = latency::measure(options.quick, &progress, &mut report.rows);
        report.part("latency", ended);
    }
    if wanted(Part::Control) {
        let ended = control::measure(options.quick, &progress, &mut report.rows);
        report.part("control", ended);
    }
    if wanted(Part::Scale) {
        let ended = control::scale::measure(options.quick, &progress, &mut report.rows);
        report.part("many ports and stations", ended);
    }
    progress.finish();
    println!("{}", report.text());
    options.files.write(&report)?;
    report.complete()
}
