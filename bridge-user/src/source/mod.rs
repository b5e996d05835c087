//! Sources: what the host, Open vSwitch and files say is there. Each gives whole snapshots; a partial one is an error.

mod jsonrpc;
pub mod libvirt;
pub mod netlink;
pub mod openflow;
pub mod ovsdb;
pub mod sysctl;
pub mod told;
pub mod unixctl;
mod vlan;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bridge_common::abi::StationKey;

pub use vlan::{Carries, PortVlan};

/// Where a slow path's own FDB has each station: the port's ifindex, or another number where it is no interface.
pub type SlowFdb = HashMap<StationKey, u32>;

/// What netlink shows of the manager's network namespace, in one consistent look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSnapshot {
    /// Every link.
    pub links: Vec<Link>,
    /// Every address of the host (of every interface, loopback's excluded), whatever its scope.
    pub addresses: Vec<IpAddr>,
    /// What others have put in the frames' way.
    pub others: Others,
}

impl HostSnapshot {
    /// Whether both say the same, apart from how many frames have passed.
    pub fn agrees(&self, other: &Self) -> bool {
        let same = |(one, two): (&Link, &Link)| Link { rx_packets: two.rx_packets, ..one.clone() } == *two;
        let links = self.links.len() == other.links.len() && self.links.iter().zip(&other.links).all(same);
        links && self.addresses == other.addresses && self.others == other.others
    }
}

/// What others than us have put in the way of frames, in words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Others {
    /// By ifindex: tcx programs and tc filters.
    pub programs: BTreeMap<u32, Vec<String>>,
    /// By ifindex: kind of a root queueing discipline that somebody chose.
    pub qdiscs: BTreeMap<u32, String>,
    /// By interface name: nftables chains at the device.
    pub devices: BTreeMap<String, Vec<String>>,
    /// nftables chains of the bridge family.
    pub bridge: Vec<String>,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Interface index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// MAC address, if it is an Ethernet device.
    pub mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Frames that it has received since it was made.
    pub rx_packets: u64,
    /// Administratively up with carrier (IFF_UP and IFF_LOWER_UP).
    pub running: bool,
    /// ifindex of the master device.
    pub master: Option<u32>,
    /// What kind of device.
    pub kind: LinkKind,
    /// Of a VLAN device: ifindex of the device below it, if that is in this namespace.
    pub vlan_of: Option<u32>,
    /// State as a port of a Linux bridge.
    pub bridge_port: Option<BridgePort>,
    /// Of a Linux bridge itself.
    pub bridge: Option<LinuxBridge>,
    /// Its VLANs as a port of a Linux bridge; `None`: no port of one, or no bridge of the host filters VLANs.
    pub vlans: Option<BridgeVlans>,
    /// Whether another program than ours sits on XDP or the qdisc is not the default is looked at elsewhere; this is
    /// the netdev family's `xdp-features` NDO_XMIT bit (`None`: the kernel does not tell).
    pub xdp_target: Option<bool>,
}

/// Device kinds that matter to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A tap.
    Tap,
    /// A veth end.
    Veth,
    /// A Linux bridge.
    Bridge,
    /// Anything else, NICs included.
    Other,
}

/// A Linux bridge port's own settings (IFLA_BRPORT_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgePort {
    /// BR_STATE_*: 3 = forwarding.
    pub state: u8,
    /// Isolated.
    pub isolated: bool,
    /// Locked.
    pub locked: bool,
    /// Hairpin mode.
    pub hairpin: bool,
    /// Learning.
    pub learning: bool,
    /// Neighbour suppression.
    pub neigh_suppress: bool,
}

/// VLANs of a Linux bridge's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeVlans {
    /// How it treats tags.
    pub vlan: PortVlan,
    /// What of it we cannot do identically, in words; empty = eligible.
    pub ineligible: Vec<String>,
}

/// A Linux bridge's own settings (IFLA_BR_*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinuxBridge {
    /// Seconds.
    pub ageing_time: u32,
    /// vlan_filtering.
    pub vlan_filtering: bool,
    /// vlan_protocol is 802.1ad: service tags name its VLANs.
    pub service_vlans: bool,
    /// Its VLANs have states of their own, by spanning tree (mst_enable).
    pub mst: bool,
    /// Any of nf_call_iptables, nf_call_ip6tables, nf_call_arptables, of this bridge or (sysctl bridge-nf-call-*) of all.
    pub nf_call: bool,
}

/// What ovsdb-server says of one bridge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OvsSnapshot {
    /// Open vSwitch's own version, empty if it does not tell.
    pub version: String,
    /// `None`: no bridge of that name.
    pub bridge: Option<OvsBridge>,
    /// Names of the interfaces of every *other* bridge's ports. Netlink shows no master for those of a userspace
    /// datapath, and they must not be taken for interfaces that belong to nothing yet.
    pub elsewhere: Vec<String>,
}

/// One OVS bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct OvsBridge {
    /// `datapath_type = netdev`: the userspace datapath.
    pub userspace: bool,
    /// `other_config:mac-aging-time`, seconds; 300 when unset.
    pub ageing_time: u32,
    /// Interfaces of its ports.
    pub interfaces: Vec<OvsInterface>,
    /// Why the whole bridge must not be accelerated, in words; empty = eligible.
    pub ineligible: Vec<String>,
}

/// One interface of a port of an OVS bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct OvsInterface {
    /// Name.
    pub name: String,
    /// OVSDB `type`: empty = system, `internal`, `patch`, `afxdp`, `vxlan`, `dpdk`...
    pub kind: String,
    /// `ifindex` column, if any.
    pub ifindex: Option<u32>,
    /// `ofport` column: its OpenFlow port number (65534 = the bridge's own interface); `None`: not in the datapath.
    pub ofport: Option<u16>,
    /// How its port treats tags.
    pub vlan: PortVlan,
    /// Why this port must not be accelerated, in words (bond, mirror, ...); empty = eligible.
    pub ineligible: Vec<String>,
}

/// What libvirt says of the running domains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LibvirtSnapshot {
    /// Interfaces with a tap, sorted by domain and tap.
    pub interfaces: Vec<GuestInterface>,
}

/// One interface of a running domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestInterface {
    /// Name of the domain, with everything escaped that is no visible ASCII character (see [`libvirt::shown`]).
    pub domain: String,
    /// The guest's MAC address.
    pub mac: [u8; 6],
    /// Name of the tap, the host's end.
    pub tap: String,
    /// libvirt's network, if it is on one.
    pub network: Option<String>,
    /// The bridge that libvirt put the tap on; `None`: libvirt does not tell.
    pub bridge: Option<String>,
    /// How libvirt wants tags to be treated; `None`: it says nothing.
    pub vlan: Option<PortVlan>,
    /// Why it must not be accelerated for its `<bandwidth>`, in words.
    pub bandwidth: Option<String>,
    /// Its nwfilter.
    pub filter: Option<String>,
    /// Addresses that libvirt's DHCP server, or the guest's agent where that is believed, has for it.
    pub addresses: BTreeSet<IpAddr>,
}
