//! Forwarding from an XDP program: the tag is in the frame, behind both MACs.

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action,
    helpers::generated::{bpf_redirect_map, bpf_xdp_adjust_head, bpf_xdp_adjust_meta},
    programs::XdpContext,
};
use bridge_common::decide::Retag;

use super::CUSTOMER_TAG;
use crate::{maps::TARGETS, packet::SAW_TAG};

/// Both MACs.
const MACS: usize = 12;
const TAG: usize = 4;

/// Tells those who get the frame next that its tag was in it. Where there is no room they take it for one that was not, and XDP then leaves
/// more to them than it must.
#[inline(always)]
pub fn say_saw_tag(ctx: &XdpContext) {
    // SAFETY: the context is the kernel's own; no pointer into the frame is kept over the call.
    if unsafe { bpf_xdp_adjust_meta(ctx.as_ptr().cast(), -(size_of::<u32>() as i32)) } != 0 {
        return;
    }
    let (start, end) = (ctx.metadata(), ctx.metadata_end());
    if start + size_of::<u32>() <= end {
        // SAFETY: so many bytes are there, as the verifier checks again.
        unsafe { *(start as *mut u32) = SAW_TAG };
    }
}

/// Sends the frame out of the port in this slot, and changes its tag. `Err`: the device has left the map meanwhile, or there is no room in
/// front of the frame; it is as it was.
#[inline(always)]
pub fn forward(ctx: &XdpContext, slot: u16, retag: Retag) -> Result<u32, ()> {
    // First the device: a frame that it does not take must not have been changed.
    if redirect(slot) && (retag == Retag::KEEP || change(ctx, retag)) { Ok(xdp_action::XDP_REDIRECT) } else { Err(()) }
}

/// Whether the port in this slot is in the map of devices. aya's own method makes an error of what the helper says, at a price.
#[inline(always)]
fn redirect(slot: u16) -> bool {
    let targets = (&raw const TARGETS).cast_mut().cast();
    // SAFETY: the map's address, which the loader replaces by the map; the helper changes nothing in it.
    let said = unsafe { bpf_redirect_map(targets, u64::from(slot), u64::from(xdp_action::XDP_PASS)) };
    said == i64::from(xdp_action::XDP_REDIRECT)
}

/// Whether the tag could be changed. Out of line: the verifier follows it for each state of its caller, but nothing of it further on.
#[inline(never)]
fn change(ctx: &XdpContext, retag: Retag) -> bool {
    match retag.pushed() {
        Some(tci) => push(ctx, tci),
        None => pop(ctx),
    }
    .is_ok()
}

/// The MACs as three words, wherever they lie.
type Macs = [u32; 3];

/// # Errors
/// No room; nothing was changed.
#[inline(always)]
fn push(ctx: &XdpContext, tci: u16) -> Result<(), ()> {
    adjust(ctx, -(TAG as i32))?;
    let start = start(ctx, MACS + TAG)?;
    // SAFETY: `start` says that so many bytes are there; BPF loads and stores may be unaligned.
    unsafe {
        let macs: Macs = *((start + TAG) as *const Macs);
        *(start as *mut Macs) = macs;
        *((start + MACS) as *mut u32) = u32::from(CUSTOMER_TAG.to_be()) | u32::from(tci.to_be()) << 16;
    }
    Ok(())
}

/// # Errors
/// None in practice: a frame with a tag has sixteen bytes.
#[inline(always)]
fn pop(ctx: &XdpContext) -> Result<(), ()> {
    let start = start(ctx, MACS + TAG)?;
    // SAFETY: as in `push`.
    unsafe {
        let macs: Macs = *(start as *const Macs);
        *((start + TAG) as *mut Macs) = macs;
    }
    adjust(ctx, TAG as i32)
}

#[inline(always)]
fn adjust(ctx: &XdpContext, by: i32) -> Result<(), ()> {
    // SAFETY: the context is the kernel's own; no pointer into the frame is kept over the call.
    if unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), by) } == 0 { Ok(()) } else { Err(()) }
}

/// Where the frame starts now, if it has `length` bytes in its first buffer.
#[inline(always)]
fn start(ctx: &XdpContext, length: usize) -> Result<usize, ()> {
    if ctx.data() + length <= ctx.data_end() { Ok(ctx.data()) } else { Err(()) }
}
