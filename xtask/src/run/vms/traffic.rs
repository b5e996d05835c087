//! What guests send each other: refused, forged, and as fast as they can. Judged in the guest that must not get it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use bridge_tests::{fastbridge::Control, format_mac, lab::Guest};
use serde_json::Value;

use super::site::Site;
use crate::run::{iperf, report::Report, snmp};

const TARGET: (&str, &str) = ("master1", "10.17.4.21");
const PEER: (&str, &str) = ("master2", "10.17.4.22");
/// In no zone of the topology; master2 takes it on the side.
const UNDECLARED: Ipv4Addr = Ipv4Addr::new(172, 16, 9, 9);

/// What the policy denies: it arrives without fastbridge and does not with it; and what it allows still does.
pub(super) fn refused(report: &Report, site: &Site, on: bool) -> Result<()> {
    let (target, peer) = (site.guest(TARGET.0)?, site.guest(PEER.0)?);
    // It is there already the second time.
    peer.run(&format!("ip addr add {UNDECLARED}/32 dev eth0"))?;
    let outside = || ping_from(site, "internet", TARGET.1);
    let undeclared = || Ok(peer.run(&format!("ping -c1 -W1 -I {UNDECLARED} {}", TARGET.1))?.1 == 0);
    let attempts: [(&str, &dyn Fn() -> Result<bool>); 2] = [
        ("a ping from outside, 203.0.113.8", &outside),
        ("a ping from an undeclared prefix, 172.16.9.9 on master2", &undeclared),
    ];
    for (what, attempt) in attempts {
        let before = echo_requests(target)?;
        attempt()?;
        let arrived = echo_requests(target)? - before;
        let (held, word) = if on { (arrived == 0, "refused") } else { (arrived > 0, "without fastbridge it arrives") };
        report.line(held, &format!("{word}: {what} to {} ({arrived} echo requests counted in the guest)", TARGET.0));
    }
    if on {
        let allowed = ping_from(site, "router", TARGET.1)?;
        report.line(allowed, &format!("allowed: a ping from the LAN, 192.168.0.1, to {}", TARGET.0));
    }
    Ok(())
}

/// master2 calls itself master1, by MAC: nobody hears it.
pub(super) fn spoofed(report: &Report, site: &Site, control: &Control) -> Result<()> {
    let (peer, tap) = (site.guest(PEER.0)?, site.tap(PEER.0)?);
    let dropped = || -> Result<u64> {
        Ok(control.show("counters")?["ports"][&tap]["drop"]["station-elsewhere"].as_u64().unwrap_or_default())
    };
    let [own, other] = [site.spec(PEER.0)?, site.spec(TARGET.0)?].map(|spec| format_mac(spec.chosen_mac()));
    let before = dropped()?;
    let as_mac = |mac: &str| format!("ip link set eth0 address {mac}");
    let (_, forged) = peer.run(&format!("{} && ping -c1 -W1 10.17.4.1", as_mac(&other)))?;
    peer.run(&as_mac(&own))?;
    let count = dropped()? - before;
    report.line(
        forged != 0 && count > 0,
        &format!("dropped: {count} frames of {} with the MAC of {} (station-elsewhere)", PEER.0, TARGET.0),
    );
    Ok(())
}

/// One TCP stream from master1 to master2; bit/s that arrived, shown and not judged.
pub(super) fn rate(report: &Report, site: &Site, state: &str) -> Result<Option<f64>> {
    report.step(format!("iperf3 from master1 to master2, fastbridge {state}"))?;
    site.guest(PEER.0)?.run("(iperf3 -s -1 >/dev/null 2>&1 &)")?;
    // It listens in a moment; the client has no patience of its own.
    let client = format!(
        "for try in 1 2 3 4 5; do iperf3 -J -i 0 -t 2 -c {} > /tmp/told && break; sleep 1; done; cat /tmp/told",
        PEER.1
    );
    let (told, _) = site.guest(TARGET.0)?.run(&client)?;
    let result: Result<Value> = serde_json::from_str(&told).with_context(|| format!("iperf3 printed no JSON: {told}"));
    match result.and_then(|result| iperf::rate(&result)) {
        Ok(rate) => {
            report.line(rate > 0.0, &format!("TCP passes from master1 to master2, fastbridge {state}"));
            Ok(Some(rate))
        }
        Err(error) => {
            report.line(false, &format!("TCP from master1 to master2, fastbridge {state}: {error:#}"));
            Ok(None)
        }
    }
}

pub(super) fn table(report: &Report, off: Option<f64>, on: Option<f64>) {
    let shown = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{:.0} Mbit/s", rate / 1e6));
    let ratio = off.zip(on).map_or_else(|| "-".into(), |(off, on)| format!("{:.2}", on / off));
    report.table(
        "iperf3 between two guests: one run each, shown and not judged",
        &["path", "fastbridge off", "fastbridge on", "on / off"],
        vec![vec!["master1 -> master2, switched, TCP".into(), shown(off), shown(on), ratio]],
    );
    report.note("the guests' processors are emulated: they are the limit, not the path");
}

fn ping_from(site: &Site, namespace: &str, target: &str) -> Result<bool> {
    let mut command = site.lab.netns(namespace)?.command("ping")?;
    command.args(["-n", "-c1", "-W2", target]);
    Ok(command.output().context("ping could not be started")?.status.success())
}

/// ICMP echo requests that the guest's IP layer has received so far.
fn echo_requests(guest: &Guest) -> Result<u64> {
    let (text, _) = guest.run("cat /proc/net/snmp")?;
    snmp::counter(&text, "Icmp:", "InEchos").context("the guest's /proc/net/snmp has no Icmp InEchos")
}
