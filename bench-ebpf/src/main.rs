//! What the benchmark puts beside fastbridge: a generator, the bare redirects and the bare drop that are the ceilings, a sink that
//! counts.
//!
//! Must not: look at a frame that is on its way. Each does the least that the kernel allows, so that what it is compared with
//! looks no better than it is.
#![no_std]
#![no_main]
#![cfg_attr(not(target_arch = "bpf"), allow(unused))]

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action,
    btf_maps::{Array, DevMap, PerCpuArray},
    helpers::generated::{bpf_ktime_get_ns, bpf_redirect, bpf_xdp_get_buff_len},
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

/// What [`counting_xdp`] finds: a cache line each.
#[btf_map]
static ENTRIES: Array<[u64; 8], { 1 << ENTRY_BITS }> = Array::new();
const ENTRY_BITS: u32 = 14;
/// The golden ratio of 2^64, and where both addresses lie.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const ADDRESSES: usize = 14 + 12;

/// Frames and bytes.
#[btf_map]
static AT_PORT: PerCpuArray<[u64; 2], 2> = PerCpuArray::new();
#[btf_map]
static AT_RULE: PerCpuArray<[u64; 2], 2> = PerCpuArray::new();

/// Interface that the TC program redirects to, set at load.
#[unsafe(no_mangle)]
static TARGET_IFINDEX: u32 = 0;

/// How many different frames there are, 65,536 at most, set at load; 1 leaves the frame alone.
#[unsafe(no_mangle)]
static VARIANTS: u32 = 1;

/// What differs: 0 the UDP source port, 1 the source station (the last words of MAC and address). Set at load.
#[unsafe(no_mangle)]
static BY_STATION: u32 = 0;

/// The ones' complement sum of the UDP frame's checksum without the word that differs, set at load (RFC 1071).
#[unsafe(no_mangle)]
static UDP_SUM: u32 = 0;

/// The same of the IPv4 header's.
#[unsafe(no_mangle)]
static IP_SUM: u32 = 0;

/// The frame that is made next.
#[btf_map]
static NEXT: PerCpuArray<u32, 1> = PerCpuArray::new();

/// The frame's first 16 bytes as they lie in memory, set at load.
#[unsafe(no_mangle)]
static HEAD: u64 = 0;
#[unsafe(no_mangle)]
static HEAD_REST: u64 = 0;

/// Nanoseconds from the first frame of a burst to that of the next, set at load; 0: one frame after the other.
#[unsafe(no_mangle)]
static GAP_NS: u64 = 0;

/// Frames of a burst, set at load.
#[unsafe(no_mangle)]
static BURST: u64 = 1;

/// Of bursts: when the next is due, how many frames of this one are left, and how many have been sent.
#[btf_map]
static BURSTS: PerCpuArray<[u64; 3], 1> = PerCpuArray::new();

/// Run by `BPF_PROG_TEST_RUN` on live frames: each goes out of the machine's interface, or nowhere between two bursts.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    let gap = global(&raw const GAP_NS);
    if gap != 0 && !is_due(gap) {
        return xdp_action::XDP_DROP;
    }
    rewrite_head(&ctx);
    let variants = global(&raw const VARIANTS);
    if variants > 1 {
        vary(&ctx, variants);
    }
    redirect()
}

/// Whether a frame is to be sent now.
#[inline(always)]
fn is_due(gap: u64) -> bool {
    let Some(bursts) = BURSTS.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own words.
    let [due, left, sent] = unsafe { &mut *bursts };
    if *left == 0 {
        // SAFETY: no arguments, no preconditions.
        let now = unsafe { bpf_ktime_get_ns() };
        if now < *due {
            return false;
        }
        // What could not be sent in time is not made up for.
        *due = if now - *due > gap { now + gap } else { *due + gap };
        *left = global(&raw const BURST);
    }
    *left -= 1;
    *sent += 1;
    true
}

/// Reads what the loader has set after compilation.
#[inline(always)]
fn global<T>(word: *const T) -> T {
    // SAFETY: only called for statics of ours.
    unsafe { word.read_volatile() }
}

