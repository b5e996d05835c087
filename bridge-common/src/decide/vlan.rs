//! VLANs: which one an entering frame is in, and the tag that it leaves another port with. Pure.
//!
//! What both slow paths do: Open vSwitch in `input_vid_is_valid`, `xvlan_input_translate` and `xvlan_output_translate`
//! (ofproto/ofproto-dpif-xlate.c), the Linux bridge in `__allowed_ingress` and `br_handle_vlan` (net/bridge/br_vlan.c). What they do
//! differently (service tags, priority tags that stay) is left to them. Must not: look at anything but tags.

use super::{Hook, Scratch, Tables, TablesMut};
use crate::{
    abi::{
        NO_PVID, PORT_GUARD, PORT_PVID_TAGGED, PORT_SERVICE_TAGS, PORT_TAG_BESIDE, PORT_VLAN_ACCESS, PORT_VLAN_AWARE,
        PORT_VLAN_LISTED, Port, STATION_ABSENT, Station, StationKey,
    },
    wire::{Class, Frame, Packet},
};

/// The DEI bit of a tag (IEEE 802.1Q, 9.6).
const DROP_ELIGIBLE: u16 = 0x1000;

/// What becomes of a forwarded frame's tag.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Retag(pub(super) u32);

impl Retag {
    /// Nothing.
    pub const KEEP: Self = Self(0);
    /// The outermost tag goes.
    pub const POP: Self = Self(1 << 16);

    /// An 802.1Q tag of this VLAN, 1 to 4094, comes in front, with priority 0.
    #[inline(always)]
    #[must_use]
    pub const fn push(vlan: u16) -> Self {
        Self(vlan as u32)
    }

    /// The tag control information to push, host byte order; `None`: nothing is pushed.
    #[inline(always)]
    #[must_use]
    pub const fn pushed(self) -> Option<u16> {
        if self.0 == 0 || self.0 >> 16 != 0 { None } else { Some(self.0 as u16) }
    }
}

/// How the bridge takes a frame in.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entering {
    /// The bridge does not drop it for its VLAN.
    pub(super) admitted: bool,
    /// It is clear what the bridge makes of its tag, so that it may be learned from and forwarded.
    pub(super) clear: bool,
}

/// The VLAN of a frame that enters through the port in `slot`, put into both of its FDB keys, and how it is taken in. All of it goes into
/// the scratch space: the verifier would follow every combination of what was returned.
#[inline(never)]
pub(super) fn entering<T: Tables>(tables: &T, port: &Port, slot: u16, hook: Hook, scratch: &mut Scratch) {
    let Scratch { packet, entering, .. } = scratch;
    // Whether it has a tag is not to be seen.
    let hidden = hook == Hook::Xdp && port.is(PORT_TAG_BESIDE) && !packet.tagged && tables.tags_lie_beside(slot);
    if !port.is(PORT_VLAN_AWARE) {
        *entering = Entering { admitted: true, clear: !packet.tagged && !hidden };
        return;
    }
    let read = !packet.tag.service || port.is(PORT_SERVICE_TAGS);
    let vid = if read { packet.tag.vid() } else { 0 };
    entering.clear = !packet.tag.service && packet.class != Class::Stacked && !hidden;
    let vlan = if vid == 0 {
        entering.admitted = port.pvid != NO_PVID;
        if entering.admitted { port.pvid } else { 0 }
    } else {
        entering.admitted = !port.is(PORT_VLAN_ACCESS) && carries(tables, port, slot, vid);
        vid
    };
    packet.source.vlan = vlan;
    packet.destination.vlan = vlan;
}

/// Whether the frame's tag lay beside it all the time, so that XDP has taken it for untagged.
#[inline(always)]
pub(super) fn lies_beside<F: Frame>(port: &Port, frame: &F) -> bool {
    port.is(PORT_TAG_BESIDE) && frame.metadata_tag().is_some() && !frame.was_seen_tagged()
}

