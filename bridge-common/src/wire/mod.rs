//! One bounded parser, from a frame to a small `Copy` header, for kernel programs and user space alike.
//!
//! A [`Frame`] gives bounds-checked reads and nothing else; [`parse`] makes a [`Packet`] of it, or says why it cannot
//! be read. No look-ups, no policy, no mutation. Header layouts come from `network-types`.

mod checksum;
mod ether;
mod head;
mod ip;
mod nd;
mod packet;
pub mod ports;
mod quote;
mod transport;

#[cfg(test)]
mod tests;

pub use checksum::{has_full_checksum, is_full_checksum};
pub use ether::{is_group, is_reserved, parse, parse_into};
pub use head::{Alike, Head};
pub use nd::{link_layer_option, neighbour_target};
use network_types::{
    arp::ArpHdr,
    eth::EthHdr,
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
    vlan::VlanHdr,
};
pub use packet::{Addr, Class, Ip, Packet, Tag, proto};
pub use quote::quoted;

/// A frame, starting at its destination MAC. Every read is checked; nothing is ever read past its end.
pub trait Frame {
    /// Length of the whole frame in bytes, without FCS and without a tag that travels as metadata.
    fn len(&self) -> u32;
    /// Whether it is a segmentation-offload super-frame, which may be longer than any MTU.
    fn is_gso(&self) -> bool;
    /// A tag that travels as metadata beside the frame: the outermost one.
    fn metadata_tag(&self) -> Option<Tag>;
    /// Whether XDP in front has seen that tag in the frame: afterwards the kernel puts every tag beside it.
    fn was_seen_tagged(&self) -> bool {
        false
    }
    /// Reads a header at `offset`; `None` if it does not lie wholly inside the frame.
    fn read<H: Header>(&self, offset: u32) -> Option<H>;
    /// Where its first `N` bytes lie, if in one piece and readable there.
    fn first<const N: usize>(&self) -> Option<*const u8>;
    /// Whether it spans several buffers: XDP cannot redirect such a frame to every device.
    fn is_fragmented_buffer(&self) -> bool {
        false
    }
    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A header of plain bytes, and the words by which a kernel program loads it.
///
/// # Safety
/// Every bit pattern is a valid value, and `Words` has the same size.
pub unsafe trait Header: Copy {
    /// The same bytes as machine words: BPF code loads an array of bytes one at a time.
    type Words: Copy;

    /// The header that these words are.
    #[inline(always)]
    fn from_words(words: Self::Words) -> Self {
        const { assert!(size_of::<Self>() == size_of::<Self::Words>()) };
        // SAFETY: same size (checked above), and every bit pattern is valid by the trait's contract.
        unsafe { core::mem::transmute_copy(&words) }
    }
}

macro_rules! headers {
    ($($header:ty = $words:ty,)*) => {
        $(
            // SAFETY: integers and byte arrays only, of the size that `from_words` asserts.
            unsafe impl Header for $header { type Words = $words; }
        )*
    };
}

headers! {
    EthHdr = [u16; 7],
    VlanHdr = [u16; 2],
    ArpHdr = [u32; 7],
    Ipv4Hdr = [u32; 5],
    Ipv6Hdr = [u32; 10],
    TcpHdr = [u32; 5],
    UdpHdr = [u32; 2],
    Icmpv4Hdr = [u32; 2],
    [u8; 3] = [u8; 3],
    [u8; 4] = u32,
    [u8; 8] = [u32; 2],
    [u8; 16] = [u32; 4],
    [u16; 1] = u16,
}

/// A frame in ordinary memory: captures, tests, and the host build of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    /// The frame.
    pub bytes: &'a [u8],
    /// See [`Frame::is_gso`].
    pub gso: bool,
    /// See [`Frame::metadata_tag`].
    pub tag: Option<Tag>,
}

impl<'a> Bytes<'a> {
    /// A frame as it is on the wire.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, gso: false, tag: None }
    }
}

impl Frame for Bytes<'_> {
    fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn is_gso(&self) -> bool {
        self.gso
    }

    fn metadata_tag(&self) -> Option<Tag> {
        self.tag
    }

    fn read<H: Header>(&self, offset: u32) -> Option<H> {
        let offset = offset as usize;
        let bytes = self.bytes.get(offset..offset.checked_add(size_of::<H>())?)?;
        // SAFETY: the slice has exactly the header's size, and any bit pattern is valid.
        Some(unsafe { bytes.as_ptr().cast::<H>().read_unaligned() })
    }

    fn first<const N: usize>(&self) -> Option<*const u8> {
        self.bytes.get(..N).map(<[u8]>::as_ptr)
    }
}
