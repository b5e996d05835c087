//! The decision for a frame that leaves the bridge through a managed port.
//!
//! Frames that came in through a managed port were judged there. What the host routed or sent, and what came from
//! ports that are not ours, meets the policy only here.

use super::{
    EgressDecision, EgressVerdict, Learn, LearnOp, NO_RULE, Scratch, Tables,
    policy::{self, Live, Side},
    vlan,
};
use crate::{
    abi::{Control, Drop, NO_PORT, RESENT_FRAMES, STATION_ABSENT, STATION_HOST, STATION_STATIC, Station},
    wire::{Frame, Packet, is_group, parse_into},
};

/// Whether a frame that entered the host's stack by this interface was judged there, so that [`egress`] skips it. A program
/// may ask before it makes room for anything else.
#[inline(always)]
pub fn judged_at_ingress<T: Tables>(tables: &T, ingress_ifindex: u32) -> bool {
    ingress_ifindex != 0 && tables.slot(ingress_ifindex).is_some()
}

/// Decides what happens to `frame`, which is about to leave through `ifindex` and entered the host's stack by
/// `ingress_ifindex` (0: made here, or re-sent by user space).
#[inline(always)]
pub fn egress<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    ifindex: u32,
    ingress_ifindex: u32,
    scratch: &mut Scratch,
) -> EgressDecision {
    let mut decision = EgressDecision {
        verdict: EgressVerdict::Skip,
        slot: NO_PORT,
        len: frame.len() + if frame.metadata_tag().is_some() { 4 } else { 0 },
        rule: NO_RULE,
    };
    if judged_at_ingress(tables, ingress_ifindex) {
        return decision;
    }
    decision.slot = tables.slot(ifindex).unwrap_or(NO_PORT);
    decision.verdict = match judge(tables, frame, ingress_ifindex, scratch, &mut decision) {
        Ok(()) => EgressVerdict::Pass,
        Err(reason) => EgressVerdict::Drop(reason),
    };
    decision
}

#[inline(always)]
fn judge<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    ingress_ifindex: u32,
    scratch: &mut Scratch,
    decision: &mut EgressDecision,
) -> Result<(), Drop> {
    let live = Live::read(tables).ok_or(Drop::NotReady)?;
    parse_into(frame, &mut scratch.packet)?;
    let port = tables.port(decision.slot).unwrap_or_default();
    scratch.packet.source.vlan = vlan::at_egress(&port, &scratch.packet);
    let source = tables.station(&scratch.packet.source);
    let counts = !judged_before(tables, ingress_ifindex, &scratch.packet, source);
    let judged = policy::judge(tables, frame, scratch, live, Side::Egress, NO_PORT);
    let rule = match &judged {
        Ok(permit) => permit.rule,
        Err(denial) => denial.rule,
    };
    decision.rule = if counts { rule } else { NO_RULE };
    if let Err(denial) = judged {
        return Err(denial.reason);
    }
    scratch.learn = distrust(tables, &scratch.packet, ingress_ifindex, source);
    Ok(())
}

/// Whether a managed port judged this frame when it came in, so that its rule is counted already: what the bridge
/// handed to the host for routing, by whichever of its devices, and, where OVS's user space re-sends frames (they arrive
/// with ingress 0), what a station of ours or the host's router sends. Only the count depends on it.
#[inline(always)]
fn judged_before<T: Tables>(tables: &T, ingress_ifindex: u32, packet: &Packet, source: Station) -> bool {
    if ingress_ifindex != 0 {
        return tables.is_own(ingress_ifindex);
    }
    resent(tables, ingress_ifindex)
        && (!source.is(STATION_ABSENT) || vlan::bound(tables, packet.source.mac).is(STATION_STATIC | STATION_HOST))
}

/// Whether it may be a frame that came in through a port of ours and was re-sent by the slow path's user space.
#[inline(always)]
fn resent<T: Tables>(tables: &T, ingress_ifindex: u32) -> bool {
    ingress_ifindex == 0 && tables.control(Control::Flags) & RESENT_FRAMES != 0
}

/// A station of ours whose frame did not come in through a port of ours has moved away. Of a re-sent frame this cannot
/// be told.
#[inline(always)]
fn distrust<T: Tables>(tables: &T, packet: &Packet, ingress_ifindex: u32, source: Station) -> Learn {
    if !resent(tables, ingress_ifindex) && source.is_learned() && !is_group(&packet.source.mac) {
        Learn { op: LearnOp::Forget, station: source }
    } else {
        Learn::default()
    }
}
