//! Forwarding: only what is known, and only where the slow path would do the same (design section 1).

use super::{At, Hold, Hook, Tables, Verdict, vlan};
use crate::{
    abi::{
        Control, HEARTBEAT_STALE_NS, NO_PORT, PORT_ELIGIBLE, PORT_RUNNING, PORT_VIRTUAL, PORT_XDP_TARGET, Port, Punt,
        STATION_ABSENT, STATION_HOST,
    },
    wire::{Class, Frame, Packet, has_full_checksum, is_group},
};

/// Until when the manager counts as alive; 0 when it has told us to stop.
#[inline(always)]
pub(super) fn manager_until<T: Tables>(tables: &T) -> u64 {
    match tables.control(Control::Heartbeat) {
        0 => 0,
        beat => beat.saturating_add(HEARTBEAT_STALE_NS),
    }
}

/// Where an allowed frame from a known source goes. What this rests on is put down in `hold`.
#[inline(always)]
pub(super) fn destination<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    packet: &Packet,
    at: &At<'_>,
    hold: &mut Hold,
) -> Verdict {
    match find(tables, packet, at, hold) {
        Ok((to, egress)) => match obstacle(frame, packet, at, &egress) {
            Some(reason) => Verdict::Punt(reason),
            None if vlan::leaves(tables, &egress, to, packet, &mut hold.retag) => {
                Verdict::Forward { slot: to, ifindex: egress.ifindex, retag: hold.retag }
            }
            None => Verdict::Punt(Punt::Vlan),
        },
        // In VLANs other than 0 the host's MACs are not in the FDB.
        Err(Punt::UnknownDestination) if packet.destination.vlan != 0 && is_hosts(tables, packet) => {
            Verdict::Punt(Punt::OwnMac)
        }
        Err(reason) => Verdict::Punt(reason),
    }
}

/// The destination's port.
#[inline(always)]
fn find<T: Tables>(tables: &T, packet: &Packet, at: &At<'_>, hold: &mut Hold) -> Result<(u16, Port), Punt> {
    if is_group(&packet.destination.mac) {
        return Err(Punt::Multicast);
    }
    let station = tables.station(&packet.destination);
    if station.is(STATION_HOST) {
        return Err(Punt::OwnMac);
    }
    let expiry = at.clock.expiry(&station);
    if station.is(STATION_ABSENT) || at.clock.is_past(expiry) || station.port == NO_PORT {
        return Err(Punt::UnknownDestination);
    }
    if station.port == at.slot {
        return Err(Punt::SamePort);
    }
    let egress = tables.port(station.port).ok_or(Punt::UnknownDestination)?;
    if !egress.is(PORT_ELIGIBLE) {
        return Err(Punt::Ineligible);
    }
    if !egress.is(PORT_RUNNING) {
        return Err(Punt::EgressDown);
    }
    hold.until = hold.until.min(expiry);
    hold.mtu = egress.mtu;
    Ok((station.port, egress))
}

/// Out of line: nobody is in a hurry here, and the compiler mixes up nothing across a call.
#[inline(never)]
fn is_hosts<T: Tables>(tables: &T, packet: &Packet) -> bool {
    vlan::bound(tables, packet.destination.mac).is(STATION_HOST)
}

/// What forbids this frame on this way, but for its VLAN.
#[inline(always)]
fn obstacle<F: Frame>(frame: &F, packet: &Packet, at: &At<'_>, egress: &Port) -> Option<Punt> {
    let gso = packet.gso && at.hook == Hook::Tc;
    if packet.payload_len > egress.mtu && !gso {
        return Some(Punt::OverMtu);
    }
    if packet.class != Class::Ip {
        return Some(Punt::Ethertype);
    }
    if at.hook == Hook::Xdp {
        if at.port.is(PORT_VIRTUAL) && !has_full_checksum(&packet.ip) {
            return Some(Punt::PartialChecksum);
        }
        if !egress.is(PORT_XDP_TARGET) || frame.is_fragmented_buffer() {
            return Some(Punt::NoXdpTarget);
        }
    }
    None
}
