//! A network of libvirt's on the lab's bridge, and leases of it. libvirt's DHCP server is dnsmasq, whose helper keeps the leases in a file that
//! libvirt reads when it is asked; here the test writes that file, so that no DHCP server is needed.

use std::net::IpAddr;

use super::Libvirt;
use crate::error::{Error, Result};
use crate::{Mac, format_mac};

impl Libvirt {
    /// Defines and starts a network that is the lab's bridge.
    ///
    /// # Errors
    /// libvirt's.
    pub fn define_network(&self, name: &str) -> Result<()> {
        let port = if self.ovs { "<virtualport type='openvswitch'/>" } else { "" };
        let xml = format!(
            "<network><name>{name}</name><forward mode='bridge'/><bridge name='{}'/>{port}</network>",
            self.bridge
        );
        let file = self.dir.join("network.xml");
        std::fs::write(&file, xml).map_err(|e| Error::io(format!("cannot write {}", file.display()), e))?;
        self.virsh(&["net-create", &file.display().to_string()]).map(drop)
    }

    /// What has been leased on the bridge, all of it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_leases(&self, leases: &[(Mac, IpAddr)]) -> Result<()> {
        let one = |(mac, ip): &(Mac, IpAddr)| serde_json::json!({"ip-address": ip, "mac-address": format_mac(*mac), "expiry-time": u32::MAX});
        let text = serde_json::Value::Array(leases.iter().map(one).collect()).to_string();
        // Where src/network/leaseshelper.c of libvirt puts them.
        let dir = self.dir.join("lib/dnsmasq");
        let (new, file) = (dir.join("new"), dir.join(format!("{}.status", self.bridge)));
        std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &file))
            .map_err(|e| Error::io(format!("cannot write {}", file.display()), e))
    }
}
