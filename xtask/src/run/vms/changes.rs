//! Guests that change: one is stopped and started, one moves to another port.

use anyhow::{Context as _, Result};
use bridge_tests::{capture::Tap, fastbridge::Control, format_mac, wait_until};

use super::site::{LIMIT, Site, becomes_bound};
use crate::run::report::Report;

/// EtherType of RARP, QEMU's announcement of a guest that has moved (net/announce.c).
const RARP: [u8; 2] = [0x80, 0x35];

/// master2 is stopped and started: another tap.
pub(super) fn restarted(report: &Report, site: &mut Site, control: &Control) -> Result<()> {
    let name = "master2";
    report.step(format!("stopping {name}"))?;
    let old = site.tap(name)?;
    let index = site.lab.host().ifindex(&old)?;
    site.stop(name)?;
    let gone = || control.show("ports").is_ok_and(|ports| ports["ports"][&old].is_null());
    report.line(
        wait_until("the port is forgotten", LIMIT, gone).is_ok(),
        &format!("{name} is stopped: its port is forgotten"),
    );

    report.step(format!("starting {name}"))?;
    site.start(name)?;
    let tap = becomes_bound(report, site, control, name)?;
    let other = site.lab.host().ifindex(&tap)? != index;
    report.line(other, &format!("{tap} is another interface than before"));
    site.guest(name)?.await_boot()?;
    let probe = site.guest("master1")?.ping("10.17.4.22")?;
    report.line(probe.ok, &format!("master1 reaches it there: {}", probe.detail));
    Ok(())
}

/// freeipa1's interface is taken out and put in again: its MAC is on another tap, and QEMU announces it there, as after a migration.
pub(super) fn moved(report: &Report, site: &Site, control: &Control) -> Result<()> {
    let name = "freeipa1";
    report.step(format!("moving {name} to another port"))?;
    let (libvirt, spec) = (site.lab.libvirt()?, site.spec(name)?);
    let (old, index) = {
        let tap = site.tap(name)?;
        let index = site.lab.host().ifindex(&tap)?;
        (tap, index)
    };
    let interface = spec.interface_xml(libvirt);
    libvirt.device("detach-device", name, &interface)?;
    wait_until("the guest lets its interface go", LIMIT, || site.tap(name).is_err())?;
    libvirt.device("attach-device", name, &interface)?;
    let tap = becomes_bound(report, site, control, name)?;
    let other = site.lab.host().ifindex(&tap)? != index;
    report.line(other, &format!("{name} has moved from {old} to another interface, {tap}"));

    let guest = site.guest(name)?;
    wait_until("the guest sees its new interface", LIMIT, || {
        guest.run("test -e /sys/class/net/eth0").is_ok_and(|(_, code)| code == 0)
    })?;
    // Its addresses, and not a word of it: the announcement is QEMU's.
    guest.run(&spec.configure())?;
    let mut capture = Tap::open(site.lab.host(), &tap)?;
    libvirt.virsh(&["qemu-monitor-command", name, "--hmp", "announce_self"])?;
    let frames = capture.drain(std::time::Duration::from_secs(1))?;
    let announced = frames.iter().filter(|frame| frame[6..12] == spec.chosen_mac() && frame[12..14] == RARP).count();
    report.line(announced > 0, &format!("QEMU announces {name} there ({announced} RARP frames from {tap})"));
    let ovs = site.lab.ovs().context("the lab has no Open vSwitch")?;
    let number = ovs.vsctl(&["get", "interface", &tap, "ofport"])?;
    let fdb = ovs.appctl("fdb/show", &[site.lab.bridge()])?;
    let mac = format_mac(spec.chosen_mac());
    let learned = fdb.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let there = learned.into_iter().any(|words| words.first() == Some(&number.trim()) && words.contains(&mac.as_str()));
    report.line(there, "Open vSwitch has heard it, and looks for it there");
    let probe = site.guest("master1")?.ping("10.17.3.11")?;
    report
        .line(probe.ok, &format!("traffic follows at once: master1 reaches it with the first ping: {}", probe.detail));
    Ok(())
}
