//! XDP ingress. Frags-aware, so that it also attaches where the MTU exceeds one page.

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use bridge_common::{
    abi::Punt,
    decide::{Decision, Hook, Verdict, counted, epoch, ingress, recall, remember, settle},
};

use crate::{
    account::account,
    act::xdp::{forward, say_saw_tag},
    maps::{Room, Space, room},
    packet::XdpFrame,
    tables::Maps,
};

/// Judges each frame; what it cannot finish it leaves to the TC program behind it, if there is one.
#[xdp(frags)]
pub fn fastbridge_xdp(ctx: XdpContext) -> u32 {
    let ifindex = ctx.ingress_ifindex() as u32;
    let epoch = epoch(&Maps);
    if let Some(known) = recall(&Maps, &XdpFrame::new(&ctx), ifindex, Hook::Xdp, epoch) {
        let action = if known.forwards() { forward(&ctx, known.to, known.retag) } else { Ok(xdp_action::XDP_DROP) };
        if let Ok(action) = action {
            account(&ctx, known.slot, known.cell.into(), known.rule, known.len);
            return action;
        }
    }
    let Some(room) = room(Space::Xdp) else { return xdp_action::XDP_DROP };
    decide(&ctx, ifindex, epoch, room);
    carry_out(&ctx, ifindex, room)
}

/// Decides anew; what was decided lies in the room. Out of line: what the verifier knew of each way through it, it forgets at the end, and follows one
/// way of what comes after; in line it followed thirty, one for each reason.
#[inline(never)]
fn decide(ctx: &XdpContext, ifindex: u32, epoch: u64, room: &mut Room) {
    room.words = ingress(&Maps, &XdpFrame::new(ctx), ifindex, Hook::Xdp, epoch, &mut room.scratch).to_words();
}

/// Does what was decided. Out of line, as the stack has no room for both at once.
#[inline(never)]
fn carry_out(ctx: &XdpContext, ifindex: u32, Room { scratch, words }: &Room) -> u32 {
    let decision = Decision::of_words(*words);
    if decision.left_to_tc {
        if decision.saw_tag {
            say_saw_tag(ctx);
        }
        return xdp_action::XDP_PASS;
    }
    let mut verdict = settle(&Maps, &decision, scratch);
    remember(&Maps, &XdpFrame::new(ctx), ifindex, Hook::Xdp, &decision, scratch);
    let action = match verdict {
        Verdict::Forward { slot, retag, .. } => forward(ctx, slot, retag).unwrap_or_else(|()| {
            // The slow path knows better.
            verdict = Verdict::Punt(Punt::EgressDown);
            xdp_action::XDP_PASS
        }),
        Verdict::Punt(_) => xdp_action::XDP_PASS,
        Verdict::Drop(_) => xdp_action::XDP_DROP,
    };
    if decision.saw_tag && action == xdp_action::XDP_PASS {
        say_saw_tag(ctx);
    }
    account(ctx, decision.slot, counted(verdict).cell(), decision.rule, decision.len);
    action
}
