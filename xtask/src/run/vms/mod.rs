//! `run --vms`: the reference installation with real virtual machines. libvirt starts them and puts their taps on Open vSwitch's bridge; fastbridge
//! is told only where libvirt is.
//!
//! Guests are emulated: what they reach is proved, what they measure is shown.

mod changes;
mod site;
mod traffic;

use std::path::Path;

use anyhow::Result;
use bridge_tests::{bpffs::Bpffs, fastbridge::Control, reference};

use self::site::Site;
use super::{leftovers::Programs, pass, proof, reach, report::Report};
use crate::process::root;

/// How many steps it announces.
const STEPS: u64 = 17;

/// Runs it with this manager; an error when any line did not hold, or when it was interrupted.
pub(super) fn prove(manager: &Path) -> Result<()> {
    proof::prove_parts(manager, STEPS, parts)
}

/// An error only when something could not be tried at all.
fn parts(manager: &Path, report: &Report, programs: &mut Programs) -> Result<()> {
    report.heading("Virtual machines of libvirt, on Open vSwitch, userspace datapath");
    let mut site = Site::build(report)?;
    let processes = site.lab.libvirt()?.processes();
    let pins = Bpffs::mount()?;
    let control = Control::with_binary(&site.lab, pins.path(), manager.into()).libvirt(&site.lab.libvirt()?.uri());

    report.step("what the bridge alone lets through")?;
    traffic::refused(report, &site, false)?;
    let off = traffic::rate(report, &site, "off")?;

    report.step("starting fastbridge")?;
    let mut fastbridge = control.start(&root().join("tests/fixtures/reference.toml"))?;
    programs.note(fastbridge.pid())?;
    site::picked_up(report, &site, &control)?;
    programs.note(fastbridge.pid())?;
    reached(report, &site)?;
    traffic::refused(report, &site, true)?;
    traffic::spoofed(report, &site, &control)?;
    let on = traffic::rate(report, &site, "on")?;
    traffic::table(report, off, on);
    changes::restarted(report, &mut site, &control)?;
    changes::moved(report, &site, &control)?;
    programs.note(fastbridge.pid())?;
    let processes = processes.into_iter().chain(site.lab.libvirt()?.processes());
    let processes: Vec<_> = processes.map(|pid| format!("/proc/{pid}/exe")).collect();
    pass::stop(report, &site.lab, &mut fastbridge, pins.path())?;

    report.step("stopping the virtual machines")?;
    drop(site);
    let left: Vec<_> = processes.iter().filter(|process| Path::new(process).exists()).collect();
    report.line(left.is_empty(), &format!("no virtual machine is left{}", proof::listed(&left)));
    Ok(())
}

/// The five targets.
fn reached(report: &Report, site: &Site) -> Result<()> {
    report.step("pinging five targets from two masters")?;
    let mut probes = Vec::new();
    for master in ["master1", "master2"] {
        for (target, _) in reference::TARGETS {
            probes.push(site.guest(master)?.ping(target)?);
        }
    }
    reach::table(report, "what the masters reach with fastbridge on", &probes);
    let reached = probes.iter().filter(|probe| probe.ok).count();
    report.line(reached == probes.len(), &format!("{reached} of {} reached", probes.len()));
    Ok(())
}
