//! The kinds of paths that are compared, and the ports that each has. Knows no figures.

use bridge_tests::lab::{BRIDGE_MAC, Lab, MachineSpec, PortVlan};

/// A bridge beside the lab's own, and one whose frames pass br_netfilter, without a rule in it.
const OTHER_BRIDGE: &str = "br1";
const NETFILTER_BRIDGE: &str = "br2";
/// Open vSwitch's second bridge, beside the one that fastbridge manages.
pub(super) const OVS_BRIDGE: &str = "br3";

/// What joins two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BareXdp,
    /// The same, which finds one entry and counts: what no path that knows its frames can do without.
    BareXdpCounting,
    BareTc,
    /// The same with a program that does nothing where frames leave: fastbridge has one there.
    BareTcEgress,
    /// Goes nowhere.
    BareDrop,
    Xdp,
    Tc,
    /// A Linux bridge.
    Bridge,
    NetfilterBridge,
    /// The lab's own Linux bridge, with the policy in nftables. In a lab without fastbridge, which yields to such rules.
    Nftables,
    /// Ports of the same Open vSwitch bridge as fastbridge's, which it does not manage.
    Ovs,
    /// A bridge of the same Open vSwitch with the policy in OpenFlow.
    OvsPolicy,
    /// A bridge of the same Open vSwitch with AF_XDP ports.
    OvsAfXdp,
}

impl Kind {
    /// Only what judges has the policy in its name.
    pub(super) fn name(self, policy: &str) -> String {
        match self {
            Self::BareXdp => "bare XDP redirect".into(),
            Self::BareXdpCounting => "bare XDP redirect, one look-up and two counts".into(),
            Self::BareTc => "bare TC redirect".into(),
            Self::BareTcEgress => "bare TC redirect, an empty program at egress".into(),
            Self::BareDrop => "bare XDP_DROP".into(),
            Self::Xdp => format!("fastbridge XDP, {policy}"),
            Self::Tc => format!("fastbridge TC, {policy}"),
            Self::Bridge => "Linux bridge, no policy".into(),
            Self::NetfilterBridge => "Linux bridge, br_netfilter on, no rule".into(),
            Self::Nftables => format!("Linux bridge + nftables, {policy}"),
            Self::Ovs => "Open vSwitch, no policy".into(),
            Self::OvsPolicy => format!("Open vSwitch + OpenFlow, {policy}"),
            Self::OvsAfXdp => "Open vSwitch, AF_XDP ports, no policy".into(),
        }
    }

    /// Whether fastbridge is to take its ports.
    pub(super) fn is_managed(self) -> bool {
        matches!(self, Self::Xdp | Self::Tc)
    }

    /// Whether its ports are to be on no bridge.
    pub(super) fn is_bare(self) -> bool {
        matches!(self, Self::BareXdp | Self::BareXdpCounting | Self::BareTc | Self::BareTcEgress | Self::BareDrop)
    }

    /// Host ports: where frames enter, and where they leave. Only fastbridge's match its `manage`.
    pub(super) fn ports(self) -> [&'static str; 2] {
        match self {
            Self::BareXdp => ["bxdp0", "bxdp1"],
            Self::BareXdpCounting => ["bxdpc0", "bxdpc1"],
            Self::BareTc => ["btc0", "btc1"],
            Self::BareTcEgress => ["btce0", "btce1"],
            Self::BareDrop => ["bdrop0", "bdrop1"],
            Self::Xdp => ["vnet0", "vnet1"],
            Self::Tc => ["vnet2", "vnet3"],
            Self::Bridge => ["other0", "other1"],
            Self::NetfilterBridge => ["nf0", "nf1"],
            Self::Nftables => ["nft0", "nft1"],
            Self::Ovs => ["ovs0", "ovs1"],
            Self::OvsPolicy => ["flow0", "flow1"],
            Self::OvsAfXdp => ["afxdp0", "afxdp1"],
        }
    }

    /// Machines are named like their port. With a VLAN, the first is in it and the second has it tagged.
    pub(super) fn machines(self, vlan: Option<u16>) -> [MachineSpec; 2] {
        let [from, to] = self.ports().map(|port| MachineSpec::raw(port, port));
        match (self, vlan) {
            _ if self.is_bare() => [from, to],
            (_, Some(vid)) => [from.vlan(PortVlan::Access(vid)), to.vlan(PortVlan::Trunk(vec![vid]))],
            (Self::Bridge, None) => [from, to].map(|machine| machine.bridge(OTHER_BRIDGE)),
            (Self::NetfilterBridge, None) => [from, to].map(|machine| machine.bridge(NETFILTER_BRIDGE)),
            _ => [from, to],
        }
    }
}

/// The Linux bridges beside the lab's own that these kinds need.
pub(super) fn add_bridges(lab: &Lab, kinds: &[Kind], vlan: Option<u16>) -> bridge_tests::Result<()> {
    let [a, b, c, d, e, _] = BRIDGE_MAC;
    if kinds.contains(&Kind::Bridge) && vlan.is_none() {
        lab.add_linux_bridge(OTHER_BRIDGE, [a, b, c, d, e, 2])?;
    }
    if kinds.contains(&Kind::NetfilterBridge) {
        lab.add_linux_bridge(NETFILTER_BRIDGE, [a, b, c, d, e, 3])?;
        lab.host().ip(&format!("link set {NETFILTER_BRIDGE} type bridge nf_call_iptables 1"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_managed_by_mistake() {
        use Kind::*;
        for kind in [
            BareXdp,
            BareXdpCounting,
            BareTc,
            BareTcEgress,
            BareDrop,
            Xdp,
            Tc,
            Bridge,
            NetfilterBridge,
            Nftables,
            Ovs,
            OvsPolicy,
            OvsAfXdp,
        ] {
            assert!(kind.ports().iter().all(|port| port.starts_with("vnet") == kind.is_managed()), "{kind:?}");
        }
    }
}
