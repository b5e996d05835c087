//! How a port treats VLAN tags: what a bridge is told, and what then becomes of a frame. Written from the bridges' own documents
//! (vswitch.xml, table Port; bridge(8), net/bridge/br_vlan.c); must not share code with the product, which it tests.

use std::collections::BTreeSet;

use super::SlowPath;
use crate::error::{Error, Result};
use crate::frame::ethertype;

/// The last VID that names a VLAN; a filtering Linux bridge knows no others, Open vSwitch takes 0 and 4095 as well.
const LAST_VID: u16 = 4094;

/// How a port shall treat tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortVlan {
    /// One VLAN, untagged.
    Access(u16),
    /// These VLANs, tagged; every one if none is listed. On Open vSwitch VLAN 0, that of untagged frames, is one of them.
    Trunk(Vec<u16>),
    /// A trunk of the second, whose frames without a VID are in the first VLAN; these leave with a tag.
    NativeTagged(u16, Vec<u16>),
    /// The same, but these leave without.
    NativeUntagged(u16, Vec<u16>),
    /// A filtering Linux bridge's own words.
    Vids {
        /// The VLAN of frames that come in without a VID; without it they are dropped.
        pvid: Option<u16>,
        /// VLANs whose frames leave without a tag.
        untagged: Vec<u16>,
        /// VLANs whose frames leave with a tag.
        tagged: Vec<u16>,
    },
}

impl PortVlan {
    /// Columns of Open vSwitch's table Port, as `ovs-vsctl set` takes them.
    pub(super) fn columns(&self) -> Result<Vec<String>> {
        let trunks =
            |vids: &[u16]| format!("trunks=[{}]", vids.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
        let native = |mode: &str, vid, vids| vec![format!("vlan_mode={mode}"), format!("tag={vid}"), trunks(vids)];
        match self {
            Self::Access(vid) => Ok(vec![format!("tag={vid}")]),
            Self::Trunk(vids) => Ok(vec![trunks(vids)]),
            Self::NativeTagged(vid, vids) => Ok(native("native-tagged", vid, vids)),
            Self::NativeUntagged(vid, vids) => Ok(native("native-untagged", vid, vids)),
            Self::Vids { .. } => Err(Error::Invalid("lists of VIDs are for a filtering Linux bridge".into())),
        }
    }
}

/// What becomes of a frame at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagging {
    pvid: Option<u16>,
    /// Frames that come in with a VID are dropped, whatever it is.
    untagged_only: bool,
    carried: BTreeSet<u16>,
    untagged: BTreeSet<u16>,
    /// A tag of 802.1ad is read like one of 802.1Q; else it counts as payload.
    outer_tags: bool,
}

impl Tagging {
    /// On that bridge, with those settings or its default.
    #[must_use]
    pub fn of(slow_path: SlowPath, vlan: Option<&PortVlan>) -> Self {
        match (slow_path, vlan) {
            (SlowPath::LinuxVlanBridge, vlan) => Self::linux(vlan.unwrap_or(&PortVlan::Access(1))),
            (_, vlan) => Self::ovs(vlan.unwrap_or(&PortVlan::Trunk(Vec::new()))),
        }
    }

    fn ovs(vlan: &PortVlan) -> Self {
        let or_all = |vids: &[u16]| if vids.is_empty() { (0..=0xfff).collect() } else { set(vids) };
        let native = |vid: u16, vids: &[u16]| (Some(vid), or_all(vids).into_iter().chain([vid]).collect());
        let (pvid, carried) = match vlan {
            PortVlan::Access(vid) => (Some(*vid), set(&[*vid])),
            PortVlan::Trunk(vids) => (or_all(vids).contains(&0).then_some(0), or_all(vids)),
            PortVlan::NativeTagged(vid, vids) | PortVlan::NativeUntagged(vid, vids) => native(*vid, vids),
            PortVlan::Vids { .. } => (None, BTreeSet::new()),
        };
        let mut untagged = set(&[0]);
        if matches!(vlan, PortVlan::Access(_) | PortVlan::NativeUntagged(..)) {
            untagged.extend(pvid);
        }
        Self { pvid, untagged_only: matches!(vlan, PortVlan::Access(_)), carried, untagged, outer_tags: true }
    }

    fn linux(vlan: &PortVlan) -> Self {
        let or_all = |vids: &[u16]| if vids.is_empty() { (1..=LAST_VID).collect() } else { set(vids) };
        let (pvid, untagged, tagged) = match vlan {
            PortVlan::Access(vid) => (Some(*vid), set(&[*vid]), BTreeSet::new()),
            PortVlan::Trunk(vids) => (None, BTreeSet::new(), or_all(vids)),
            PortVlan::NativeTagged(vid, vids) => (Some(*vid), BTreeSet::new(), or_all(vids)),
            PortVlan::NativeUntagged(vid, vids) => (Some(*vid), set(&[*vid]), or_all(vids)),
            PortVlan::Vids { pvid, untagged, tagged } => (*pvid, set(untagged), set(tagged)),
        };
        let carried = tagged.iter().chain(&untagged).copied().chain(pvid).collect();
        Self { pvid, untagged_only: false, carried, untagged, outer_tags: false }
    }

    /// The VLAN of a frame that comes in; `None` when the port drops it.
    #[must_use]
    pub fn vlan_of(&self, frame: &[u8]) -> Option<u16> {
        let vid = frame.get(14..16).map_or(0, |tci| u16::from_be_bytes([tci[0], tci[1]]) & 0xfff);
        match (ethertype_of(frame), vid) {
            (ethertype::VLAN, 1..) => self.vlan_of_vid(vid),
            (ethertype::QINQ, 1..) if self.outer_tags => self.vlan_of_vid(vid),
            _ => self.pvid.filter(|vlan| self.carried.contains(vlan)),
        }
    }

