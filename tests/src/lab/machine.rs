//! A machine: a namespace with one interface `eth0`, whose other end is a port of a bridge in the host namespace.

use super::{PortVlan, Probe, SlowPath, probe};
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::{Mac, format_mac};

/// How the MACs of machines begin when none is chosen.
pub const MAC_PREFIX: [u8; 3] = [0x52, 0x54, 0x00];

/// The longest interface name the kernel takes.
const NAME_MAX: usize = 15;

/// What a machine shall be.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    pub(super) name: String,
    pub(super) port: String,
    pub(super) mac: Mac,
    pub(super) addresses: Vec<String>,
    pub(super) gateway: Option<String>,
    pub(super) bridge: Option<String>,
    pub(super) gro: bool,
    pub(super) offloads: Option<Vec<String>>,
    pub(super) raw: bool,
    pub(super) mtu: u32,
    pub(super) vlan: Option<PortVlan>,
}

impl MachineSpec {
    /// A machine `name` on the bridge port `port`, with a MAC made from the port's name and no address.
    #[must_use]
    pub fn new(name: &str, port: &str) -> Self {
        Self {
            name: name.into(),
            port: port.into(),
            mac: mac_of(port),
            addresses: Vec::new(),
            gateway: None,
            bridge: None,
            gro: true,
            offloads: None,
            raw: false,
            mtu: 1500,
            vlan: None,
        }
    }

    /// A port whose far end has no IP stack in use: IPv6 disabled, ARP off. For injected frames.
    #[must_use]
    pub fn raw(name: &str, port: &str) -> Self {
        Self { raw: true, ..Self::new(name, port) }
    }

    /// Chooses the MAC of `eth0`.
    #[must_use]
    pub fn mac(mut self, mac: Mac) -> Self {
        self.mac = mac;
        self
    }

    /// Adds an address with prefix length, IPv4 or IPv6. Without an IPv6 address IPv6 is disabled.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Sets the IPv4 default route.
    #[must_use]
    pub fn gateway(mut self, gateway: &str) -> Self {
        self.gateway = Some(gateway.into());
        self
    }

    /// Puts the port on another Linux bridge of the host.
    #[must_use]
    pub fn bridge(mut self, bridge: &str) -> Self {
        self.bridge = Some(bridge.into());
        self
    }

    /// GRO on `eth0`, on by default: without it (or an XDP program) a veth takes no XDP-redirected frame.
    #[must_use]
    pub fn gro(mut self, on: bool) -> Self {
        self.gro = on;
        self
    }

    /// `ethtool -K eth0` arguments instead of the default (nothing on a Linux bridge, `tx off tso off` on OVS).
    #[must_use]
    pub fn offloads(mut self, words: &[&str]) -> Self {
        self.offloads = Some(words.iter().map(|w| (*w).to_owned()).collect());
        self
    }

    /// The MTU of both ends (default 1500).
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// How the port treats tags; without it the bridge's own default.
    #[must_use]
    pub fn vlan(mut self, vlan: PortVlan) -> Self {
        self.vlan = Some(vlan);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bridge port.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The MAC that `eth0` will have.
    #[must_use]
    pub fn chosen_mac(&self) -> Mac {
        self.mac
    }

    /// Its addresses with prefix lengths.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    fn wants_ipv6(&self) -> bool {
        !self.raw && self.addresses.iter().any(|a| a.contains(':'))
    }
}

/// The MAC a machine on this port gets unless another is chosen.
#[must_use]
pub fn mac_of(port: &str) -> Mac {
    // FNV-1a: spread over all ports, the same in every run.
    let hash = port.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let [_, a, b, c] = hash.to_be_bytes();
    [MAC_PREFIX[0], MAC_PREFIX[1], MAC_PREFIX[2], a & 0x7f, b, c]
}

/// The MAC of the host's end of the veth, made as libvirt makes it: the guest's with a first byte of fe.
#[must_use]
pub fn host_side_mac(mac: Mac) -> Mac {
    [0xfe, mac[1], mac[2], mac[3], mac[4], mac[5]]
}

/// A running machine.
#[derive(Debug)]
pub struct Machine {
    pub(super) netns: Netns,
    pub(super) spec: MachineSpec,
}

impl Machine {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The host's end of its veth, the bridge port.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.spec.port
    }

    /// The MAC of `eth0`.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.spec.mac
    }

    /// Its namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// One echo request, answered within a second or not.
    pub fn ping(&self, target: &str) -> Result<Probe> {
        probe::ping(&self.netns, self.name(), target)
    }

    /// Creates the veth between `host` and this machine and configures this end; the port joins no bridge yet.
    pub(super) fn plug(&self, host: &Netns, slow_path: SlowPath) -> Result<()> {
        let spec = &self.spec;
        if spec.port.len() > NAME_MAX {
            return Err(Error::Invalid(format!(
                "`{}` is too long for an interface: at most {NAME_MAX} bytes",
                spec.port
            )));
        }
        let (port, mtu, mac) = (&spec.port, spec.mtu, format_mac(spec.mac));
        host.ip(&format!(
            "link add {port} address {} mtu {mtu} type veth peer name eth0 address {mac} mtu {mtu} netns {}",
            format_mac(host_side_mac(spec.mac)),
            self.netns.name(),
        ))?;
        if slow_path == SlowPath::OvsUserspace {
            // Beside AF_PACKET ports the host's own stack sees every frame too, and would answer ARP.
            host.sysctl(&format!("ipv4/conf/{port}/arp_ignore"), "8")?;
        }
        self.configure(slow_path)?;
        host.ip(&format!("link set {port} up"))?;
        if spec.gro {
            // After link up: before it the setting does not start NAPI.
            self.netns.run("ethtool", &["-K", "eth0", "gro", "on"])?;
        }
        Ok(())
    }

    fn configure(&self, slow_path: SlowPath) -> Result<()> {
        let spec = &self.spec;
        let disable = if spec.wants_ipv6() { "0" } else { "1" };
        self.netns.sysctl("ipv6/conf/eth0/disable_ipv6", disable)?;
        if spec.wants_ipv6() {
            self.netns.sysctl("ipv6/conf/eth0/router_solicitations", "0")?;
        }
        let offloads = match (&spec.offloads, slow_path) {
            (Some(chosen), _) => chosen.clone(),
            // OVS 3.1's userspace datapath forwards partial checksums and super-frames as they are: TCP times out.
            (None, SlowPath::OvsUserspace) => ["tx", "off", "tso", "off"].map(String::from).to_vec(),
            (None, _) => Vec::new(),
        };
        if !offloads.is_empty() {
            let words: Vec<&str> = ["-K", "eth0"].into_iter().chain(offloads.iter().map(String::as_str)).collect();
            self.netns.run("ethtool", &words)?;
        }
        let mut batch = String::from(if spec.raw { "link set eth0 arp off up\n" } else { "link set eth0 up\n" });
        for address in &spec.addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            batch += &format!("addr add {address} dev eth0{nodad}\n");
        }
        if let Some(gateway) = &spec.gateway {
            batch += &format!("route add default via {gateway}\n");
        }
        self.netns.ip(&batch).map(drop)
    }
}
