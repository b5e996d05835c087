//! Forwarding: only what is known, and only where the slow path would do the same (design section 1).

use super::{Hook, Tables, Verdict, learn, recall};
use crate::{
    abi::{
        Control, HEARTBEAT_STALE_NS, NO_PORT, PORT_ELIGIBLE, PORT_RUNNING, PORT_VIRTUAL, PORT_XDP_TARGET, Port, Punt,
        STATION_ABSENT, STATION_HOST,
    },
    wire::{Class, Frame, Packet, has_full_checksum, is_group},
};

/// Whether the manager is alive.
#[inline(always)]
pub(super) fn manager_alive<T: Tables>(tables: &T, now: u64) -> bool {
    let beat = tables.control(Control::Heartbeat);
    beat != 0 && now.saturating_sub(beat) < HEARTBEAT_STALE_NS
}

/// Where an allowed frame from a known source goes. `lasting`: whether the destination is known for a while.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // one call, inlined; a struct would only rename them
pub(super) fn destination<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    packet: &Packet,
    ingress: &Port,
    slot: u16,
    hook: Hook,
    now: u64,
    lasting: &mut bool,
) -> Verdict {
    match find(tables, packet, slot, now, lasting) {
        Ok((to, egress)) => match obstacle(frame, packet, ingress, &egress, hook) {
            None => Verdict::Forward { slot: to, ifindex: egress.ifindex },
            Some(reason) => Verdict::Punt(reason),
        },
        Err(reason) => Verdict::Punt(reason),
    }
}

/// The destination's port.
#[inline(always)]
fn find<T: Tables>(tables: &T, packet: &Packet, slot: u16, now: u64, lasting: &mut bool) -> Result<(u16, Port), Punt> {
    if is_group(&packet.destination.mac) {
        return Err(Punt::Multicast);
    }
    let station = tables.station(&packet.destination);
    if station.is(STATION_HOST) {
        return Err(Punt::OwnMac);
    }
    if station.is(STATION_ABSENT) || learn::is_aged(tables, &station, now) || station.port == NO_PORT {
        return Err(Punt::UnknownDestination);
    }
    if station.port == slot {
        return Err(Punt::SamePort);
    }
    let egress = tables.port(station.port).ok_or(Punt::UnknownDestination)?;
    if !egress.is(PORT_ELIGIBLE) {
        return Err(Punt::Ineligible);
    }
    if !egress.is(PORT_RUNNING) {
        return Err(Punt::EgressDown);
    }
    *lasting = !learn::is_aged(tables, &station, now + recall::LASTS_NS);
    Ok((station.port, egress))
}

/// What forbids this frame on this way.
#[inline(always)]
fn obstacle<F: Frame>(frame: &F, packet: &Packet, ingress: &Port, egress: &Port, hook: Hook) -> Option<Punt> {
    let gso = packet.gso && hook == Hook::Tc;
    if packet.payload_len > egress.mtu && !gso {
        return Some(Punt::OverMtu);
    }
    if packet.class != Class::Ip {
        return Some(Punt::Ethertype);
    }
    if hook == Hook::Xdp {
        if ingress.is(PORT_VIRTUAL) && !has_full_checksum(&packet.ip) {
            return Some(Punt::PartialChecksum);
        }
        if !egress.is(PORT_XDP_TARGET) || frame.is_fragmented_buffer() {
            return Some(Punt::NoXdpTarget);
        }
    }
    None
}