    fn vlan_of_vid(&self, vid: u16) -> Option<u16> {
        Some(vid).filter(|vlan| !self.untagged_only && self.carried.contains(vlan))
    }

    /// Whether frames of this VLAN leave through the port.
    #[must_use]
    pub fn carries(&self, vlan: u16) -> bool {
        self.carried.contains(&vlan)
    }

    /// The first few VLANs that the port carries, and its PVID.
    pub fn examples(&self) -> impl Iterator<Item = u16> {
        self.carried.iter().copied().filter(|vlan| *vlan != 0).take(8).chain(self.pvid.filter(|vlan| *vlan != 0))
    }

    /// What puts a frame into this VLAN: no tag, this VID, either or nothing.
    #[must_use]
    pub fn tags_for(&self, vlan: u16) -> Vec<Option<u16>> {
        let untagged = (self.pvid == Some(vlan) && self.carries(vlan)).then_some(None);
        let tagged = (vlan != 0 && self.vlan_of_vid(vlan).is_some()).then_some(Some(vlan));
        untagged.into_iter().chain(tagged).collect()
    }

    /// What `bridge -batch` reads to set it up at a port of a filtering Linux bridge.
    pub(super) fn batch(&self, port: &str) -> String {
        // A new port is in VLAN 1, as its PVID.
        let mut batch = format!("vlan del dev {port} vid 1\n");
        for (first, last) in ranges(self.carried.difference(&self.untagged)) {
            let vids = if first == last { first.to_string() } else { format!("{first}-{last}") };
            batch += &format!("vlan add dev {port} vid {vids}\n");
        }
        for vid in &self.untagged {
            batch += &format!("vlan add dev {port} vid {vid} untagged\n");
        }
        if let Some(pvid) = self.pvid {
            let untagged = if self.untagged.contains(&pvid) { "untagged" } else { "" };
            batch += &format!("vlan add dev {port} vid {pvid} pvid {untagged}\n");
        }
        batch
    }
}

fn ethertype_of(frame: &[u8]) -> u16 {
    frame.get(12..14).map_or(0, |kind| u16::from_be_bytes([kind[0], kind[1]]))
}

fn set(vids: &[u16]) -> BTreeSet<u16> {
    vids.iter().copied().collect()
}

/// Runs of numbers that follow each other, first and last.
fn ranges<'a>(vids: impl Iterator<Item = &'a u16>) -> Vec<(u16, u16)> {
    let mut found: Vec<(u16, u16)> = Vec::new();
    for &vid in vids {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == vid => *last = vid,
            _ => found.push((vid, vid)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::frame::{BROADCAST, Eth};

    fn vlan_of(slow_path: SlowPath, vlan: &PortVlan, tpid: u16, tci: Option<u16>) -> Option<u16> {
        let eth = Eth::new(BROADCAST, [2, 0, 0, 0, 0, 1]);
        let eth = tci.into_iter().fold(eth, |eth, tci| eth.tag(tpid, tci));
        Tagging::of(slow_path, Some(vlan)).vlan_of(&eth.payload(0x88b5, &[0; 50]))
    }

    #[test]
    fn the_bridges_differ_where_their_documents_do() {
        use SlowPath::{LinuxVlanBridge, OvsKernel};
        let access = PortVlan::Access(5);
        let of = |slow_path, vlan: &PortVlan, tci| vlan_of(slow_path, vlan, ethertype::VLAN, tci);
        assert_eq!((of(OvsKernel, &access, None), of(OvsKernel, &access, Some(0xe000))), (Some(5), Some(5)));
        assert_eq!((of(OvsKernel, &access, Some(5)), of(LinuxVlanBridge, &access, Some(5))), (None, Some(5)));
        let trunk = PortVlan::Trunk(vec![5, 6]);
        assert_eq!((of(OvsKernel, &trunk, None), of(OvsKernel, &trunk, Some(0xf006))), (None, Some(6)));
        assert_eq!(of(OvsKernel, &PortVlan::Trunk(vec![]), None), Some(0));
        assert_eq!(of(LinuxVlanBridge, &PortVlan::Trunk(vec![]), None), None);
        assert_eq!(vlan_of(OvsKernel, &trunk, ethertype::QINQ, Some(5)), Some(5));
        assert_eq!(vlan_of(LinuxVlanBridge, &PortVlan::NativeTagged(6, vec![5]), ethertype::QINQ, Some(5)), Some(6));
    }

    #[test]
    fn a_linux_port_is_told_runs_and_its_pvid() {
        let vlan = PortVlan::Vids { pvid: Some(9), untagged: vec![9, 7], tagged: vec![4, 2, 3, 100] };
        let tagging = Tagging::of(SlowPath::LinuxVlanBridge, Some(&vlan));
        let lines = tagging.batch("p");
        let lines: Vec<_> = lines.lines().map(|line| line.split(" vid ").nth(1).unwrap().trim()).collect();
        assert_eq!(lines, ["1", "2-4", "100", "7 untagged", "9 untagged", "9 pvid untagged"]);
    }

    #[test]
    fn tags_put_a_frame_where_they_say() {
        let native = PortVlan::NativeTagged(6, vec![5]);
        let tagging = Tagging::of(SlowPath::OvsUserspace, Some(&native));
        assert_eq!([5, 6, 7].map(|vlan| tagging.tags_for(vlan)), [vec![Some(5)], vec![None, Some(6)], vec![]]);
    }
}
