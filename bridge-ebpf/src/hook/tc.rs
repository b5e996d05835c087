//! TC ingress and egress, as tcx or clsact classifiers.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use bridge_common::{
    abi::{Counted, Punt},
    decide::{
        Decision, EgressDecision, Hook, Verdict, counted, egress, epoch, ingress, judged_at_ingress, recall, remember,
        settle, settle_egress, watch,
    },
};

use crate::{
    account::account,
    act::tc::{discard, forward},
    maps::{Room, Space, room},
    packet::SkbFrame,
    tables::Maps,
};

/// "Go on": the next program, filter, and then the slow path. On tcx it is `TCX_NEXT`; `TC_ACT_OK` would skip others.
const NEXT: i32 = TC_ACT_UNSPEC;

/// Judges each frame that enters the bridge.
#[classifier]
pub fn fastbridge_in(ctx: TcContext) -> i32 {
    // SAFETY: the context is the kernel's own.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let epoch = epoch(&Maps);
    if let Some(known) = recall(&Maps, &SkbFrame::new(&ctx), ifindex, Hook::Tc, epoch) {
        let action = if known.forwards() { forward(&ctx, known.ifindex, known.retag) } else { Ok(TC_ACT_SHOT) };
        if let Ok(action) = action {
            account(&ctx, known.slot, known.cell.into(), known.rule, known.len);
            return action;
        }
    }
    let Some(room) = room(Space::Ingress) else { return TC_ACT_SHOT };
    decide(&ctx, ifindex, epoch, room);
    carry_out(&ctx, ifindex, room)
}

/// Decides anew; what was decided lies in the room. Out of line, as in the XDP program.
#[inline(never)]
fn decide(ctx: &TcContext, ifindex: u32, epoch: u64, room: &mut Room) {
    room.words = ingress(&Maps, &SkbFrame::new(ctx), ifindex, Hook::Tc, epoch, &mut room.scratch).to_words();
}

/// Does what was decided.
#[inline(never)]
fn carry_out(ctx: &TcContext, ifindex: u32, Room { scratch, words }: &Room) -> i32 {
    let decision = Decision::of_words(*words);
    let mut verdict = settle(&Maps, &decision, scratch);
    remember(&Maps, &SkbFrame::new(ctx), ifindex, Hook::Tc, &decision, scratch);
    let action = match verdict {
        Verdict::Forward { ifindex, retag, .. } => forward(ctx, ifindex, retag).unwrap_or_else(|()| {
            verdict = Verdict::Punt(Punt::Vlan);
            NEXT
        }),
        Verdict::Punt(_) => NEXT,
        Verdict::Drop(_) => TC_ACT_SHOT,
    };
    account(ctx, decision.slot, counted(verdict).cell(), decision.rule, decision.len);
    action
}

/// Behind XDP, where TC ingress may judge nothing (beside Open vSwitch's userspace datapath): looks for tags that XDP does not see.
#[classifier]
pub fn fastbridge_watch(ctx: TcContext) -> i32 {
    // SAFETY: the context is the kernel's own.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    watch(&Maps, &SkbFrame::new(&ctx), ifindex);
    NEXT
}

/// Judges what leaves the bridge and did not come in through a managed port.
#[classifier]
pub fn fastbridge_out(ctx: TcContext) -> i32 {
    // SAFETY: the context is the kernel's own.
    let (ifindex, from) = unsafe { ((*ctx.skb.skb).ifindex, (*ctx.skb.skb).ingress_ifindex) };
    // Nearly every frame: nothing must be spent on it.
    if judged_at_ingress(&Maps, from) {
        return NEXT;
    }
    let Some(room) = room(Space::Egress) else { return discard() };
    decide_egress(&ctx, ifindex, from, room);
    let decision = EgressDecision::of_words(room.words);
    let Some(outcome) = settle_egress(&Maps, &decision, &room.scratch) else { return NEXT };
    account(&ctx, decision.slot, outcome.cell(), decision.rule, decision.len);
    match outcome {
        Counted::EgressDrop(_) => discard(),
        _ => NEXT,
    }
}

/// As [`decide`].
#[inline(never)]
fn decide_egress(ctx: &TcContext, ifindex: u32, from: u32, room: &mut Room) {
    room.words = egress(&Maps, &SkbFrame::new(ctx), ifindex, from, &mut room.scratch).to_words();
}
