//! The whole proof: the installation as it failed, then the repaired one with fastbridge beside each slow path, then nothing left.
//!
//! Must not: measure anything itself; each part has its own file.

use std::path::Path;

use anyhow::Result;
use bridge_tests::{reference, remains_of};

use super::{installation::Installation, leftovers::Programs, pass, reach, report::Report};
use crate::interrupt;

/// What is proved with a manager, before all of it must be gone.
type Parts = fn(&Path, &Report, &mut Programs) -> Result<()>;

/// Runs it with this manager; an error when any line did not hold, or when it was interrupted.
pub(super) fn prove(manager: &Path) -> Result<()> {
    prove_parts(manager, 2 + Installation::ALL.len() as u64 * pass::STEPS, parts)
}

/// As [`prove`], for other parts (of about that many steps).
pub(super) fn prove_parts(manager: &Path, steps: u64, parts: Parts) -> Result<()> {
    interrupt::watch()?;
    let report = Report::new(steps);
    let mut programs = Programs::default();
    let done = parts(manager, &report, &mut programs);
    if interrupt::seen() {
        // Whatever failed, failed because its programs were interrupted too.
        drop(report);
        anyhow::bail!("interrupted; {}", left_in_words(&programs)?);
    }
    done?;
    report.heading("After all");
    nothing_left(&report, &programs)?;
    report.finish()
}

fn parts(manager: &Path, report: &Report, programs: &mut Programs) -> Result<()> {
    before(report)?;
    for installation in Installation::ALL {
        pass::run(manager, installation, report, programs)?;
    }
    Ok(())
}

/// The NAT islands, and the five places their masters cannot reach.
fn before(report: &Report) -> Result<()> {
    report.heading("Before the repair: libvirt networks in mode \"nat\", each an island");
    report.step("building the installation as it was")?;
    let lab = reference::before()?;
    report.step("pinging five targets from three masters")?;
    let probes = reference::probe_before(&lab, &reference::MASTERS)?;
    reach::table(report, "what the masters reached", &probes);
    let shown = probes.iter().filter(|probe| reference::shows_the_symptom(probe)).count();
    report.line(
        shown == probes.len(),
        &format!("{shown} of {} fail as the operators saw it: freeipa1 is rejected, the rest is lost", probes.len()),
    );
    Ok(())
}

fn nothing_left(report: &Report, programs: &Programs) -> Result<()> {
    let remains = remains_of(std::process::id());
    report.line(remains.is_empty(), &format!("no namespace and no directory of the labs is left{}", listed(&remains)));
    let left = programs.left()?;
    report.line(
        programs.count() > 0 && left.is_empty(),
        &format!("none of the {} BPF programs that fastbridge held is left{}", programs.count(), listed(&left)),
    );
    Ok(())
}

fn left_in_words(programs: &Programs) -> Result<String> {
    let (remains, left) = (remains_of(std::process::id()), programs.left()?);
    if remains.is_empty() && left.is_empty() {
        return Ok("everything was taken down".into());
    }
    Ok(format!("left behind{}{}", listed(&remains), listed(&left)))
}

pub(super) fn listed(things: &[impl std::fmt::Debug]) -> String {
    if things.is_empty() { String::new() } else { format!(": {things:?}") }
}
