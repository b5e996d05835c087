//! Learning: what a frame that passed says of its source.

use super::{Learn, LearnOp, Tables};
use crate::{
    abi::{Control, LEARNING, Port, Punt, STATION_ABSENT, STATION_STATIC, Station, Usage},
    wire::{Packet, is_group, is_reserved},
};

/// A station's time is written at most this often.
const TOUCH_NS: u64 = 1_000_000_000;

/// What becomes of the source, and why the frame must be punted on its account.
#[inline(always)]
pub(super) fn source<T: Tables>(
    tables: &T,
    packet: &Packet,
    port: &Port,
    slot: u16,
    known: Station,
    now: u64,
) -> (Learn, Option<Punt>) {
    if is_group(&packet.source.mac) || packet.source.mac == [0; 6] {
        return (Learn::default(), Some(Punt::BadSourceMac));
    }
    let seen_here = Station { seen_ns: now, port: slot, flags: known.flags & !STATION_ABSENT, pad: 0 };
    if known.is(STATION_ABSENT) {
        return add(tables, port, slot, seen_here);
    }
    let update = Learn { op: LearnOp::Update, station: seen_here };
    if known.is_learned() && known.port != slot {
        return (update, Some(Punt::StationMoved));
    }
    let aged = is_aged(tables, &known, now);
    let learn = if aged || now.wrapping_sub(known.seen_ns) >= TOUCH_NS { update } else { Learn::default() };
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

/// Frames that the two slow paths learn from differently (reserved destinations, tags) teach us nothing; but if they
/// show a station elsewhere than we believe, we believe nothing any more.
#[inline(always)]
pub(super) fn distrust(packet: &Packet, slot: u16, known: Station) -> Learn {
    if known.is_learned() && known.port != slot && !is_group(&packet.source.mac) {
        Learn { op: LearnOp::Forget, station: known }
    } else {
        Learn::default()
    }
}

/// Whether this frame may teach us.
#[inline(always)]
pub(super) fn teaches(packet: &Packet) -> bool {
    !packet.tagged && !is_reserved(&packet.destination.mac)
}

/// Whether a frame at `now` would change or doubt what is known of its source.
#[inline(always)]
pub(super) fn is_due<T: Tables>(tables: &T, known: &Station, now: u64) -> bool {
    now.wrapping_sub(known.seen_ns) >= TOUCH_NS || is_aged(tables, known, now)
}

/// Whether a station is too old, or was never seen, to be believed. Static ones do not age.
#[inline(always)]
pub(super) fn is_aged<T: Tables>(tables: &T, station: &Station, now: u64) -> bool {
    if station.seen_ns == 0 {
        return true;
    }
    station.flags & STATION_STATIC == 0 && now.saturating_sub(station.seen_ns) >= tables.control(Control::AgeingNs)
}