/// Lets XDP know of a frame that it has let pass and whose tag it could not see: from the next frame on it leaves what looks untagged there
/// to others. For where no TC ingress program of ours judges behind XDP.
#[inline(always)]
pub fn watch<T: TablesMut, F: Frame>(tables: &T, frame: &F, ifindex: u32) {
    if frame.metadata_tag().is_none() {
        return;
    }
    if let Some(slot) = tables.slot(ifindex)
        && tables.port(slot).is_some_and(|port| lies_beside(&port, frame))
    {
        note_beside(tables, slot);
    }
}

#[inline(never)]
pub(super) fn note_beside<T: TablesMut>(tables: &T, slot: u16) {
    if !tables.tags_lie_beside(slot) {
        tables.note_tags_beside(slot);
        // What is remembered of frames that looked untagged.
        tables.raise_moves();
    }
}

/// With which tag the frame leaves `to`, the port in `slot`: put into `retag`. `false`: that is for the slow path to say.
#[inline(never)]
pub(super) fn leaves<T: Tables>(tables: &T, to: &Port, slot: u16, packet: &Packet, retag: &mut Retag) -> bool {
    match leaving(tables, to, slot, packet, packet.destination.vlan) {
        Some(found) => {
            *retag = found;
            true
        }
        None => false,
    }
}

#[inline(always)]
fn leaving<T: Tables>(tables: &T, to: &Port, slot: u16, packet: &Packet, vlan: u16) -> Option<Retag> {
    if !to.is(PORT_VLAN_AWARE) {
        // The ports of a bridge change one after the other.
        return if vlan == 0 && !packet.tagged { Some(Retag::KEEP) } else { None };
    }
    let carried = if to.is(PORT_VLAN_ACCESS) { to.pvid == vlan } else { carries(tables, to, slot, vlan) };
    if !carried {
        return None;
    }
    let tags = vlan != 0 && (to.pvid != vlan || to.is(PORT_PVID_TAGGED));
    if !packet.tagged {
        return Some(if tags { Retag::push(vlan) } else { Retag::KEEP });
    }
    if tags {
        // A priority tag would have to be changed; and Open vSwitch's userspace datapath clears "drop eligible", where others keep it.
        let stays = packet.tag.vid() == vlan && packet.tag.tci & DROP_ELIGIBLE == 0;
        return if stays { Some(Retag::KEEP) } else { None };
    }
    // In VLAN 0 a priority tag may have to stay.
    if vlan == 0 { None } else { Some(Retag::POP) }
}

/// The VLAN of a frame that is about to leave through `port`.
#[inline(always)]
pub(super) fn at_egress(port: &Port, packet: &Packet) -> u16 {
    let vid = packet.tag.vid();
    if !port.is(PORT_VLAN_AWARE) {
        0
    } else if vid != 0 || port.pvid == NO_PVID || port.is(PORT_PVID_TAGGED) {
        vid
    } else {
        port.pvid
    }
}

#[inline(always)]
fn carries<T: Tables>(tables: &T, port: &Port, slot: u16, vlan: u16) -> bool {
    !port.is(PORT_VLAN_LISTED) || tables.carries(slot, vlan)
}

/// What is known beforehand of a MAC, whatever the VLAN: it lies in VLAN 0. (A learned station there says nothing of other VLANs.)
#[inline(always)]
pub(super) fn bound<T: Tables>(tables: &T, mac: [u8; 6]) -> Station {
    tables.station(&StationKey { mac, vlan: 0 })
}

/// Whose the source is, if it is known beforehand: put into the scratch space. `known`: what the FDB has of it in its VLAN. A
/// station that is known on this very port was asked about when it was learned.
#[inline(never)]
pub(super) fn owner<T: Tables>(tables: &T, scratch: &mut Scratch, known: &Station, port: &Port, slot: u16) {
    let source = &scratch.packet.source;
    let asked = !known.is(STATION_ABSENT) && known.port == slot && !port.is(PORT_GUARD);
    scratch.owner = if source.vlan == 0 || asked { *known } else { bound(tables, source.mac) };
}
