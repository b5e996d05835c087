//! Forwarding from a TC program: the tag travels as metadata, which the kernel puts into the frame where a device wants it so. And dropping
//! what leaves.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_redirect, bpf_skb_vlan_pop, bpf_skb_vlan_push},
    programs::TcContext,
};
use bridge_common::decide::Retag;

use super::CUSTOMER_TAG;

/// Changes the tag and sends the frame out of the interface; the program's return code. `Err`: the tag could not be changed (no memory),
/// the frame is as it was.
#[inline(always)]
pub fn forward(ctx: &TcContext, ifindex: u32, retag: Retag) -> Result<i32, ()> {
    // SAFETY: the context is the kernel's own.
    let failed = unsafe {
        match retag.pushed() {
            Some(tci) => bpf_skb_vlan_push(ctx.as_ptr().cast(), CUSTOMER_TAG.to_be(), tci),
            None if retag == Retag::POP => bpf_skb_vlan_pop(ctx.as_ptr().cast()),
            None => 0,
        }
    };
    if failed != 0 {
        return Err(());
    }
    // SAFETY: no preconditions; an interface that is gone drops the frame.
    Ok(unsafe { bpf_redirect(ifindex, 0) as i32 })
}

/// Ends a frame that leaves, and says nothing to who sends it: the program's return code. `TC_ACT_SHOT` would (net/core/dev.c,
/// sch_handle_egress gives `NET_XMIT_DROP`, and net/packet/af_packet.c makes `ENOBUFS` of it), and Open vSwitch's userspace datapath then gives up all
/// further frames of its batch, ours to judge or not; of `TC_ACT_STOLEN` tcx knows nothing.
#[inline(always)]
pub fn discard() -> i32 {
    // SAFETY: no preconditions; no interface has this index, so that the frame is freed.
    unsafe { bpf_redirect(0, 0) as i32 }
}
