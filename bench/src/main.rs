//! `bridge-bench`: the figures that fastbridge must reach, as ratios within one run. Prints them; judges, but fails only
//! when a measurement could not be made at all.
//!
//! Must not: know the product by anything but its command line, touch the initial network namespace, or leave anything.

mod bulk;
mod busy;
mod calls;
mod control;
mod cores;
mod flood;
mod frames;
mod host;
mod latency;
mod policy;
mod programs;
mod progress;
mod rate;
mod report;
mod stats;
mod switch;
mod topology;
mod work;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::{
    progress::Progress,
    report::{Files, Report, Row},
};

/// Measure what fastbridge must reach. Everything runs in network namespaces of its own and goes with them.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Fewer rounds: much shorter, wider spread.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    files: Files,
    /// Measure bulk TCP between two emulated guests too, which takes some minutes more.
    #[arg(long)]
    vms: bool,
    /// Only these parts.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Part>,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.contains(&part) || if part == Part::Vms { self.vms } else { self.only.is_empty() }
    }
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
    /// A port's hook changed under traffic, and what XDP brings and costs where.
    Switch,
}

/// Measures, `quick` or not, and adds rows.
type Measure = fn(bool, &Progress, &mut Vec<Row>) -> Result<()>;

impl Part {
    /// Its title, and what measures it.
    fn what(self) -> (&'static str, Measure) {
        match self {
            Self::Rate => ("packets per second", rate::measure),
            Self::Ovs => ("packets per second beside Open vSwitch", rate::measure_beside_ovs),
            Self::Userspace => {
                ("packets per second beside Open vSwitch's userspace datapath", rate::userspace::measure)
            }
            Self::Drops => ("cost of a drop", rate::drops::measure),
            Self::Policies => ("other policies", rate::policies::measure),
            Self::Sizes => ("packets per second with many stations, prefixes and ports", rate::sizes::measure),
            Self::Cost => ("program cost", rate::cost::measure),
            Self::Bulk => ("bulk TCP", bulk::measure),
            Self::Vms => ("bulk TCP between guests", bulk::measure_guests),
            Self::Latency => ("latency", latency::measure),
            Self::Control => ("control", control::measure),
            Self::Scale => ("many ports and stations", control::scale::measure),
            Self::Switch => ("TC or XDP, and from one to the other", switch::measure),
        }
    }
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
    for &part in Part::value_variants().iter().filter(|&&part| options.wants(part)) {
        let (title, measure) = part.what();
        let ended = measure(options.quick, &progress, &mut report.rows);
        report.part(title, ended);
    }
    if !options.vms && options.only.is_empty() {
        report.rows.push(Row::skip("between two guests", "some minutes more: measured when asked for, by --vms"));
        report.part(Part::Vms.what().0, Ok(()));
    }
    progress.finish();
    let width = console::Term::stdout().size_checked().map(|(_, columns)| columns);
    println!("{}", report.text(width));
    options.files.write(&report)?;
    report.complete()
}
