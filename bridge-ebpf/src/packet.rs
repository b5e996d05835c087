//! Frames as the two kinds of programs see them, with the one bounds check that every read goes through.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, xdp_md},
    btf_maps::PerCpuArray,
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::btf_map,
    programs::{TcContext, XdpContext},
};
use bridge_common::wire::{Frame, Header, Tag};
use core::{ffi::c_void, mem::offset_of};

use crate::verifier::{unknown, unlinked};

/// TPID of an 802.1ad tag.
const SERVICE_TAG: u16 = 0x88a8;
/// Headers are looked for in the linear part up to here; beyond it, helpers copy them.
const MAX_LINEAR: usize = 0x3fff;

/// Reads a header that lies wholly in the linear part.
#[inline(always)]
fn linear<H: Header>(data: usize, data_end: usize, offset: u32) -> Option<H> {
    // The verifier follows an offset only while it is small, and older ones (6.1) only in the very register that was compared.
    let offset = unknown(offset as usize);
    if offset > MAX_LINEAR {
        return None;
    }
    let at = data + offset;
    if at + size_of::<H>() > data_end {
        return None;
    }
    // SAFETY: `at..at + size` lies inside the packet, as the verifier checks again. The words may be unaligned, which
    // BPF loads may be on every architecture that we attach on; the alternative is one load for each byte.
    Some(H::from_words(unsafe { *(at as *const H::Words) }))
}

/// Where a header goes that does not lie in one piece: the stack has no room for it.
#[btf_map]
static BOUNCE: PerCpuArray<[u64; 5], 1> = PerCpuArray::new();

#[inline(always)]
fn bounce() -> Option<*mut c_void> {
    BOUNCE.get_ptr_mut(0).map(|buffer| buffer.cast())
}

/// Loads one of the context's 32-bit fields that the kernel replaces by a pointer. The compiler must take it for 64 bits
/// wide: it would spill half a pointer, which the verifier refuses.
///
/// # Safety
/// `context` must be a program's context with such a field at `OFFSET`.
#[inline(always)]
unsafe fn pointer<const OFFSET: usize>(context: *const c_void) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let field: usize;
        // SAFETY: by the caller's contract.
        unsafe {
            core::arch::asm!("{field} = *(u32 *)({context} + {offset})", field = out(reg) field,
                context = in(reg) context, offset = const OFFSET, options(nostack, readonly, pure));
        }
        field
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        context as usize + OFFSET
    }
}

/// What XDP leaves in front of a frame in which it has seen a tag, see [`Frame::was_seen_tagged`].
pub const SAW_TAG: u32 = u32::from_ne_bytes(*b"vlan");

/// A frame in an XDP program.
pub struct XdpFrame<'a> {
    ctx: &'a XdpContext,
    data: usize,
    data_end: usize,
    len: u32,
}

/// Length of all its buffers.
#[inline(always)]
fn buff_len(ctx: &XdpContext) -> u32 {
    // SAFETY: the context is the kernel's own.
    let len = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) };
    // SAFETY: the kernel adds `unsigned int`s into a u32. The compiler would cut it down to one again and again.
    unsafe { core::hint::assert_unchecked(len <= u64::from(u32::MAX)) };
    len as u32
}

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        // SAFETY: the context is the kernel's own.
        unsafe {
            Self {
                ctx,
                data: pointer::<{ offset_of!(xdp_md, data) }>(ctx.as_ptr()),
                data_end: pointer::<{ offset_of!(xdp_md, data_end) }>(ctx.as_ptr()),
                len: buff_len(ctx),
            }
        }
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }

    #[inline(always)]
    fn is_gso(&self) -> bool {
        false
    }

    #[inline(always)]
    fn metadata_tag(&self) -> Option<Tag> {
        None
    }

    #[inline(always)]
    fn is_fragmented_buffer(&self) -> bool {
        self.data_end - self.data < self.len as usize
    }

    #[inline(always)]
    fn first<const N: usize>(&self) -> Option<*const u8> {
        if self.data + N <= self.data_end { Some(self.data as *const u8) } else { None }
    }

    #[inline(always)]
    fn read<H: Header>(&self, offset: u32) -> Option<H> {
        if let Some(header) = linear(self.data, self.data_end, offset) {
            return Some(header);
        }
        if offset as usize + size_of::<H>() > unlinked(self.len as usize) {
            return None;
        }
        let bounce = bounce()?;
        // SAFETY: `bounce` has room for the largest header; the helper checks the frame's own bounds.
        let failed = unsafe { bpf_xdp_load_bytes(self.ctx.as_ptr().cast(), offset, bounce, size_of::<H>() as u32) };
        // SAFETY: the helper filled it.
        if failed == 0 { Some(H::from_words(unsafe { *bounce.cast() })) } else { None }
    }
}

/// A frame in a TC program.
pub struct SkbFrame<'a> {
    ctx: &'a TcContext,
    data: usize,
    data_end: usize,
}

impl<'a> SkbFrame<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        // SAFETY: the context is the kernel's own.
        unsafe {
            Self {
                ctx,
                data: pointer::<{ offset_of!(__sk_buff, data) }>(ctx.as_ptr()),
                data_end: pointer::<{ offset_of!(__sk_buff, data_end) }>(ctx.as_ptr()),
            }
        }
    }

    #[inline(always)]
    fn skb(&self) -> &__sk_buff {
        // SAFETY: the context is the kernel's own and lives as long as the program runs.
        unsafe { &*self.ctx.skb.skb }
    }
}

impl Frame for SkbFrame<'_> {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.skb().len
    }

    #[inline(always)]
    fn is_gso(&self) -> bool {
        self.skb().gso_size != 0
    }

    #[inline(always)]
    fn metadata_tag(&self) -> Option<Tag> {
        if self.skb().vlan_present == 0 {
            return None;
        }
        let service = self.skb().vlan_proto as u16 == SERVICE_TAG.to_be();
        Some(Tag { tci: self.skb().vlan_tci as u16, service })
    }

    #[inline(always)]
    fn was_seen_tagged(&self) -> bool {
        // SAFETY: as in `new`.
        let left = unsafe { pointer::<{ offset_of!(__sk_buff, data_meta) }>(self.ctx.as_ptr()) };
        // SAFETY: so many bytes are there, as the verifier checks again.
        left + size_of::<u32>() <= self.data && unsafe { *(left as *const u32) } == SAW_TAG
    }

    #[inline(always)]
    fn first<const N: usize>(&self) -> Option<*const u8> {
        if self.data + N <= self.data_end { Some(self.data as *const u8) } else { None }
    }

    #[inline(always)]
    fn read<H: Header>(&self, offset: u32) -> Option<H> {
        if let Some(header) = linear(self.data, self.data_end, offset) {
            return Some(header);
        }
        if offset as usize + size_of::<H>() > self.len() as usize {
            return None;
        }
        let bounce = bounce()?;
        // SAFETY: `bounce` has room for the largest header; the helper checks the frame's own bounds.
        let failed = unsafe { bpf_skb_load_bytes(self.ctx.as_ptr(), offset, bounce, size_of::<H>() as u32) };
        // SAFETY: the helper filled it.
        if failed == 0 { Some(H::from_words(unsafe { *bounce.cast() })) } else { None }
    }
}
