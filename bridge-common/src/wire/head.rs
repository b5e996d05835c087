//! The first 42 bytes of the commonest frame at fixed places: untagged Ethernet, IPv4 without options, TCP or UDP.
//!
//! Must agree with [`parse`](super::parse): what is read here is what that would read.

use core::marker::PhantomData;

use super::{
    Frame, checksum,
    ports::{is_tunnel, may_be_dhcp},
    proto,
};
use crate::abi::FlowedCell;

/// Where those bytes lie. Every word is read from there when it is asked for: what is kept over a call of the kernel has to be stored first.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    at: *const u8,
    _frame: PhantomData<&'a ()>,
}

/// What two frames share that are alike: MACs, addresses, protocol, TOS, TTL, the fragment word, what kind of header it is, and where they
/// came in. As words that need no masks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alike {
    /// Bytes 0 to 16: both MACs, ethertype, version and header length, TOS.
    front: [u64; 2],
    /// Bytes 26 to 34.
    addresses: u64,
    /// Bytes 20 to 24: flags and fragment offset, TTL, protocol.
    middle: u32,
    origin: u32,
}

/// Ethertype IPv4, version 4, header length 5 words.
const SHAPE: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0x08, 0x00, 0x45, 0]);
const SHAPE_BYTES: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
/// More fragments, and where this one starts.
const FRAGMENT_BYTES: u32 = u32::from_ne_bytes([0x3f, 0xff, 0, 0]);

const HEAD_LEN: usize = 42;
const ETH_LEN: u64 = 14;
const IP_LEN: u64 = 20;
const UDP_LEN: u64 = 8;
const TCP_LEN: u64 = 20;
/// Where a TCP header without options ends, its data offset, its flags and its checksum (RFC 9293, 3.1).
const TCP_END: usize = 54;
const TCP_OFFSET: usize = 46;
const TCP_FLAGS: usize = 47;
const TCP_CHECKSUM: usize = 50;
const FIN_SYN_RST: u8 = 7;

