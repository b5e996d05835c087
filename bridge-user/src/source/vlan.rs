//! How a port of a VLAN-aware bridge treats tags, in one form for Open vSwitch's and Linux's words.
//!
//! Modes and their meaning: Open vSwitch's vswitch.xml, table Port, column `vlan_mode`, and `port_configure` in vswitchd/bridge.c. A
//! Linux bridge's: `__allowed_ingress` and `br_handle_vlan` in net/bridge/br_vlan.c. Must not: read a socket.

use std::collections::BTreeSet;
use std::fmt;

/// VIDs 1 to 4094 name VLANs; 0 is the VLAN of untagged frames where nothing else is said.
const LAST_VID: u16 = 4094;

/// How a port treats tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortVlan {
    /// The VLAN of a frame that comes in without a VID (untagged or priority-tagged); `None`: the bridge drops such a frame.
    pub pvid: Option<u16>,
    /// Frames of the PVID leave with a tag.
    pub pvid_tagged: bool,
    /// Which VLANs it carries.
    pub carries: Carries,
}

/// Which VLANs a port carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carries {
    /// The PVID's only, and a frame that comes in with any VID is dropped, the PVID's own included (Open vSwitch's access ports).
    Access,
    /// Every one.
    All,
    /// These, VLAN 0 and the PVID's among them only if they are listed.
    Listed(BTreeSet<u16>),
}

impl PortVlan {
    /// A port that nobody said anything about: a trunk of every VLAN, whose untagged frames are in VLAN 0.
    pub const PLAIN: Self = Self { pvid: Some(0), pvid_tagged: false, carries: Carries::All };

    /// An access port of VLAN `tag`.
    pub const fn access(tag: u16) -> Self {
        Self { pvid: Some(tag), pvid_tagged: false, carries: Carries::Access }
    }

    /// A trunk; no `trunks`: of every VLAN.
    pub fn trunk(trunks: &BTreeSet<u16>) -> Self {
        if trunks.is_empty() {
            return Self::PLAIN;
        }
        let pvid = trunks.contains(&0).then_some(0);
        Self { pvid, pvid_tagged: false, carries: Carries::Listed(trunks.clone()) }
    }

    /// A trunk whose frames without a VID are in VLAN `native`; these leave with a tag if `tagged`.
    pub fn native(native: u16, tagged: bool, trunks: &BTreeSet<u16>) -> Self {
        let carries = match trunks.is_empty() {
            true => Carries::All,
            false => Carries::Listed(trunks.iter().copied().chain([native]).collect()),
        };
        Self { pvid: Some(native), pvid_tagged: tagged, carries }
    }

    /// What Open vSwitch makes of the columns `vlan_mode`, `tag` and `trunks` of a row of its table Port.
    ///
    /// # Errors
    /// Words for an operator: a mode that we do not know, or cannot do identically (`dot1q-tunnel`).
    pub fn of_ovs(mode: Option<&str>, tag: Option<i64>, trunks: &[i64]) -> Result<Self, String> {
        let tag = tag.and_then(|tag| u16::try_from(tag).ok()).filter(|tag| *tag <= LAST_VID + 1);
        let trunks: BTreeSet<u16> = trunks.iter().filter_map(|vid| u16::try_from(*vid).ok()).collect();
        match (mode, tag) {
            (None, Some(tag)) => Ok(Self::access(tag)),
            (None, None) | (Some("trunk"), _) => Ok(Self::trunk(&trunks)),
            (Some("access"), tag) => Ok(Self::access(tag.unwrap_or(0))),
            (Some("native-untagged"), tag) => Ok(Self::native(tag.unwrap_or(0), false, &trunks)),
            (Some("native-tagged"), tag) => Ok(Self::native(tag.unwrap_or(0), true, &trunks)),
            (Some("dot1q-tunnel"), _) => Err("the port tunnels tags (vlan_mode dot1q-tunnel)".into()),
            (Some(other), _) => Err(format!("vlan_mode {other:?} is not known")),
        }
    }

    /// Whether the port carries frames of this VLAN.
    pub fn carries(&self, vlan: u16) -> bool {
        match &self.carries {
            Carries::Access => self.pvid == Some(vlan),
            Carries::All => true,
            Carries::Listed(listed) => listed.contains(&vlan),
        }
    }

    /// Whether frames of this VLAN, which it carries, leave with a tag.
    pub fn tags(&self, vlan: u16) -> bool {
        vlan != 0 && (self.pvid != Some(vlan) || self.pvid_tagged)
    }
}

/// For people: `access 10`, `trunk`, `trunk 10,20-29`, `native-tagged 1, trunk 1,10`.
impl fmt::Display for PortVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let native = if self.pvid_tagged { "native-tagged" } else { "native-untagged" };
        match (&self.carries, self.pvid) {
            (Carries::Access, pvid) => return write!(f, "access {}", pvid.unwrap_or(0)),
            (_, Some(0) | None) => {}
            (_, Some(pvid)) => write!(f, "{native} {pvid}, ")?,
        }
        match &self.carries {
            Carries::Listed(listed) => write!(f, "trunk {}", ranges(listed)),
            Carries::All | Carries::Access => f.write_str("trunk"),
        }
    }
}

/// `1,10-12`; `-` for none.
fn ranges(vlans: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &vlan in vlans {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == vlan => *last = vlan,
            _ => ranges.push((vlan, vlan)),
        }
    }
    let text = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ranges.is_empty() { "-".into() } else { ranges.iter().map(text).collect::<Vec<_>>().join(",") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_open_vswitch_makes_of_its_columns() {
        let of = |mode, tag, trunks: &[i64]| PortVlan::of_ovs(mode, tag, trunks).unwrap();
        assert_eq!(of(None, None, &[]), PortVlan::PLAIN);
        assert_eq!(of(None, Some(10), &[20]), PortVlan::access(10));
        assert_eq!(of(Some("access"), None, &[]), PortVlan::access(0));
        assert_eq!(of(Some("trunk"), Some(10), &[]), PortVlan::PLAIN);
        let trunk = of(None, None, &[10, 20]);
        assert_eq!((trunk.pvid, trunk.carries(10), trunk.carries(0), trunk.tags(10)), (None, true, false, true));
        assert_eq!(of(None, None, &[0, 10]).pvid, Some(0));
        let native = of(Some("native-untagged"), Some(1), &[10]);
        assert_eq!((native.pvid, native.carries(1), native.tags(1), native.tags(10)), (Some(1), true, false, true));
        assert!(of(Some("native-tagged"), Some(1), &[]).tags(1));
        assert!(!of(Some("native-tagged"), Some(0), &[]).tags(0), "VLAN 0 has no tag");
    }

    #[test]
    fn people_read_modes_and_ranges() {
        let native = PortVlan::native(1, false, &[10, 11, 12, 20].into());
        assert_eq!(native.to_string(), "native-untagged 1, trunk 1,10-12,20");
        assert_eq!(PortVlan::native(1, true, &[].into()).to_string(), "native-tagged 1, trunk");
        assert_eq!(PortVlan::PLAIN.to_string(), "trunk");
        assert_eq!(PortVlan::access(10).to_string(), "access 10");
        assert_eq!(PortVlan::trunk(&[7].into()).to_string(), "trunk 7");
    }

    #[test]
    fn what_cannot_be_done_identically_is_told() {
        let why = |mode| PortVlan::of_ovs(Some(mode), Some(1), &[]).unwrap_err();
        assert!(why("dot1q-tunnel").contains("dot1q-tunnel"));
        assert!(why("odd").contains("\"odd\""));
    }
}
