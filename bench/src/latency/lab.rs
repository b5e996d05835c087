//! The lab for latencies: for each path two machines that play and two that flood, all on bridges of one host, all of them always there.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
    format_mac,
    lab::{BRIDGE_MAC, Lab, MachineSpec, SlowPath},
    netns::Netns,
};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::{pair::Pair, storm::Storm};
use crate::topology::Topology;

/// Of the kind of the lab's own, without fastbridge.
const OTHER_BRIDGE: &str = "br1";
const PORT: u16 = 7;

/// What is between two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Alone,
    Auto,
    Xdp,
}

impl Which {
    pub(super) const ALL: [Self; 3] = [Self::Alone, Self::Auto, Self::Xdp];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alone => "Linux bridge alone",
            Self::Auto => "fastbridge hook=auto",
            Self::Xdp => "fastbridge hook=xdp",
        }
    }

    /// Of the client, the server, the one that floods and the one that is flooded. fastbridge manages `vnet*`.
    fn ports(self) -> [&'static str; 4] {
        match self {
            Self::Alone => ["other0", "other1", "other2", "other3"],
            Self::Auto => ["vnet0", "vnet1", "vnet2", "vnet3"],
            Self::Xdp => ["vnet4", "vnet5", "vnet6", "vnet7"],
        }
    }

    /// Of the client and the server.
    fn addresses(self) -> [Ipv4Addr; 2] {
        [100, 101].map(|last| Ipv4Addr::new(10, 17, 4, last + 2 * self as u8))
    }

    /// Machines are named like their port.
    fn machines(self) -> [MachineSpec; 4] {
        let ([client, server, from, to], [near, far]) = (self.ports(), self.addresses());
        let playing = |port, address| MachineSpec::new(port, port).address(&format!("{address}/24"));
        let all = [playing(client, near), playing(server, far), MachineSpec::raw(from, from), MachineSpec::raw(to, to)];
        if self == Self::Alone { all.map(|spec| spec.bridge(OTHER_BRIDGE)) } else { all }
    }
}

/// A path, ready.
pub(super) struct Path {
    pub(super) which: Which,
    pub(super) pair: Pair,
    pub(super) storm: Storm,
}

/// All of them.
pub(super) struct Paths {
    // Dropped in this order: programs before their interfaces, the manager before its pins.
    pub(super) all: Vec<Path>,
    _fastbridge: Fastbridge,
    control: Control,
    _pins: Bpffs,
    _topology: NamedTempFile,
    lab: Lab,
}

impl Paths {
    pub(super) fn build() -> Result<Self> {
        let mut lab = Lab::builder(SlowPath::LinuxBridge).build()?;
        let [a, b, c, d, e, _] = BRIDGE_MAC;
        lab.add_linux_bridge(OTHER_BRIDGE, [a, b, c, d, e, 2])?;
        for spec in Which::ALL.into_iter().flat_map(Which::machines) {
            lab.add_machine(spec)?;
        }
        let pins = Bpffs::mount()?;
        let control = Control::new(&lab, pins.path())?;
        let xdp = Which::Xdp.ports().map(String::from).to_vec();
        let topology = Topology { xdp, ..Topology::default() }.file()?;
        let fastbridge = control.start(topology.path())?;
        if fastbridge.ready_ports() != 8 {
            bail!("fastbridge took {} ports instead of 8", fastbridge.ready_ports());
        }
        let all = Which::ALL.into_iter().map(|which| path(&lab, which)).collect::<Result<_>>()?;
        Ok(Self { all, _fastbridge: fastbridge, control, _pins: pins, _topology: topology, lab })
    }

    /// The machine that floods on a path.
    pub(super) fn flooding(&self, which: Which) -> Result<&Netns> {
        let [_, _, from, _] = which.ports();
        Ok(self.lab.machine(from)?.netns())
    }

    /// The least share of what came in by a port of fastbridge's that it forwarded itself.
    pub(super) fn forwarded(&self) -> Result<f64> {
        let counters = self.control.show("counters")?;
        let mut least = f64::INFINITY;
        for which in [Which::Auto, Which::Xdp] {
            // To the last one nothing is sent back.
            for port in &which.ports()[..3] {
                let port = &counters["ports"][port];
                let forward = port["forward"].as_u64().context("fastbridge does not count a port")? as f64;
                let punts = port["punt"].as_object().into_iter().flat_map(|map| map.values());
                least = least.min(forward / (forward + punts.filter_map(Value::as_f64).sum::<f64>()));
            }
        }
        Ok(least)
    }
}

fn path(lab: &Lab, which: Which) -> Result<Path> {
    let [client, server, from, to] = which.ports();
    let (client, server) = (lab.machine(client)?, lab.machine(server)?);
    // Nobody asks for a MAC in the middle of a measurement.
    let [near, far] = which.addresses();
    for (machine, address, other) in [(client, far, server), (server, near, client)] {
        let mac = format_mac(other.mac());
        machine.netns().ip(&format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent"))?;
    }
    let pair = Pair::open(client.netns(), server.netns(), SocketAddr::from((far, PORT)))?;
    for port in [from, to] {
        // NAPI on the host's side too, or it receives no redirected frame.
        lab.host().run("ethtool", &["-K", port, "gro", "on"])?;
    }
    let storm = Storm::between(lab.machine(from)?, lab.machine(to)?)?;
    Ok(Path { which, pair, storm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_managed_by_mistake_and_nothing_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for which in Which::ALL {
            assert!(which.ports().iter().all(|port| port.starts_with("vnet") == (which != Which::Alone)));
            assert!(which.ports().into_iter().all(|port| seen.insert(port.to_owned())));
            assert!(which.addresses().into_iter().all(|address| seen.insert(address.to_string())));
        }
    }
}
