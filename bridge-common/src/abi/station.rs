//! Stations (MAC addresses on a VLAN) and what the guard knows of them.

/// Key of the FDB.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StationKey {
    /// MAC address, in wire order.
    pub mac: [u8; 6],
    /// VLAN id. In VLAN 0 lie the stations of frames without a VLAN, and those known beforehand ([`STATION_STATIC`],
    /// [`STATION_HOST`]): their MACs are bound in every VLAN.
    pub vlan: u16,
}
const _: () = assert!(size_of::<StationKey>() == 8);

/// Value of the FDB.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Station {
    /// CLOCK_MONOTONIC_COARSE, nanoseconds, of its last frame, exact to a second; 0 = not seen yet (a static one).
    pub seen_ns: u64,
    /// Port slot, [`super::NO_PORT`] for the host's own.
    pub port: u16,
    /// `STATION_*` bits.
    pub flags: u16,
    /// Always 0.
    pub pad: u32,
}
const _: () = assert!(size_of::<Station>() == 16);

/// Bound to its port by the topology: never moves, never ages.
pub const STATION_STATIC: u16 = 1;
/// One of the host's own MACs: frames to it belong to the slow path.
pub const STATION_HOST: u16 = 2;

/// Never in a map: what a look-up that finds nothing gives. A value with all its bytes defined, where an `Option` would
/// make the compiler move undefined ones about, which the verifier refuses.
pub const STATION_ABSENT: u16 = 0x8000;

impl Station {
    /// No such station.
    pub const ABSENT: Self = Self { seen_ns: 0, port: 0, flags: STATION_ABSENT, pad: 0 };

    /// Whether any of the `STATION_*` bits is set.
    #[inline(always)]
    pub const fn is(&self, bits: u16) -> bool {
        self.flags & bits != 0
    }

    /// Learned from traffic: there, and neither static nor the host's.
    #[inline(always)]
    pub const fn is_learned(&self) -> bool {
        !self.is(STATION_STATIC | STATION_HOST | STATION_ABSENT)
    }
}

/// An address that a guarded station may use.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuardKey {
    /// Address, IPv4 in the first four bytes and zeros after, wire order.
    pub addr: [u8; 16],
    /// The station's MAC.
    pub mac: [u8; 6],
    /// Port slot.
    pub port: u16,
    /// 4 or 6.
    pub family: u32,
}
const _: () = assert!(size_of::<GuardKey>() == 28);