/// Loads a word that lies anywhere in memory. Kernel programs load it at once: the alternative is one load for each byte.
///
/// # Safety
/// `at..at + offset + size_of::<W>()` must be readable.
#[inline(always)]
unsafe fn word<W: Copy>(at: *const u8, offset: usize) -> W {
    // SAFETY: by the caller's contract.
    let at = unsafe { at.add(offset) }.cast::<W>();
    #[cfg(target_arch = "bpf")]
    // SAFETY: BPF loads may be unaligned on every architecture that we attach on.
    unsafe {
        *at
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: by the caller's contract.
    unsafe {
        at.read_unaligned()
    }
}

impl<'a> Head<'a> {
    /// `None` if so many bytes do not lie in one piece.
    #[inline(always)]
    pub fn of<F: Frame>(frame: &'a F) -> Option<Self> {
        frame.first::<HEAD_LEN>().map(|at| Self { at, _frame: PhantomData })
    }

    /// The word at `offset`, as it lies in memory.
    #[inline(always)]
    fn word<W: Copy, const OFFSET: usize>(&self) -> W {
        const { assert!(OFFSET + size_of::<W>() <= HEAD_LEN) };
        // SAFETY: inside what `Frame::first` gave for this frame, which outlives `self`.
        unsafe { word(self.at, OFFSET) }
    }

    #[inline(always)]
    fn front(&self) -> [u64; 2] {
        [self.word::<_, 0>(), self.word::<_, 8>()]
    }

    #[inline(always)]
    fn addresses(&self) -> u64 {
        self.word::<_, 26>()
    }

    #[inline(always)]
    fn middle(&self) -> u32 {
        self.word::<_, 20>()
    }

    /// What makes two frames alike that came in at `origin`, whatever the caller means by it.
    #[inline(always)]
    pub fn alike(&self, origin: u32) -> Alike {
        Alike { front: self.front(), addresses: self.addresses(), middle: self.middle(), origin }
    }

    /// Whether that is `known`. Word by word: comparing arrays would call a function.
    #[inline(always)]
    pub fn is(&self, known: &Alike, origin: u32) -> bool {
        let [destination, source] = self.front();
        known.front[0] == destination
            && known.front[1] == source
            && known.addresses == self.addresses()
            && known.middle == self.middle()
            && known.origin == origin
    }

    /// Of what makes frames alike, and of `ports`, which may be 0: alike frames have the same. The high bits
    /// depend on all bits of all words, and the products do not wait for each other. Not their sum: a MAC and an address that count up together, as
    /// installers make them, would share one factor, and 4096 such stations two thirds of the places that they should.
    #[inline(always)]
    pub fn hash(&self, ports: u32) -> u64 {
        let [destination, source] = self.front();
        destination.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ source.wrapping_mul(0xd1b5_4a32_d192_ed03)
            ^ self.addresses().wrapping_mul(0xaef1_7502_108e_f2d9)
            ^ u64::from(ports).wrapping_mul(0x8bb8_4b93_962e_acc9)
    }

    /// Both ports as they lie in memory.
    #[inline(always)]
    pub fn both_ports(&self) -> u32 {
        self.word::<_, 34>()
    }

    /// Whether it may begin or end a flow: TCP with FIN, SYN or RST, or not whole.
    #[inline(always)]
    pub fn may_change_flow<F: Frame>(&self, frame: &F) -> bool {
        if self.proto() != proto::TCP {
            return false;
        }
        match frame.first::<TCP_END>() {
            Some(at) => {
                // SAFETY: 54 bytes, as `first` says.
                let flags: u8 = unsafe { word(at, TCP_FLAGS) };
                flags & FIN_SYN_RST != 0
            }
            None => true,
        }
    }

    /// Source and destination port, as they lie in memory.
    #[inline(always)]
    fn ports(&self) -> [u16; 2] {
        [self.word::<_, 34>(), self.word::<_, 36>()]
    }

    /// Whether it has one of the ports that are looked at whatever the rules say.
    #[inline(always)]
    pub fn may_be_dhcp(&self) -> bool {
        let [sport, dport] = self.ports();
        // Their first byte is 0, which spares most frames the rest.
        (sport.to_ne_bytes()[0] == 0 || dport.to_ne_bytes()[0] == 0)
            && may_be_dhcp(u16::from_be(sport), u16::from_be(dport))
    }

    /// See [`is_tunnel`]; of TCP it does not matter.
    #[inline(always)]
    pub fn may_be_tunnel(&self) -> bool {
        is_tunnel(u16::from_be(self.ports()[1]))
    }

    /// Whether this is what the module is about.
    #[inline(always)]
    pub fn is_common(&self) -> bool {
        let proto = self.proto();
        self.front()[1] & SHAPE_BYTES == SHAPE
            && self.middle() & FRAGMENT_BYTES == 0
            && (proto == proto::TCP || proto == proto::UDP)
    }

    #[inline(always)]
    fn proto(&self) -> u8 {
        self.word::<_, 23>()
    }

    /// The transport checksum as it lies in memory, and the length of the transport part, if every length in a frame of a common head is in
    /// order.
    #[inline(always)]
    pub fn transport<F: Frame>(&self, frame: &F) -> Option<(u16, u16)> {
        let total = u64::from(u16::from_be(self.word::<_, 16>()));
        if total + ETH_LEN > u64::from(frame.len()) || total < IP_LEN + UDP_LEN {
            return None;
        }
        let length = total - IP_LEN;
        let checksum = if self.proto() == proto::UDP { self.udp(frame, length)? } else { tcp(frame, length)? };
        Some((checksum, length as u16))
    }

    #[inline(always)]
    fn udp<F: Frame>(&self, frame: &F, length: u64) -> Option<u16> {
        let stated = u64::from(u16::from_be(self.word::<_, 38>()));
        if stated < UDP_LEN || stated > length && !frame.is_gso() {
            return None;
        }
        Some(self.word::<_, 40>())
    }

    /// The flows of which this frame may be a part that their opener did not send.
    #[inline(always)]
    pub fn flows_answered(&self) -> FlowedCell {
        FlowedCell::of(self.addresses().rotate_left(32), self.proto())
    }

    /// The part of the pseudo-header's sum that alike frames share, as it lies in memory; never 0.
    #[inline(always)]
    pub fn address_sum(&self) -> u16 {
        checksum::address_sum(self.word::<_, 26>(), self.word::<_, 30>(), self.proto())
    }
}

#[inline(always)]
fn tcp<F: Frame>(frame: &F, length: u64) -> Option<u16> {
    let at = frame.first::<TCP_END>()?;
    // SAFETY: 54 bytes, as `first` says.
    let (offset, checksum): (u8, u16) = unsafe { (word(at, TCP_OFFSET), word(at, TCP_CHECKSUM)) };
    let header_len = u64::from(offset >> 4) * 4;
    if header_len < TCP_LEN || header_len > length { None } else { Some(checksum) }
}
