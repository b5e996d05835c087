//! A lab: a "host" namespace with the bridge, and machines that hang on it by veths. Everything is removed when the lab is dropped,
//! also by a panic. Must not know fastbridge.
//!
//! ```no_run
//! use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
//! # fn main() -> bridge_tests::Result<()> {
//! let lab = Lab::builder(SlowPath::LinuxBridge)
//!     .machine(MachineSpec::new("a", "vnet0").address("10.17.4.21/24"))
//!     .machine(MachineSpec::new("b", "vnet1").address("10.17.4.22/24"))
//!     .build()?;
//! assert!(lab.machine("a")?.ping("10.17.4.22")?.ok);
//! # Ok(()) }
//! ```

mod daemon;
mod hotplug;
mod kept;
mod libvirt;
mod machine;
mod mst;
mod ovs;
mod probe;
mod slow_path;
mod vlan;

pub use kept::Kept;
pub use libvirt::{Guest, GuestSpec, Libvirt, guest_kernel};
pub use machine::{MAC_PREFIX, Machine, MachineSpec, host_side_mac, mac_of};
pub use ovs::Ovs;
pub use probe::Probe;
pub use slow_path::{SlowPath, kernel};
pub use vlan::{PortVlan, Tagging};

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::{Mac, format_mac, sweep};

/// The MAC of the lab's bridge, always the same so that two labs can be compared byte for byte.
pub const BRIDGE_MAC: Mac = [0x52, 0x54, 0x00, 0xff, 0xff, 0x01];

/// What a lab shall be; see [`Lab::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    slow_path: SlowPath,
    bridge: String,
    machines: Vec<MachineSpec>,
    kept: Option<Kept>,
}

impl Builder {
    /// Names the bridge (default `br0`).
    #[must_use]
    pub fn bridge(mut self, name: &str) -> Self {
        self.bridge = name.into();
        self
    }

    /// Names everything after `kept`, so that the lab may outlive this process: call [`Lab::keep`] when it is complete. Until then it is
    /// removed when dropped, like any other.
    #[must_use]
    pub fn kept(mut self, kept: Kept) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Adds a machine that is there from the start.
    #[must_use]
    pub fn machine(mut self, spec: MachineSpec) -> Self {
        self.machines.push(spec);
        self
    }

    /// Adds `count` raw ports `vnet0..`, machines `raw0..`: no IP stack on either end.
    #[must_use]
    pub fn raw_ports(mut self, count: usize) -> Self {
        self.machines.extend((0..count).map(|n| MachineSpec::raw(&format!("raw{n}"), &format!("vnet{n}"))));
        self
    }

    /// Builds it.
    ///
    /// # Errors
    /// Missing tools (the message names `cargo xtask setup`), missing privilege, a name that is taken or too long.
    pub fn build(self) -> Result<Lab> {
        Lab::create(self)
    }
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    // Fields drop in this order: guests before the switch, the switch before the namespace it runs in.
    libvirt: Option<Libvirt>,
    ovs: Option<Ovs>,
    machines: Vec<Machine>,
    others: Vec<(String, Netns)>,
    host: Netns,
    prefix: String,
    slow_path: SlowPath,
    bridge: String,
}

impl Lab {
    /// Starts describing a lab.
    #[must_use]
    pub fn builder(slow_path: SlowPath) -> Builder {
        Builder { slow_path, bridge: "br0".into(), machines: Vec::new(), kept: None }
    }

    /// Removes what crashed labs left (namespaces, mounts, directories, processes inside); says what.
    pub fn sweep_stale() -> Vec<PathBuf> {
        sweep::sweep()
    }

