//! A new port: how long until its frames arrive, and until fastbridge forwards them itself, from before the interface is made.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    capture::Tap,
    fastbridge::Control,
    lab::{BRIDGE_MAC, Lab, MachineSpec, SlowPath, mac_of},
};

use crate::{frames, programs::Sink, progress::Progress, report::Row, topology::Topology};

/// Of the kind of the lab's own, without fastbridge.
const OTHER_BRIDGE: &str = "br1";
/// The new port's machine sends one frame in this time.
const PACE: Duration = Duration::from_millis(1);
/// For so long; whatever happens to a new port has happened by then.
const WHILE: Duration = Duration::from_millis(1500);

/// Milliseconds of each round.
#[derive(Default)]
struct Samples {
    alone: Vec<f64>,
    beside: Vec<f64>,
    forwarded: Vec<f64>,
}

pub(super) fn measure(rounds: usize, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let mut lab = Lab::builder(SlowPath::LinuxBridge).machine(MachineSpec::raw("m0", "vnet0")).build()?;
    let [a, b, c, d, e, _] = BRIDGE_MAC;
    lab.add_linux_bridge(OTHER_BRIDGE, [a, b, c, d, e, 2])?;
    lab.add_machine(MachineSpec::raw("m1", "other0").bridge(OTHER_BRIDGE))?;
    let sinks = [Sink::attach(lab.machine("m0")?.netns())?, Sink::attach(lab.machine("m1")?.netns())?];
    let pins = Bpffs::mount()?;
    let control = Control::new(&lab, pins.path())?;
    let topology = Topology::default().file()?;
    let mut fastbridge = control.start(topology.path())?;
    let mut samples = Samples::default();
    // Names are new each time, and with them MACs.
    for round in 1..=rounds {
        progress.step("a port is plugged in, fastbridge beside the bridge");
        let port = format!("vnet{round}");
        let plugged = Plugged::new(&lab, lab.bridge(), &port, "m0", &sinks[0])?;
        let forwarded = control.show("counters")?["ports"][&port]["forward"].as_u64().unwrap_or(0);
        samples.beside.push(plugged.before_last(plugged.arrived, "arrived")?);
        samples.forwarded.push(plugged.before_last(forwarded, "were forwarded by fastbridge")?);
        lab.host().ip(&format!("link del {port}"))?;
        progress.step("a port is plugged in, the bridge alone");
        let port = format!("other{round}");
        let plugged = Plugged::new(&lab, OTHER_BRIDGE, &port, "m1", &sinks[1])?;
        samples.alone.push(plugged.before_last(plugged.arrived, "arrived")?);
        lab.host().ip(&format!("link del {port}"))?;
    }
    fastbridge.terminate()?;
    control.detach()?;
    let what = "hotplug: from making the interface to the first frame";
    rows.push(Row::figure(&format!("{what} that arrives, bridge alone"), "ms", &samples.alone));
    rows.push(Row::figure(&format!("{what} that arrives, beside fastbridge"), "ms", &samples.beside));
    let note = "one frame a millisecond".to_owned();
    rows.push(Row::figure(&format!("{what} that fastbridge forwards"), "ms", &samples.forwarded).note(note));
    Ok(())
}

/// What a new port's machine sent: when, and how much of it arrived.
struct Plugged {
    sent: Vec<Duration>,
    arrived: u64,
}

impl Plugged {
    /// Makes the port and puts it on the bridge; sends to a machine there, which the bridge knows, or floods to.
    fn new(lab: &Lab, bridge: &str, port: &str, to: &str, sink: &Sink) -> Result<Self> {
        let (host, to) = (lab.host(), lab.machine(to)?);
        // The one it sends to is known: that is no part of what is measured.
        let known = frames::udp(to.mac(), mac_of(port), frames::TO, frames::FROM);
        Tap::open(to.netns(), "eth0")?.send(&known)?;
        let frame = frames::udp(mac_of(port), to.mac(), frames::FROM, frames::TO);
        let far = format!("far-{port}");
        let before = sink.taken()?;
        let start = Instant::now();
        host.ip(&format!(
            "link add {port} type veth peer name {far}\nlink set {far} up\nlink set {port} master {bridge}\nlink set {port} up"
        ))?;
        let tap = Tap::open(host, &far)?;
        let mut sent = Vec::new();
        while start.elapsed() < WHILE {
            sent.push(start.elapsed());
            tap.send(&frame)?;
            thread::sleep(PACE);
        }
        Ok(Self { sent, arrived: sink.taken()? - before })
    }

    /// Milliseconds to the first of the last `count` frames: what holds for one frame holds for all after it.
    fn before_last(&self, count: u64, what: &str) -> Result<f64> {
        let first = (self.sent.len() as u64).checked_sub(count).and_then(|first| self.sent.get(first as usize));
        match first {
            Some(time) => Ok(time.as_secs_f64() * 1e3),
            None => bail!("of {} frames of a new port {count} {what} within {WHILE:?}", self.sent.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_of_the_last_frames_is_found() {
        let plugged = Plugged { sent: [7, 8, 9].map(Duration::from_millis).to_vec(), arrived: 2 };
        assert_eq!(plugged.before_last(2, "").unwrap(), 8.0);
        assert_eq!(plugged.before_last(3, "").unwrap(), 7.0);
        assert!(
            plugged.before_last(0, "arrived").unwrap_err().to_string().contains("of 3 frames of a new port 0 arrived")
        );
        assert!(plugged.before_last(4, "arrived").is_err(), "more than were sent");
    }
}
