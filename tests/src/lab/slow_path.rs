//! The bridges that a lab can have, and whether this kernel has them.

use std::path::Path;

use crate::error::{Error, Result};
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

    /// Open vSwitch: with the kernel's datapath where this kernel has it, else the userspace one. For tests of what both share.
    ///
    /// # Panics
    /// When that cannot be found out.
    #[must_use]
    pub fn ovs() -> Self {
        let lacking = Self::OvsKernel.lacking().unwrap_or_else(|error| panic!("is it there? {error}"));
        if lacking.is_some() { Self::OvsUserspace } else { Self::OvsKernel }
    }

    /// The Linux bridge and [`Self::ovs`].
    #[must_use]
    pub fn here() -> [Self; 2] {
        [Self::LinuxBridge, Self::ovs()]
    }

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

    /// What this kernel lacks for it, or for a fast path beside it between veths, in words; `None` when nothing.
    ///
    /// # Errors
    /// It could not be tried.
    pub fn lacking(self) -> Result<Option<&'static str>> {
        let there = match self {
            Self::LinuxBridge => true,
            Self::OvsUserspace => kernel()? >= (6, 3),
            Self::OvsKernel => Path::new("/sys/module/openvswitch").exists(),
            Self::LinuxVlanBridge => filters_vlans()?,
        };
        Ok((!there).then_some(match self {
            Self::OvsKernel => "the kernel has no openvswitch module loaded",
            Self::OvsUserspace => {
                "beside this datapath only XDP forwards, and before Linux 6.3 a veth does not tell whether it takes frames from XDP"
            }
            _ => "the kernel's bridge has no VLAN filtering",
        }))
    }
}

/// The running kernel's version: major, minor.
///
/// # Errors
/// It cannot be told.
pub fn kernel() -> Result<(u32, u32)> {
    const RELEASE: &str = "/proc/sys/kernel/osrelease";
    let text = std::fs::read_to_string(RELEASE).map_err(|error| Error::io(RELEASE, error))?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).ok_or(Error::Invalid(format!("no kernel version: {text}")))
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