/// The kernel uses a frame's page again as it came back: where a tag was put in, the MACs have moved.
#[inline(always)]
fn rewrite_head(ctx: &XdpContext) {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + 16 <= end {
        let words = data as *mut u64;
        // SAFETY: 16 bytes of the frame, whose bounds were just checked.
        unsafe {
            words.write_unaligned(global(&raw const HEAD));
            words.add(1).write_unaligned(global(&raw const HEAD_REST));
        }
    }
}

const SOURCE_MAC_END: usize = 10;
const IP_CHECKSUM: usize = 14 + 10;
const SOURCE_ADDRESS_END: usize = 14 + 14;
const SOURCE_PORT: usize = 14 + 20;
const UDP_CHECKSUM: usize = SOURCE_PORT + 6;

/// Makes each frame the next variant. The kernel uses its pages again, so nothing is read from the frame.
#[inline(always)]
fn vary(ctx: &XdpContext, variants: u32) {
    let (data, end) = (ctx.data(), ctx.data_end());
    let Some(next) = NEXT.get_ptr_mut(0) else { return };
    if data + UDP_CHECKSUM + 2 > end {
        return;
    }
    // SAFETY: this CPU's own word.
    let word = unsafe {
        *next = if *next + 1 < variants { *next + 1 } else { 0 };
        (0x1000 + *next) & 0xffff
    };
    // SAFETY: a word of the frame, whose bounds were just checked for the last of them.
    let store = |at: usize, word: u16| unsafe { ((data + at) as *mut u16).write_unaligned(word.to_be()) };
    if global(&raw const BY_STATION) == 0 {
        store(SOURCE_PORT, word as u16);
    } else {
        store(SOURCE_MAC_END, word as u16);
        store(SOURCE_ADDRESS_END, word as u16);
        store(IP_CHECKSUM, checksum(global(&raw const IP_SUM) + word));
    }
    store(UDP_CHECKSUM, checksum(global(&raw const UDP_SUM) + word));
}

#[inline(always)]
fn checksum(sum: u32) -> u16 {
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// The ceiling of every XDP path.
#[xdp]
pub fn bare_xdp(_: XdpContext) -> u32 {
    redirect()
}

/// The ceiling of XDP paths that know what they carry: one entry is found by the frame's MACs and addresses (all are empty), the frame's length is
/// asked for, and it counts twice, as at a port and at a rule.
#[xdp(frags)]
pub fn counting_xdp(ctx: XdpContext) -> u32 {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + SOURCE_PORT > end {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: inside the frame, whose bounds were just checked.
    let word = |at: usize| unsafe { ((data + at) as *const u64).read_unaligned() };
    let hash = word(0).wrapping_mul(FACTOR) ^ word(8).wrapping_mul(FACTOR) ^ word(ADDRESSES).wrapping_mul(FACTOR);
    if ENTRIES.get((hash >> (64 - ENTRY_BITS)) as u32).is_none_or(|entry| entry[0] != 0) {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: the context is the kernel's own.
    let len = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) };
    for counts in [&AT_PORT, &AT_RULE] {
        if let Some(count) = counts.get_ptr_mut(1) {
            // SAFETY: this CPU's own words.
            unsafe { *count = [(*count)[0] + 1, (*count)[1] + len] };
        }
    }
    redirect()
}

/// The ceiling of every TC path.
#[classifier]
pub fn bare_tc(_: TcContext) -> i32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_redirect(global(&raw const TARGET_IFINDEX), 0) as i32 }
}

/// What a program costs that a frame meets where it leaves, as it does fastbridge's: the next one, or the interface, has the say
/// (`TCX_NEXT`; `TC_ACT_UNSPEC` at a clsact qdisc).
#[classifier]
pub fn bare_next(_: TcContext) -> i32 {
    -1
}

/// The ceiling of every path that drops; the interface counts.
#[xdp]
pub fn bare_drop(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
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
