//! The lab of this part: a pair of veths and a pair of taps, on a bridge with fastbridge beside it and once more on a
//! bridge without, and two machines with an IP stack. And fastbridge, whose ports change their hook.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    capture::Tap,
    fastbridge::{Control, Fastbridge},
    lab::{BRIDGE_MAC, Lab, MachineSpec, SlowPath, mac_of},
};
use nix::sys::signal::Signal;
use tempfile::NamedTempFile;

use super::{
    stream::{End, Stream},
    tap::GuestEnd,
};
use crate::topology::Topology;

/// Of the kind of the lab's own, without fastbridge.
const OTHER_BRIDGE: &str = "br1";
/// The address of the machine that takes bulk TCP.
pub(super) const SERVER: &str = "10.17.4.24";
const LIMIT: Duration = Duration::from_secs(10);

/// What is between the two ends of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Veth,
    Tap,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Veth, Self::Tap];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Tap => "tap",
        }
    }

    /// The two ports beside fastbridge.
    pub(super) fn ports(self) -> [&'static str; 2] {
        match self {
            Self::Veth => ["vnet0", "vnet1"],
            Self::Tap => ["vnet2", "vnet3"],
        }
    }

    /// The two ports of the bridge that has no fastbridge.
    pub(super) fn bare_ports(self) -> [&'static str; 2] {
        match self {
            Self::Veth => ["bare0", "bare1"],
            Self::Tap => ["bare2", "bare3"],
        }
    }
}

/// The ports of the machines with an IP stack.
pub(super) const BULK_PORTS: [&str; 2] = ["vnet4", "vnet5"];

/// Machines on all veths.
pub(super) fn lab() -> Result<Lab> {
    let [c, d] = BULK_PORTS;
    let mut builder = Lab::builder(SlowPath::LinuxBridge)
        .machine(MachineSpec::new(c, c).address("10.17.4.23/24"))
        .machine(MachineSpec::new(d, d).address(&format!("{SERVER}/24")));
    for port in Kind::Veth.ports() {
        builder = builder.machine(MachineSpec::raw(port, port));
    }
    let mut lab = builder.build()?;
    let [a, b, c, d, e, _] = BRIDGE_MAC;
    lab.add_linux_bridge(OTHER_BRIDGE, [a, b, c, d, e, 2])?;
    for port in Kind::Veth.bare_ports() {
        lab.add_machine(MachineSpec::raw(port, port).bridge(OTHER_BRIDGE))?;
    }
    Ok(lab)
}

/// Both ends of a pair; taps are made now.
pub(super) fn stream(lab: &Lab, kind: Kind, [from, to]: [&str; 2]) -> Result<Stream> {
    let end = |port: &str| -> Result<End> {
        match kind {
            Kind::Veth => Ok(End::Veth(Tap::open(lab.machine(port)?.netns(), "eth0")?)),
            Kind::Tap => {
                let bridge = if port.starts_with("bare") { OTHER_BRIDGE } else { lab.bridge() };
                Ok(End::Tap(GuestEnd::plug(lab.host(), port, bridge)?))
            }
        }
    };
    Ok(Stream { from: end(from)?, to: end(to)?, macs: [from, to].map(mac_of) })
}

/// A running manager whose file says for some ports `hook = "xdp"`.
pub(super) struct Hooked<'a> {
    // Dropped in this order: the manager before its pins.
    fastbridge: Fastbridge,
    control: Control,
    _pins: Bpffs,
    file: NamedTempFile,
    lab: &'a Lab,
}

impl<'a> Hooked<'a> {
    /// All ports with TC.
    pub(super) fn start(lab: &'a Lab) -> Result<Self> {
        let pins = Bpffs::mount()?;
        let control = Control::new(lab, pins.path())?;
        let file = Topology::default().file()?;
        let fastbridge = control.start(file.path())?;
        Ok(Self { fastbridge, control, _pins: pins, file, lab })
    }

    /// Has these ports, and no others, have XDP in front of TC; the time from the file's change until the kernel says so
    /// of `watched`, to some milliseconds.
    pub(super) fn set_xdp(&self, ports: &[&str], watched: &str) -> Result<Duration> {
        let text = Topology { xdp: ports.iter().map(|&port| port.into()).collect(), ..Topology::default() }.text()?;
        let beside = PathBuf::from(format!("{}.new", self.file.path().display()));
        fs::write(&beside, text).context("cannot write the topology")?;
        let start = Instant::now();
        fs::rename(&beside, self.file.path()).context("cannot replace the topology")?;
        self.fastbridge.signal(Signal::SIGHUP)?;
        while self.has_xdp(watched)? != ports.contains(&watched) {
            if start.elapsed() > LIMIT {
                bail!("no other hook within {LIMIT:?}; the manager's log:\n{}", self.fastbridge.log().join("\n"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(start.elapsed())
    }

    fn has_xdp(&self, port: &str) -> Result<bool> {
        Ok(self.lab.host().run("ip", &["link", "show", "dev", port])?.contains("prog/xdp"))
    }

    /// Frames from a port that fastbridge forwarded itself.
    pub(super) fn forwarded(&self, port: &str) -> Result<u64> {
        let counters = self.control.show("counters")?;
        counters["ports"][port]["forward"].as_u64().with_context(|| format!("no counters of {port}"))
    }

    /// Stops it, and removes everything of it.
    pub(super) fn end(mut self) -> Result<()> {
        self.fastbridge.terminate()?;
        Ok(self.control.detach()?)
    }
}
