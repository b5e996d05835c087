//! TC ingress and egress, as tcx or clsact classifiers.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use bridge_common::{
    abi::{Counted, Punt},
    decide::{
        Hook, Verdict, counted, egress, epoch, ingress, judged_at_ingress, recall, remember, settle, settle_egress,
        watch,
    },
};

use crate::{
    account::account,
    act::tc::{discard, forward},
    maps::{Space, scratch},
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
    let Some(scratch) = scratch(Space::Ingress) else { return TC_ACT_SHOT };
    // Anew: with the pointers of before, what `recall` found out about the frame would stay with the verifier, which would
    // follow every way out of it through all that comes.
    let frame = SkbFrame::new(&ctx);
    let decision = ingress(&Maps, &frame, ifindex, Hook::Tc, epoch, scratch);
    let mut verdict = settle(&Maps, &decision, scratch);
    remember(&Maps, &frame, ifindex, Hook::Tc, &decision, scratch);
    let action = match verdict {
        Verdict::Forward { ifindex, retag, .. } => forward(&ctx, ifindex, retag).unwrap_or_else(|()| {
            verdict = Verdict::Punt(Punt::Vlan);
            NEXT
        }),
        Verdict::Punt(_) => NEXT,
        Verdict::Drop(_) => TC_ACT_SHOT,
    };
    account(&ctx, decision.slot, counted(verdict).cell(), decision.rule, decision.len);
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
    let Some(scratch) = scratch(Space::Egress) else { return discard() };
    let frame = SkbFrame::new(&ctx);
    let decision = egress(&Maps, &frame, ifindex, from, scratch);
    let Some(outcome) = settle_egress(&Maps, &decision, scratch) else { return NEXT };
    account(&ctx, decision.slot, outcome.cell(), decision.rule, decision.len);
    match outcome {
        Counted::EgressDrop(_) => discard(),
        _ => NEXT,
    }
}
