//! `bridge-bench`: the figures that fastbridge must reach, as ratios within one run. Prints them; judges, but fails only
//! when a measurement could not be made at all.
//!
//! Must not: know the product by anything but its command line, touch the initial network namespace, or leave anything.

mod bulk;
mod calls;
mod control;
mod frames;
mod host;
mod policy;
mod programs;
mod progress;
mod rate;
mod report;
mod stats;
mod topology;
mod work;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::{progress::Progress, report::Report};

/// Measure what fastbridge must reach. Everything runs in network namespaces of its own and goes with them.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Fewer rounds: under three minutes, wider spread.
    #[arg(long)]
    quick: bool,
    /// Write every figure there too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table as a Markdown page there too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Only these parts: rate, ovs, userspace, drops, policies, sizes, cost, bulk, control, scale.
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
    /// Packets per second beside Open vSwitch's userspace datapath.
    Userspace,
    /// Denied packets per second.
    Drops,
    /// Packets per second under other policies.
    Policies,
    /// Packets per second with many stations, prefixes and ports.
    Sizes,
    /// Nanoseconds of a call of each program.
    Cost,
    /// One TCP stream.
    Bulk,
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
    if wanted(Part::Userspace) {
        let ended = rate::userspace::measure(options.quick, &progress, &mut report.rows);
        report.part("packets per second beside Open vSwitch's userspace datapath", ended);
    }
    if wanted(Part::Drops) {
        let ended = rate::drops::measure(options.quick, &progress, &mut report.rows);
        report.part("cost of a drop", ended);
    }
    if wanted(Part::Policies) {
        let ended = rate::policies::measure(options.quick, &progress, &mut report.rows);
        report.part("other policies", ended);
    }
    if wanted(Part::Sizes) {
        let ended = rate::sizes::measure(options.quick, &progress, &mut report.rows);
        report.part("packets per second with many stations, prefixes and ports", ended);
    }
    if wanted(Part::Cost) {
        let ended = rate::cost::measure(options.quick, &progress, &mut report.rows);
        report.part("program cost", ended);
    }
    if wanted(Part::Bulk) {
        let ended = bulk::measure(options.quick, &progress, &mut report.rows);
        report.part("bulk TCP", ended);
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
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &options.markdown {
        fs::write(path, report.markdown()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.complete()
}
