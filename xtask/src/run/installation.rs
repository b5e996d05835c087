//! The installations that are proved: which lab, and which topology file goes with it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use bridge_tests::{
    lab::{Lab, SlowPath},
    reference,
};
use tempfile::NamedTempFile;

use crate::process::root;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Installation {
    /// The reference installation on this bridge.
    Flat(SlowPath),
    /// Each network in a VLAN of its own, on Open vSwitch.
    Vlans,
}

impl Installation {
    pub(super) const ALL: [Self; 3] =
        [Self::Flat(SlowPath::OvsUserspace), Self::Vlans, Self::Flat(SlowPath::LinuxBridge)];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flat(slow_path) => slow_path.name(),
            Self::Vlans => "Open vSwitch, userspace datapath, with an access VLAN for each network",
        }
    }

    pub(super) fn build(self) -> Result<Lab> {
        Ok(match self {
            Self::Flat(slow_path) => reference::after(slow_path)?,
            Self::Vlans => reference::after_with_vlans()?,
        })
    }

    /// The file for the manager: the reference topology, beside Open vSwitch with its ports from OVSDB.
    pub(super) fn topology(self) -> Result<NamedTempFile> {
        let mut text = fs::read_to_string(reference_topology()).context("cannot read the reference topology")?;
        if self != Self::Flat(SlowPath::LinuxBridge) {
            text = text.replace(MANAGE, "manage = [\"*\"]");
        }
        if self == Self::Vlans {
            for (port, vlan) in reference::access_vlans() {
                text.push_str(&format!(
                    "\n[[port]]\nmatch = \"{port}\"\nvlan = {{ mode = \"access\", tag = {vlan} }}\n"
                ));
            }
        }
        let file = NamedTempFile::new().context("cannot make a topology file")?;
        fs::write(file.path(), text)?;
        Ok(file)
    }
}

const MANAGE: &str = "manage = [\"vnet*\", \"eno1\"]";

fn reference_topology() -> PathBuf {
    root().join("tests/fixtures/reference.toml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_reference_topology_manages_the_labs_ports() {
        let text = fs::read_to_string(reference_topology()).unwrap();
        assert!(text.contains(MANAGE));
        assert_eq!(reference::UPLINK, "eno1");
        assert!(reference::machines().iter().all(|machine| machine.port().starts_with("vnet")));
    }

    #[test]
    fn each_networks_machines_are_in_its_vlan() {
        let file = fs::read_to_string(Installation::Vlans.topology().unwrap().path()).unwrap();
        assert_eq!(file.matches("mode = \"access\", tag = 3 }").count(), 2, "freeipa1, postgresql1");
        assert_eq!(file.matches("mode = \"access\", tag = 4 }").count(), 4, "three masters and a worker");
        assert!(file.contains("manage = [\"*\"]"));
    }
}
