//! The lab of the packet rates: six pairs of machines, each pair joined by one path.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
    lab::{BRIDGE_MAC, Lab, MachineSpec, SlowPath},
    wait_until,
};
use tempfile::NamedTempFile;

use crate::{
    frames::{self, Variety},
    programs::{Bare, Generator, Sink},
    topology::Topology,
};

/// A bridge beside fastbridge's own, and one whose frames pass br_netfilter, without a rule in it.
const OTHER_BRIDGE: &str = "br1";
const NETFILTER_BRIDGE: &str = "br2";
/// What joins two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    BareXdp,
    BareTc,
    Xdp,
    Tc,
    Bridge,
    NetfilterBridge,
    /// Ports of the same Open vSwitch as fastbridge's, which it does not manage.
    Ovs,
}

impl Which {
    pub(super) const ALL: [Self; 6] =
        [Self::BareXdp, Self::Xdp, Self::BareTc, Self::Tc, Self::Bridge, Self::NetfilterBridge];

    /// Beside Open vSwitch's kernel datapath.
    pub(super) const BESIDE_OVS: [Self; 3] = [Self::Xdp, Self::Tc, Self::Ovs];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BareXdp => "bare XDP redirect",
            Self::BareTc => "bare TC redirect",
            Self::Xdp => "fastbridge XDP, reference policy",
            Self::Tc => "fastbridge TC, reference policy",
            Self::Bridge => "Linux bridge, no policy",
            Self::NetfilterBridge => "Linux bridge, br_netfilter on, no rule",
            Self::Ovs => "Open vSwitch, kernel datapath, no policy",
        }
    }

    pub(super) fn is_xdp(self) -> bool {
        matches!(self, Self::BareXdp | Self::Xdp)
    }

    /// Host ports: where frames enter, and where they leave. Only fastbridge's match its `manage`.
    fn ports(self) -> [&'static str; 2] {
        match self {
            Self::BareXdp => ["bxdp0", "bxdp1"],
            Self::BareTc => ["btc0", "btc1"],
            Self::Xdp => ["vnet0", "vnet1"],
            Self::Tc => ["vnet2", "vnet3"],
            Self::Bridge => ["other0", "other1"],
            Self::NetfilterBridge => ["nf0", "nf1"],
            Self::Ovs => ["other2", "other3"],
        }
    }

    /// Machines are named like their port.
    fn machines(self) -> [MachineSpec; 2] {
        self.ports().map(|port| match self {
            Self::Bridge => MachineSpec::raw(port, port).bridge(OTHER_BRIDGE),
            Self::NetfilterBridge => MachineSpec::raw(port, port).bridge(NETFILTER_BRIDGE),
            _ => MachineSpec::raw(port, port),
        })
    }
}

/// What a path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    OneFlow,
    /// Between two stations.
    Flows,
    /// More than the programs remember decisions for, so that each frame is decided anew.
    Stations,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [Self::OneFlow, Self::Flows, Self::Stations];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneFlow => "1 flow",
            Self::Flows => "16384 flows",
            Self::Stations => "4096 stations",
        }
    }

    fn variety(self) -> Variety {
        match self {
            Self::OneFlow => Variety::None,
            Self::Flows => Variety::Flows(16_384),
            Self::Stations => Variety::Stations(4096),
        }
    }
}

struct Path {
    which: Which,
    /// In the order of [`Load::ALL`].
    there: Vec<Generator>,
    back: Generator,
    sink: Sink,
    _bare: Option<Bare>,
}

/// All paths, ready.
pub(super) struct Paths {
    // Dropped in this order: the manager before its pins, programs before their interfaces.
    _fastbridge: Fastbridge,
    control: Control,
    _pins: Bpffs,
    _topology: NamedTempFile,
    paths: Vec<Path>,
    lab: Lab,
    cpu: usize,
}

impl Paths {
    /// Beside the Linux bridge, with everything that a frame can take there.
    pub(super) fn build() -> Result<Self> {
        let lab = Lab::builder(SlowPath::LinuxBridge).build()?;
        for (name, last) in [(OTHER_BRIDGE, 2), (NETFILTER_BRIDGE, 3)] {
            let [a, b, c, d, e, _] = BRIDGE_MAC;
            lab.add_linux_bridge(name, [a, b, c, d, e, last])?;
        }
        lab.host().ip(&format!("link set {NETFILTER_BRIDGE} type bridge nf_call_iptables 1"))?;
        Self::with(lab, &Which::ALL)
    }

    /// Beside Open vSwitch's kernel datapath.
    pub(super) fn beside_ovs() -> Result<Self> {
        Self::with(Lab::builder(SlowPath::OvsKernel).build()?, &Which::BESIDE_OVS)
    }

