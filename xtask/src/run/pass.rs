//! One pass: the repaired installation on one slow path, off and on, and taken down again.

use std::path::Path;

use anyhow::Result;
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
    lab::Lab,
    reference,
};

use super::{
    counters,
    installation::Installation,
    leftovers::Programs,
    rates::{self, Rates, State},
    reach, refusal,
    report::Report,
};
/// Off and on in turns, so that a machine that grows slower meanwhile slows both.
pub(super) const ROUNDS: usize = 2;

/// How many steps a pass announces.
pub(super) const STEPS: u64 = 4 + (2 + 2 * rates::STEPS) * ROUNDS as u64;

/// Runs it; an error only when something could not be tried at all.
pub(super) fn run(manager: &Path, installation: Installation, report: &Report, programs: &mut Programs) -> Result<()> {
    let name = installation.name();
    report.heading(&format!("After the repair, on {name}"));
    report.step(format!("building the installation on {name}"))?;
    // Dropped in the reverse order: the manager, its pins, the lab.
    let lab = installation.build()?;
    let topology = installation.topology()?;
    let pins = Bpffs::mount()?;
    let control = Control::with_binary(&lab, pins.path(), manager.into());
    refusal::prepare(&lab)?;
    refusal::without(report, &lab)?;

    let mut rates = Rates::default();
    rates.measure(report, &lab, State::Off)?;
    let mut fastbridge = start(report, &lab, &control, topology.path(), programs)?;
    prove(report, &lab)?;
    rates.measure(report, &lab, State::On)?;
    report.step("reading the counters")?;
    counters::judge(report, &lab, &control.show("counters")?);
    stop(report, &lab, &mut fastbridge, pins.path())?;

    for _ in 1..ROUNDS {
        rates.measure(report, &lab, State::Off)?;
        fastbridge = start(report, &lab, &control, topology.path(), programs)?;
        rates.measure(report, &lab, State::On)?;
        stop(report, &lab, &mut fastbridge, pins.path())?;
    }
    rates.show(report);
    Ok(())
}

/// The five targets, and what is refused.
fn prove(report: &Report, lab: &Lab) -> Result<()> {
    report.step("pinging five targets from three masters")?;
    let probes = reference::probe(lab, &reference::MASTERS)?;
    reach::table(report, "what the masters reach with fastbridge on", &probes);
    let reached = probes.iter().filter(|probe| probe.ok).count();
    report.line(reached == probes.len(), &format!("{reached} of {} reached", probes.len()));
    report.step("trying what the policy refuses")?;
    refusal::with(report, lab)
}

fn start(
    report: &Report,
    lab: &Lab,
    control: &Control,
    topology: &Path,
    programs: &mut Programs,
) -> Result<Fastbridge> {
    report.step("starting fastbridge")?;
    let fastbridge = control.start(topology)?;
    programs.note(fastbridge.pid())?;
    let ports = lab.machines().len() + 1;
    let ready = fastbridge.ready_ports();
    report.line(ready == ports, &format!("fastbridge is ready on {ready} of {ports} ports"));
    Ok(fastbridge)
}

/// Ends the manager and detaches what it leaves in force.
pub(super) fn stop(report: &Report, lab: &Lab, fastbridge: &mut Fastbridge, pins: &Path) -> Result<()> {
    report.step("stopping fastbridge")?;
    let status = fastbridge.terminate()?;
    fastbridge.control().detach()?;
    let errors = fastbridge.errors_in_log();
    // The kernel's own maps.debug and progs.debug are on every bpffs.
    let pinned = pins.join(lab.bridge()).exists();
    report.line(
        status.success() && errors.is_empty() && !pinned,
        &format!(
            "fastbridge stopped ({status}), {} errors in its log, {}",
            errors.len(),
            if pinned { "some of its pins are left" } else { "detached: no pin is left" }
        ),
    );
    errors.iter().for_each(|error| report.note(error));
    Ok(())
}
