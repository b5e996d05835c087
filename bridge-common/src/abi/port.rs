//! Managed ports.

/// Slot 0 stands for "no managed port": the host, and ports that are not ours. Managed ports have 1..=limits.ports.
pub const NO_PORT: u16 = 0;

/// In place of a slot: no port, but one of the bridge's own devices, by which the host receives what the bridge hands to it.
/// Its low half is [`NO_PORT`].
pub const OWN_DEVICE: u32 = 1 << 16;

/// The slot in a word of the maps `SLOTS` and `NEAR_SLOTS`.
#[inline(always)]
pub const fn slot_of(word: u32) -> Option<u16> {
    match word as u16 {
        NO_PORT => None,
        slot => Some(slot),
    }
}

/// One managed port, indexed by its slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port {
    /// Interface index in the manager's network namespace.
    pub ifindex: u32,
    /// The interface's MTU: bytes after the Ethernet header (and after one VLAN tag).
    pub mtu: u32,
    /// `PORT_*` bits.
    pub flags: u32,
    /// How many stations may be learned here; `u32::MAX`: unlimited.
    pub station_limit: u32,
    /// How many flows may be opened from here.
    pub flow_limit: u32,
    /// VLAN of frames that come in without a VID, [`NO_PVID`]: the bridge drops them. 0 unless [`PORT_VLAN_AWARE`].
    pub pvid: u16,
    /// Always 0.
    pub pad: u16,
}
const _: () = assert!(size_of::<Port>() == 24);

/// No VLAN takes in frames without a VID.
pub const NO_PVID: u16 = 0xffff;

/// A member of the bridge. Without it every frame is dropped as `not-member`.
pub const PORT_MEMBER: u32 = 1;
/// May take part in forwarding. Without it frames are policed and punted.
pub const PORT_ELIGIBLE: u32 = 2;
/// Administratively up with carrier.
pub const PORT_RUNNING: u32 = 4;
/// Only bound stations may send, with their own addresses.
pub const PORT_GUARD: u32 = 8;
/// A tap or veth: frames may carry partial checksums that XDP would lose.
pub const PORT_VIRTUAL: u32 = 16;
/// Can take frames redirected by XDP.
pub const PORT_XDP_TARGET: u32 = 32;
/// A TC ingress program of ours runs behind the XDP program: what XDP does not finish, TC judges and counts.
pub const PORT_TC_BEHIND: u32 = 64;
/// The bridge reads tags. Without it a tag means nothing to it, and every frame is in VLAN 0.
pub const PORT_VLAN_AWARE: u32 = 128;
/// Carries the PVID only, and takes in no frame with a VID (an access port of Open vSwitch).
pub const PORT_VLAN_ACCESS: u32 = 256;
/// Carries the VLANs of its [`VlanSet`] only; without this and `PORT_VLAN_ACCESS`, every one.
pub const PORT_VLAN_LISTED: u32 = 512;
/// Frames of the PVID leave with a tag.
pub const PORT_PVID_TAGGED: u32 = 1024;
/// An 802.1ad tag names the VLAN like an 802.1Q one (Open vSwitch); without it such a frame counts as untagged.
pub const PORT_SERVICE_TAGS: u32 = 2048;
/// XDP may be shown a frame without its tag, which lies beside it: put there by the offload of a veth's other end or of a card.
pub const PORT_TAG_BESIDE: u32 = 4096;

/// VLANs that a port carries, a bit for each VID: bit `vid % 64` of word `vid / 64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanSet {
    /// The bits.
    pub words: [u64; 64],
}
const _: () = assert!(size_of::<VlanSet>() == 512);

impl VlanSet {
    /// No VLAN.
    pub const EMPTY: Self = Self { words: [0; 64] };

    /// Whether this VLAN (its low twelve bits) is in it.
    #[inline(always)]
    pub const fn contains(&self, vlan: u16) -> bool {
        self.words[(vlan >> 6 & 63) as usize] >> (vlan & 63) & 1 == 1
    }
}

impl FromIterator<u16> for VlanSet {
    fn from_iter<I: IntoIterator<Item = u16>>(vlans: I) -> Self {
        let mut set = Self::EMPTY;
        vlans.into_iter().for_each(|vlan| set.words[usize::from(vlan >> 6 & 63)] |= 1 << (vlan & 63));
        set
    }
}

impl Port {
    /// Whether all of `bits` are set.
    #[inline(always)]
    pub const fn is(&self, bits: u32) -> bool {
        self.flags & bits == bits
    }
}

/// How much of a port's quotas is in use: two counters that only grow (wrapping), each with one writing side.
/// In use = the programs' counter less the manager's. Two CPUs that see one station move may both count it, so that the
/// difference can be off by a little, and below zero: it is read as signed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Learned stations.
    pub stations: u64,
    /// Open flows.
    pub flows: u64,
}
const _: () = assert!(size_of::<Usage>() == 16);

impl Usage {
    /// Whether `in_use` (one of the differences) leaves no room under `limit`.
    #[inline(always)]
    pub const fn is_full(in_use: u64, limit: u32) -> bool {
        in_use as i64 >= limit as i64
    }
}