    fn create(plan: Builder) -> Result<Self> {
        Self::sweep_stale();
        let prefix = plan.kept.as_ref().map_or_else(sweep::fresh_prefix, |kept| kept.prefix().to_owned());
        let host = Netns::create(&format!("{prefix}-host"))?;
        // A port must never speak by itself: no IPv6 on what is created from here on, and no redirects (they would lead machines
        // around the router).
        for (key, value) in [
            ("ipv6/conf/all/disable_ipv6", "1"),
            ("ipv6/conf/default/disable_ipv6", "1"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            // A snooping bridge announces itself to 224.0.0.106 at a random moment.
            ("ipv4/igmp_link_local_mcast_reports", "0"),
        ] {
            host.sysctl(key, value)?;
        }
        keep_bridged_frames_from_netfilter(&host)?;
        let ovs = match plan.slow_path.is_ovs() {
            true => Some(Ovs::start(&host, &prefix, &plan.bridge, plan.slow_path)?),
            false => None,
        };
        let mut lab = Self {
            libvirt: None,
            ovs,
            machines: Vec::new(),
            others: Vec::new(),
            host,
            prefix,
            slow_path: plan.slow_path,
            bridge: plan.bridge,
        };
        match lab.slow_path {
            SlowPath::OvsUserspace | SlowPath::OvsKernel => lab.finish_ovs_bridge()?,
            SlowPath::LinuxBridge | SlowPath::LinuxVlanBridge => lab.add_linux_bridge(&lab.bridge, BRIDGE_MAC)?,
        }
        if lab.slow_path == SlowPath::LinuxVlanBridge {
            lab.host.ip(&format!("link set {} type bridge vlan_filtering 1", lab.bridge))?;
        }
        for spec in plan.machines {
            lab.add_machine(spec)?;
        }
        Ok(lab)
    }

    fn finish_ovs_bridge(&self) -> Result<()> {
        self.host.ip(&format!("link set {} up", self.bridge))?;
        if self.slow_path == SlowPath::OvsUserspace {
            // OVS 3.1's userspace datapath does not fill in the checksums that a device with offload leaves open.
            self.host.run("ethtool", &["-K", &self.bridge, "tx", "off"])?;
        }
        Ok(())
    }

    /// A Linux bridge in the host namespace, beside the lab's own one if need be.
    pub fn add_linux_bridge(&self, name: &str, mac: Mac) -> Result<()> {
        let mac = format_mac(mac);
        self.host.ip(&format!("link add {name} address {mac} type bridge forward_delay 0\nlink set {name} up"))?;
        Ok(())
    }

    /// The namespace that plays the host.
    #[must_use]
    pub fn host(&self) -> &Netns {
        &self.host
    }

    /// The bridge's name.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// What forwards here.
    #[must_use]
    pub fn slow_path(&self) -> SlowPath {
        self.slow_path
    }

    /// The running Open vSwitch, when the slow path is one.
    #[must_use]
    pub fn ovs(&self) -> Option<&Ovs> {
        self.ovs.as_ref()
    }

    /// Its daemons, to be killed and started again in the host's namespace.
    pub fn daemons(&mut self) -> Option<(&mut Ovs, &Netns)> {
        self.ovs.as_mut().map(|ovs| (ovs, &self.host))
    }

    /// `fb<pid>-<n>`: what all names of this lab begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The machines, in the order in which they were added.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The machine of that name.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        self.machines
            .iter()
            .find(|m| m.name() == name)
            .ok_or_else(|| Error::Invalid(format!("the lab has no machine `{name}`")))
    }

    /// Any namespace of the lab: `host`, a machine's name or that of an added one (`router`).
    pub fn netns(&self, name: &str) -> Result<&Netns> {
        if name == "host" {
            return Ok(&self.host);
        }
        let other = self.others.iter().find(|(other, _)| other == name).map(|(_, netns)| netns);
        other.map_or_else(|| self.machine(name).map(Machine::netns), Ok)
    }

    /// A further namespace that hangs on nothing yet.
    pub fn add_namespace(&mut self, name: &str) -> Result<&Netns> {
        let netns = Netns::create(&format!("{}-{name}", self.prefix))?;
        netns.sysctl("ipv6/conf/all/disable_ipv6", "1")?;
        netns.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        self.others.push((name.into(), netns));
        self.netns(name)
    }

    /// Gives the bridge itself an address (`10.17.4.1/24`), as a host that routes between its networks has.
    pub fn host_address(&self, address: &str) -> Result<()> {
        if address.contains(':') {
            self.host.sysctl(&format!("ipv6/conf/{}/disable_ipv6", self.bridge), "0")?;
            self.host.ip(&format!("addr add {address} dev {} nodad", self.bridge))?;
        } else {
            self.host.ip(&format!("addr add {address} dev {}", self.bridge))?;
        }
        Ok(())
    }

    /// Forgets what the bridge has learned.
    pub fn flush_fdb(&self) -> Result<()> {
        match &self.ovs {
            Some(ovs) => ovs.appctl("fdb/flush", &[&self.bridge]).map(drop),
            None => self.host.ip(&format!("link set {} type bridge fdb_flush", self.bridge)).map(drop),
        }
    }

    /// Returns once the slow path acts on all that it has learned so far (OVS: cached flows of earlier learning are gone).
    pub fn settle(&self) -> Result<()> {
        self.ovs.as_ref().map_or(Ok(()), Ovs::settle)
    }
}

/// Kernels with br_netfilter built in start every namespace with it on, unlike a host that has not loaded the module: `inet` rules
/// would judge bridged frames and malformed ones would vanish. A test that wants it sets the sysctl again.
fn keep_bridged_frames_from_netfilter(host: &Netns) -> Result<()> {
    for family in ["iptables", "ip6tables", "arptables"] {
        let key = format!("bridge/bridge-nf-call-{family}");
        if std::path::Path::new("/proc/sys/net").join(&key).exists() {
            host.sysctl(&key, "0")?;
        }
    }
    Ok(())
}
