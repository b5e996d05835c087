//! The decision for a frame that enters the bridge through a managed port.

use super::{
    Decision, Hook, NO_RULE, Scratch, Tables, Verdict, forward, guard,
    learn::{self, Clock},
    policy::{self, Live, Permit, Side},
    recall, vlan,
};
use crate::{
    abi::{
        Control, Drop, NO_PORT, PORT_ELIGIBLE, PORT_GUARD, PORT_MEMBER, PORT_RUNNING, PORT_TAG_BESIDE, PORT_TC_BEHIND,
        PORT_VIRTUAL, Port, Punt, STATION_HOST, STATION_STATIC, Station,
    },
    wire::{Frame, parse_into},
};

/// Where a frame is, and when.
pub(super) struct At<'a> {
    pub(super) hook: Hook,
    pub(super) slot: u16,
    pub(super) port: &'a Port,
    pub(super) clock: Clock,
}

/// Decides what happens to `frame`, which came in through the interface `ifindex`. `scratch` must be a fresh one; `epoch` is
/// [`recall::epoch`], read before anything else: what changes after that raises it.
#[inline(always)]
pub fn ingress<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    ifindex: u32,
    hook: Hook,
    epoch: u64,
    scratch: &mut Scratch,
) -> Decision {
    let mut decision = Decision {
        verdict: Verdict::Drop(Drop::NotReady),
        slot: NO_PORT,
        left_to_tc: false,
        saw_tag: false,
        len: frame.len() + if frame.metadata_tag().is_some() { 4 } else { 0 },
        rule: NO_RULE,
    };
    scratch.hold.epoch = epoch;
    scratch.hold.flow_changes = tables.control(Control::FlowChanges);
    let Some(slot) = tables.slot(ifindex) else { return decision };
    let Some(port) = tables.port(slot) else { return decision };
    decision.slot = slot;
    decision.verdict = match judge(tables, frame, &port, slot, hook, scratch, &mut decision) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::Drop(reason),
    };
    decision.saw_tag = hook == Hook::Xdp && port.is(PORT_TAG_BESIDE) && scratch.packet.tagged;
    decision.left_to_tc = hook == Hook::Xdp && port.is(PORT_TC_BEHIND) && matches!(decision.verdict, Verdict::Punt(_));
    decision
}

#[inline(always)]
fn judge<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    port: &Port,
    slot: u16,
    hook: Hook,
    scratch: &mut Scratch,
    decision: &mut Decision,
) -> Result<Verdict, Drop> {
    if !port.is(PORT_MEMBER) {
        return Err(Drop::NotMember);
    }
    let live = Live::read(tables).ok_or(Drop::NotReady)?;
    parse_into(frame, &mut scratch.packet)?;
    vlan::entering(tables, port, slot, hook, scratch);
    scratch.beside = hook == Hook::Tc && vlan::lies_beside(port, frame);
    let known = tables.station(&scratch.packet.source);
    vlan::owner(tables, scratch, &known, port, slot);
    entitled(tables, frame, scratch, port, slot)?;
    let permit = match policy::judge(tables, frame, scratch, live, Side::Ingress, slot) {
        Ok(permit) => permit,
        Err(denial) => {
            decision.rule = denial.rule;
            return Err(denial.reason);
        }
    };
    decision.rule = permit.rule;
    Ok(allowed(tables, frame, scratch, port, slot, hook, known, permit))
}

/// The guard's checks on a guarded port; everywhere, a static station's MAC only from its own port.
#[inline(always)]
fn entitled<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    scratch: &mut Scratch,
    port: &Port,
    slot: u16,
) -> Result<(), Drop> {
    let owner = scratch.owner;
    if port.is(PORT_GUARD) {
        // Static and bound to this very port, or it is no station of the guard's.
        let bound = owner.is(STATION_STATIC) && owner.port == slot;
        return if bound { guard::check(tables, frame, scratch, slot) } else { Err(Drop::GuardMac) };
    }
    let elsewhere = owner.is(STATION_STATIC) && owner.port != slot;
    if elsewhere || owner.is(STATION_HOST) { Err(Drop::StationElsewhere) } else { Ok(()) }
}

/// Learning, and whether the allowed frame may be forwarded.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // one call, inlined; a struct would only rename them
fn allowed<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    scratch: &mut Scratch,
    port: &Port,
    slot: u16,
    hook: Hook,
    known: Station,
    permit: Permit,
) -> Verdict {
    let Scratch { packet, learn: learned, hold, entering, .. } = scratch;
    let packet = &*packet;
    let clock = Clock::read(tables);
    let teaches = entering.clear && learn::teaches(packet) && port.is(PORT_ELIGIBLE);
    let mut source_punt = None;
    if !entering.admitted {
        // The slow path drops it, and learns nothing.
    } else if teaches {
        (*learned, source_punt) = learn::source(tables, packet, port, slot, known, clock);
    } else {
        *learned = learn::distrust(packet, slot, known);
    }
    let vlan = if entering.admitted && entering.clear { None } else { Some(Punt::Vlan) };
    let ineligible = if port.is(PORT_ELIGIBLE | PORT_RUNNING) { None } else { Some(Punt::Ineligible) };
    if let Some(reason) = permit.punt.or(vlan).or(ineligible).or(source_punt) {
        return Verdict::Punt(reason);
    }
    let manager_until = forward::manager_until(tables);
    if clock.is_past(manager_until) {
        return Verdict::Punt(Punt::NoManager);
    }
    // What is known of the source lasts longer still if its time is written now; that of its next note, and of its flow's, may pass.
    hold.until = manager_until.min(clock.expiry(&known));
    hold.sums = hook == Hook::Xdp && port.is(PORT_VIRTUAL);
    let verdict = forward::destination(tables, frame, packet, &At { hook, slot, port, clock }, hold);
    hold.lasting = clock.now + recall::LASTS_NS < hold.until;
    verdict
}
