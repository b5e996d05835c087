//! The lab with its guests, and whether fastbridge has found them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use bridge_tests::{
    fastbridge::Control,
    format_mac,
    lab::{Guest, GuestSpec, Lab, SlowPath},
    reference, wait_until,
};
use serde_json::Value;

use crate::run::report::Report;

/// Emulated machines on a busy host take their time.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// The lab and its guests.
pub(super) struct Site {
    pub(super) lab: Lab,
    specs: Vec<GuestSpec>,
    guests: BTreeMap<String, Guest>,
}

impl Site {
    /// Builds the installation and boots its guests.
    pub(super) fn build(report: &Report) -> Result<Self> {
        report.step("building the installation, without machines")?;
        let mut lab = reference::without_machines(Lab::builder(SlowPath::OvsUserspace))?;
        report.step("starting libvirtd")?;
        lab.start_libvirt(&["iperf3"])?;
        let mut site = Self { lab, specs: reference::guests(), guests: BTreeMap::new() };
        for name in site.names() {
            report.step(format!("starting {name}"))?;
            site.start(&name)?;
        }
        report.step("waiting for the guests to boot")?;
        for (name, guest) in &site.guests {
            guest.await_boot()?;
            let tap = site.tap(name)?;
            let listed =
                site.lab.ovs().context("the lab has no Open vSwitch")?.vsctl(&["list-ports", site.lab.bridge()])?;
            let there = listed.lines().any(|port| port == tap);
            report
                .line(there, &format!("{name} has booted, and libvirt has put its tap {tap} on {}", site.lab.bridge()));
        }
        Ok(site)
    }

    /// Starts a guest.
    pub(super) fn start(&mut self, name: &str) -> Result<()> {
        let guest = self.lab.libvirt()?.create(self.spec(name)?)?;
        self.guests.insert(name.into(), guest);
        Ok(())
    }

    /// Ends it, as if its plug were pulled.
    pub(super) fn stop(&mut self, name: &str) -> Result<()> {
        self.guests.remove(name);
        self.lab.libvirt()?.virsh(&["destroy", name])?;
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.specs.iter().map(|spec| spec.name().to_owned()).collect()
    }

    pub(super) fn spec(&self, name: &str) -> Result<&GuestSpec> {
        self.specs.iter().find(|spec| spec.name() == name).with_context(|| format!("there is no guest {name}"))
    }

    pub(super) fn guest(&self, name: &str) -> Result<&Guest> {
        self.guests.get(name).with_context(|| format!("{name} does not run"))
    }

    /// The name of its tap.
    pub(super) fn tap(&self, name: &str) -> Result<String> {
        Ok(self.lab.libvirt()?.tap(name, self.spec(name)?.chosen_mac())?)
    }
}

/// Whether the guest's station is bound to the tap, which takes part in forwarding.
pub(super) fn is_bound(site: &Site, control: &Control, name: &str, tap: &str) -> Result<bool> {
    let mac = format_mac(site.spec(name)?.chosen_mac());
    let (fdb, ports) = (control.show("fdb")?, control.show("ports")?);
    let is_it = |row: &Value| {
        row["mac"] == mac.as_str() && row["port"] == tap && row["kind"] == "static" && row["name"] == name
    };
    Ok(fdb.as_array().into_iter().flatten().any(is_it) && ports["ports"][tap]["eligible"] == true)
}

/// Waits until it is.
pub(super) fn becomes_bound(report: &Report, site: &Site, control: &Control, name: &str) -> Result<String> {
    let tap = site.tap(name)?;
    let bound = || is_bound(site, control, name, &tap).unwrap_or(false);
    let held = wait_until("the guest's station is bound", LIMIT, bound).is_ok();
    report.line(
        held,
        &format!("fastbridge has found {name} by libvirt: its station is bound to {tap}, which takes part"),
    );
    Ok(tap)
}

/// Every guest.
pub(super) fn picked_up(report: &Report, site: &Site, control: &Control) -> Result<()> {
    for name in site.names() {
        becomes_bound(report, site, control, &name)?;
    }
    Ok(())
}
