//! Learning: what a frame that passed says of its source.

use super::{Learn, LearnOp, Tables};
use crate::{
    abi::{Control, LEARNING, Port, Punt, STATION_ABSENT, STATION_STATIC, Station, Usage},
    wire::{Packet, is_group, is_reserved},
};

/// A station's time is written at most this often, and as late again as a remembered decision holds.
const TOUCH_NS: u64 = 1_000_000_000;

/// What becomes of the source, and why the frame must be punted on its account.
#[inline(always)]
pub(super) fn source<T: Tables>(
    tables: &T,
    packet: &Packet,
    port: &Port,
    slot: u16,
    known: Station,
    clock: Clock,
) -> (Learn, Option<Punt>) {
    if is_group(&packet.source.mac) || packet.source.mac == [0; 6] {
        return (Learn::default(), Some(Punt::BadSourceMac));
    }
    let seen_here = Station { seen_ns: clock.now, port: slot, flags: known.flags & !STATION_ABSENT, pad: 0 };
    if known.is(STATION_ABSENT) {
        return add(tables, port, slot, seen_here);
    }
    let update = Learn { op: LearnOp::Update, station: seen_here };
    if known.is_learned() && known.port != slot {
        return (update, Some(Punt::StationMoved));
    }
    let aged = clock.is_past(clock.expiry(&known));
    let learn = if aged || clock.now.wrapping_sub(known.seen_ns) >= TOUCH_NS { update } else { Learn::default() };
    // An aged entry, or a static one not seen yet: the slow path has to learn it (again) first.
    (learn, if aged { Some(Punt::UnknownSource) } else { None })
}

#[inline(always)]
fn add<T: Tables>(tables: &T, port: &Port, slot: u16, station: Station) -> (Learn, Option<Punt>) {
    if tables.control(Control::Flags) & LEARNING == 0 {
        return (Learn::default(), Some(Punt::UnknownSource));
    }
    if Usage::is_full(tables.usage(slot).stations, port.station_limit) {
        return (Learn::default(), Some(Punt::StationLimit));
    }
    (Learn { op: LearnOp::Add, station }, Some(Punt::UnknownSource))
}

/// Frames that the slow paths learn from differently (reserved destinations, tags that are not clear) teach us nothing; but if they
/// show a station elsewhere than we believe, we believe nothing any more.
#[inline(always)]
pub(super) fn distrust(packet: &Packet, slot: u16, known: Station) -> Learn {
    if known.is_learned() && known.port != slot && !is_group(&packet.source.mac) {
        Learn { op: LearnOp::Forget, station: known }
    } else {
        Learn::default()
    }
}

/// Whether every slow path learns from frames to such a destination.
#[inline(always)]
pub(super) fn teaches(packet: &Packet) -> bool {
    !is_reserved(&packet.destination.mac)
}

/// The time, and how long a station is believed: both read once for each frame.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) now: u64,
    ageing: u64,
}

impl Clock {
    #[inline(always)]
    pub(super) fn read<T: Tables>(tables: &T) -> Self {
        Self { now: tables.now_ns(), ageing: tables.control(Control::AgeingNs) }
    }

    /// When a station is no longer believed. Static ones do not age; one that was never seen is not believed yet.
    #[inline(always)]
    pub(super) fn expiry(self, station: &Station) -> u64 {
        if station.seen_ns == 0 {
            0
        } else if station.is(STATION_STATIC) {
            u64::MAX
        } else {
            station.seen_ns.saturating_add(self.ageing)
        }
    }

    #[inline(always)]
    pub(super) fn is_past(self, end: u64) -> bool {
        self.now >= end
    }
}
