//! The bridges that a lab can have, and whether this kernel has them.

use std::path::Path;

use crate::error::Result;
use crate::netns::Netns;
use crate::sweep;

/// The bridge that forwards without fastbridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlowPath {
    /// The kernel's own bridge, which knows no VLANs.
    LinuxBridge,
    /// The same with `vlan_filtering`.
    LinuxVlanBridge,
    /// Open vSwitch with `datapath_type=netdev`, its daemons run inside the host namespace.
    OvsUserspace,
    /// Open vSwitch with the kernel's datapath, its daemons run inside the host namespace.
    OvsKernel,
}

impl SlowPath {
    /// Those which every kernel here has, for tests that run for each.
    pub const ALL: [Self; 2] = [Self::LinuxBridge, Self::OvsUserspace];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinuxBridge => "the Linux bridge",
            Self::LinuxVlanBridge => "the Linux bridge with vlan_filtering",
            Self::OvsUserspace => "Open vSwitch, userspace datapath",
            Self::OvsKernel => "Open vSwitch, kernel datapath",
        }
    }

    /// Whether it is Open vSwitch.
    #[must_use]
    pub const fn is_ovs(self) -> bool {
        matches!(self, Self::OvsUserspace | Self::OvsKernel)
    }

    /// What this kernel lacks for it, in words; `None` when nothing.
    ///
    /// # Errors
    /// It could not be tried.
    pub fn lacking(self) -> Result<Option<&'static str>> {
        let there = match self {
            Self::LinuxBridge | Self::OvsUserspace => true,
            Self::OvsKernel => Path::new("/sys/module/openvswitch").exists(),
            Self::LinuxVlanBridge => filters_vlans()?,
        };
        Ok((!there).then_some(match self {
            Self::OvsKernel => "the kernel has no openvswitch module loaded",
            _ => "the kernel's bridge has no VLAN filtering",
        }))
    }
}

/// A kernel without it refuses the setting.
fn filters_vlans() -> Result<bool> {
    let netns = Netns::create(&format!("{}-vlan", sweep::fresh_prefix()))?;
    match netns.ip("link add br0 type bridge vlan_filtering 1") {
        Ok(_) => Ok(true),
        Err(error) if error.to_string().contains("not supported") => Ok(false),
        Err(error) => Err(error),
    }
}