    fn with(mut lab: Lab, all: &[Which]) -> Result<Self> {
        for which in all {
            for machine in which.machines() {
                lab.add_machine(machine)?;
            }
        }
        let paths = all.iter().map(|&which| path(&lab, which)).collect::<Result<_>>()?;
        let pins = Bpffs::mount()?;
        let control = Control::new(&lab, pins.path())?;
        let topology = Topology { xdp: Which::Xdp.ports().map(String::from).to_vec(), ..Topology::default() }.file()?;
        let fastbridge = control.start(topology.path())?;
        if fastbridge.ready_ports() != 4 {
            bail!("fastbridge took {} ports instead of 4", fastbridge.ready_ports());
        }
        // The highest core: the lower ones serve most interrupts.
        let cpu = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        let mut paths = Self { _fastbridge: fastbridge, control, _pins: pins, _topology: topology, paths, lab, cpu };
        paths.learn()?;
        Ok(paths)
    }

    /// Lets both stations of each path be known: one frame each way, until one gets through to the sink.
    fn learn(&mut self) -> Result<()> {
        for _ in 0..3 {
            self.prime()?;
        }
        for which in self.paths.iter().map(|path| path.which).collect::<Vec<_>>() {
            let path = position(&self.paths, which)?;
            let mut delivered = 0;
            let waited = wait_until("a frame gets through", Duration::from_secs(2), || {
                delivered = self.send(which, Load::OneFlow, 1).map_or(0, |(delivered, _)| delivered);
                delivered > 0
            });
            waited.with_context(|| format!("{}: nothing gets through", self.paths[path].which.name()))?;
        }
        Ok(())
    }

    /// One frame each way, so that no station has aged.
    pub(super) fn prime(&mut self) -> Result<()> {
        for path in &mut self.paths {
            let [a, b] = path.which.ports();
            path.back.send(self.lab.machine(b)?.netns(), self.cpu, 1)?;
            path.there[0].send(self.lab.machine(a)?.netns(), self.cpu, 1)?;
        }
        Ok(())
    }

    /// Sends `count` frames down a path: how many arrived, and how long it took.
    pub(super) fn send(&mut self, which: Which, load: Load, count: u32) -> Result<(u64, Duration)> {
        let at = position(&self.paths, which)?;
        let path = &mut self.paths[at];
        let generator = &mut path.there[load as usize];
        let before = path.sink.taken()?;
        let took = generator.send(self.lab.machine(which.ports()[0])?.netns(), self.cpu, count)?;
        Ok((path.sink.taken()? - before, took))
    }

    /// Frames that fastbridge says it forwarded itself: TC, XDP.
    pub(super) fn forwarded(&self) -> Result<[u64; 2]> {
        let counters = self.control.show("counters")?;
        Ok([Which::Tc, Which::Xdp].map(|which| counters["ports"][which.ports()[0]]["forward"].as_u64().unwrap_or(0)))
    }
}

fn position(paths: &[Path], which: Which) -> Result<usize> {
    paths.iter().position(|path| path.which == which).with_context(|| format!("no path for {}", which.name()))
}

fn path(lab: &Lab, which: Which) -> Result<Path> {
    let [from, to] = which.ports();
    let host = lab.host();
    for port in [from, to] {
        if matches!(which, Which::BareXdp | Which::BareTc) {
            lab.remove_port(port)?;
        }
        // NAPI on the host's side too, or it receives no redirected frame.
        host.run("ethtool", &["-K", port, "gro", "on"])?;
    }
    let (a, b) = (lab.machine(from)?, lab.machine(to)?);
    let there = Load::ALL.map(|load| {
        let frame = frames::udp(a.mac(), b.mac(), frames::FROM, frames::TO);
        Generator::new(a.netns(), frame, load.variety())
    });
    let there = there.into_iter().collect::<Result<_>>()?;
    let back = frames::udp(b.mac(), a.mac(), frames::TO, frames::FROM);
    let sink = Sink::attach(b.netns())?;
    let bare = match which {
        Which::BareXdp => Some(Bare::xdp(host, from, to)?),
        Which::BareTc => Some(Bare::tc(host, from, to)?),
        _ => None,
    };
    Ok(Path { which, there, back: Generator::new(b.netns(), back, Variety::None)?, sink, _bare: bare })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_managed_by_mistake() {
        for which in Which::ALL.into_iter().chain(Which::BESIDE_OVS) {
            let managed = matches!(which, Which::Tc | Which::Xdp);
            assert!(which.ports().iter().all(|port| port.starts_with("vnet") == managed));
        }
    }
}
