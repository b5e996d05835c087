//! The second reference installation: the same machines, each network in a VLAN of its own on the one Open vSwitch bridge; the host
//! routes between them by an internal port in each.

use super::{HOST_ADDRESSES, UPLINK, add_outside, machines, no_redirects};
use crate::error::{Error, Result};
use crate::lab::{Builder, Lab, SlowPath};

/// Port of the host, VLAN, and the network that is in it. What is in none of them (the API load balancer, the LAN) stays untagged.
const NETWORKS: [(&str, u16, &str); 2] = [("kube02", 3, "10.17.3."), ("kube03", 4, "10.17.4.")];

/// What a topology file would say of the machines' ports: interface and VLAN.
pub fn access_vlans() -> impl Iterator<Item = (String, u16)> {
    machines().into_iter().filter_map(|machine| {
        let address = machine.addresses().first()?.clone();
        let (_, vlan, _) = NETWORKS.into_iter().find(|(.., network)| address.starts_with(network))?;
        Some((machine.port().to_owned(), vlan))
    })
}

/// The installation beside Open vSwitch's userspace datapath.
///
/// # Errors
/// As [`Builder::build`].
pub fn after_with_vlans() -> Result<Lab> {
    let mut lab = machines().into_iter().fold(Lab::builder(SlowPath::OvsUserspace), Builder::machine).build()?;
    let ovs = lab.ovs().ok_or_else(|| Error::Invalid("the lab has no Open vSwitch".into()))?;
    for (port, vlan) in access_vlans() {
        ovs.vsctl(&["set", "port", &port, &format!("tag={vlan}")])?;
    }
    for (port, vlan, _) in NETWORKS {
        let (tag, set) = (format!("tag={vlan}"), ["--", "set", "interface", port, "type=internal"]);
        ovs.vsctl(&[&["add-port", lab.bridge(), port, &tag][..], &set].concat())?;
        lab.host().ip(&format!("link set {port} up"))?;
        no_redirects(&lab, port)?;
    }
    lab.host().sysctl("ipv4/ip_forward", "1")?;
    no_redirects(&lab, lab.bridge())?;
    for address in HOST_ADDRESSES {
        match NETWORKS.into_iter().find(|(.., network)| address.starts_with(network)) {
            Some((port, ..)) => _ = lab.host().ip(&format!("addr add {address} dev {port}"))?,
            None => lab.host_address(address)?,
        }
    }
    add_outside(&mut lab, UPLINK)?;
    lab.add_port(UPLINK)?;
    lab.host().ip("route add default via 192.168.0.1")?;
    Ok(lab)
}
