//! XDP ingress. Frags-aware, so that it also attaches where the MTU exceeds one page.

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use bridge_common::{
    abi::Punt,
    decide::{Hook, Verdict, counted, epoch, ingress, recall, remember, settle},
};

use crate::{
    account::account,
    act::xdp::{forward, say_saw_tag},
    maps::{Space, scratch},
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
    let Some(scratch) = scratch(Space::Xdp) else { return xdp_action::XDP_DROP };
    // Anew, for the verifier's sake, as in the TC program.
    let frame = XdpFrame::new(&ctx);
    let decision = ingress(&Maps, &frame, ifindex, Hook::Xdp, epoch, scratch);
    if decision.left_to_tc {
        if decision.saw_tag {
            say_saw_tag(&ctx);
        }
        return xdp_action::XDP_PASS;
    }
    let mut verdict = settle(&Maps, &decision, scratch);
    remember(&Maps, &frame, ifindex, Hook::Xdp, &decision, scratch);
    let action = match verdict {
        Verdict::Forward { slot, retag, .. } => forward(&ctx, slot, retag).unwrap_or_else(|()| {
            // The slow path knows better.
            verdict = Verdict::Punt(Punt::EgressDown);
            xdp_action::XDP_PASS
        }),
        Verdict::Punt(_) => xdp_action::XDP_PASS,
        Verdict::Drop(_) => xdp_action::XDP_DROP,
    };
    if decision.saw_tag && action == xdp_action::XDP_PASS {
        say_saw_tag(&ctx);
    }
    account(&ctx, decision.slot, counted(verdict).cell(), decision.rule, decision.len);
    action
}
