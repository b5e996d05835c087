//! What the benchmark puts beside fastbridge: a generator, the two bare redirects that are the ceilings, a sink that counts.
//!
//! Must not: look at a frame that is on its way. Each does the least that the kernel allows, so that what it is compared with
//! looks no better than it is.
#![no_std]
#![no_main]
#![cfg_attr(not(target_arch = "bpf"), allow(unused))]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{DevMap, PerCpuArray},
    helpers::generated::bpf_redirect,
    macros::{btf_map, classifier, xdp},
    programs::{TcContext, XdpContext},
};

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier refuses a program that could come here.
    loop {}
}

/// Redirecting needs a GPL-compatible program.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Frames that the sink has taken, on each CPU.
#[btf_map]
static TAKEN: PerCpuArray<u64, 1> = PerCpuArray::new();

/// The one device that the XDP programs redirect to.
#[btf_map]
static TARGET: DevMap<1> = DevMap::new();

/// Interface that the TC program redirects to, set at load.
#[unsafe(no_mangle)]
static TARGET_IFINDEX: u32 = 0;

/// Flows to spread the frames over, a power of two, set at load; 1 leaves the frames alone.
#[unsafe(no_mangle)]
static FLOWS: u32 = 1;

/// The ones' complement sum of the UDP frame's checksum without its source port, set at load (RFC 1071).
#[unsafe(no_mangle)]
static SUM: u32 = 0;

/// The frame that is made next.
#[btf_map]
static NEXT: PerCpuArray<u32, 1> = PerCpuArray::new();

/// Run by `BPF_PROG_TEST_RUN` on live frames: each goes out of the machine's interface.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    // SAFETY: a static of ours, volatile because the loader sets it after compilation.
    let flows = unsafe { (&raw const FLOWS).read_volatile() };
    if flows > 1 {
        spread(&ctx, flows);
    }
    redirect()
}

const SOURCE_PORT: usize = 14 + 20;
const CHECKSUM: usize = SOURCE_PORT + 6;

/// Gives each frame the next source port from 1024 on. The kernel uses its pages again, so nothing is read from the frame.
#[inline(always)]
fn spread(ctx: &XdpContext, flows: u32) {
    let (data, end) = (ctx.data(), ctx.data_end());
    let Some(next) = NEXT.get_ptr_mut(0) else { return };
    if data + CHECKSUM + 2 > end {
        return;
    }
    // SAFETY: this CPU's own word, a static of ours as above, and two words of the frame whose bounds were just checked.
    unsafe {
        *next += 1;
        let port = 1024 + (*next & (flows - 1));
        let sum = (&raw const SUM).read_volatile() + port;
        let sum = (sum & 0xffff) + (sum >> 16);
        ((data + SOURCE_PORT) as *mut u16).write_unaligned((port as u16).to_be());
        ((data + CHECKSUM) as *mut u16).write_unaligned((!(sum as u16)).to_be());
    }
}

/// The ceiling of every XDP path.
#[xdp]
pub fn bare_xdp(_: XdpContext) -> u32 {
    redirect()
}

/// The ceiling of every TC path.
#[classifier]
pub fn bare_tc(_: TcContext) -> i32 {
    // SAFETY: a static of ours, volatile because the loader sets it after compilation; the helper has no preconditions.
    unsafe { bpf_redirect((&raw const TARGET_IFINDEX).read_volatile(), 0) as i32 }
}

/// Counts and drops.
#[xdp]
pub fn sink(_: XdpContext) -> u32 {
    if let Some(taken) = TAKEN.get_ptr_mut(0) {
        // SAFETY: this CPU's own word.
        unsafe { *taken += 1 };
    }
    xdp_action::XDP_DROP
}

#[inline(always)]
fn redirect() -> u32 {
    match TARGET.redirect(0, u64::from(xdp_action::XDP_ABORTED)) {
        Ok(action) | Err(action) => action,
    }
}
