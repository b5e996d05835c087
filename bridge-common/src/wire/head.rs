//! The first 40 bytes of the commonest frame at fixed places: untagged Ethernet, IPv4 without options, TCP or UDP.
//!
//! Must agree with [`parse`](super::parse): what is read here is what that would read.

use super::{
    Frame, Header, checksum,
    ports::{is_tunnel, may_be_dhcp},
    proto,
};

/// Bytes 0 to 40: both MACs, ethertype, the IPv4 header, both ports and two bytes more.
#[derive(Clone, Copy)]
pub struct Head([u64; 5]);

// SAFETY: integers, the same as its words.
unsafe impl Header for Head {
    type Words = [u64; 5];
}

/// In each word the bytes that make two frames alike. Left out: TOS, total length, identification, DF and the reserved
/// flag, TTL, header checksum, and everything behind the addresses.
const ALIKE: [u64; 5] = [
    u64::MAX,
    u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
    u64::from_ne_bytes([0, 0, 0, 0, 0x3f, 0xff, 0, 0xff]),
    u64::from_ne_bytes([0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    u64::from_ne_bytes([0xff, 0xff, 0, 0, 0, 0, 0, 0]),
];
const _: () = assert!(ALIKE[2] & ALIKE[4] == 0, "they share a word");
/// Ethertype IPv4, version 4, header length 5 words.
const SHAPE: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0x08, 0x00, 0x45, 0]);
const SHAPE_BYTES: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
const FRAGMENT_BYTES: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0x3f, 0xff, 0, 0]);

const ETH_LEN: u32 = 14;
const IP_LEN: u32 = 20;
const UDP_LEN: u32 = 8;
const TCP_LEN: u32 = 20;
const UDP_CHECKSUM: u32 = 40;
/// Data offset, flags, window, checksum, urgent pointer: the last eight bytes of a TCP header.
const TCP_TAIL: u32 = 46;

impl Head {
    /// The bytes that make two frames alike, as words: MACs, addresses, protocol, what kind of header it is.
    #[inline(always)]
    pub fn alike(&self) -> [u64; 4] {
        let [a, b, c, d, e] = self.0;
        [a & ALIKE[0], b & ALIKE[1], c & ALIKE[2] | e & ALIKE[4], d & ALIKE[3]]
    }

    /// Whether it has one of the ports that are looked at whatever the rules say.
    #[inline(always)]
    pub fn may_be_dhcp(&self) -> bool {
        let (sport, dport) = self.ports();
        may_be_dhcp(sport, dport)
    }

    /// See [`is_tunnel`]; of TCP it does not matter.
    #[inline(always)]
    pub fn may_be_tunnel(&self) -> bool {
        is_tunnel(self.ports().1)
    }

    /// Source and destination port, host byte order.
    #[inline(always)]
    fn ports(&self) -> (u16, u16) {
        let [_, _, a, b, c, d, _, _] = self.0[4].to_ne_bytes();
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// Whether this is what the module is about.
    #[inline(always)]
    pub fn is_common(&self) -> bool {
        let proto = self.proto();
        self.0[1] & SHAPE_BYTES == SHAPE
            && self.0[2] & FRAGMENT_BYTES == 0
            && (proto == proto::TCP || proto == proto::UDP)
    }

    #[inline(always)]
    fn proto(&self) -> u8 {
        self.0[2].to_ne_bytes()[7]
    }

    /// The transport checksum, host byte order, and the length of the transport part, if every length in a frame of a common
    /// head is in order.
    #[inline(always)]
    pub fn transport<F: Frame>(&self, frame: &F) -> Option<(u16, u32)> {
        let [high, low, ..] = self.0[2].to_ne_bytes();
        let total = u32::from(u16::from_be_bytes([high, low]));
        let room = frame.len().checked_sub(ETH_LEN)?;
        if total > room || total < IP_LEN + UDP_LEN {
            return None;
        }
        let length = total - IP_LEN;
        let checksum = if self.proto() == proto::UDP { self.udp(frame, length)? } else { tcp(frame, length)? };
        Some((checksum, length))
    }

    #[inline(always)]
    fn udp<F: Frame>(&self, frame: &F, length: u32) -> Option<u16> {
        let [.., high, low] = self.0[4].to_ne_bytes();
        let stated = u32::from(u16::from_be_bytes([high, low]));
        if stated < UDP_LEN || stated > length && !frame.is_gso() {
            return None;
        }
        let [checksum]: [u16; 1] = frame.peek(UDP_CHECKSUM)?;
        Some(u16::from_be(checksum))
    }

    /// The part of the pseudo-header's sum that alike frames share; never 0.
    #[inline(always)]
    pub fn address_sum(&self) -> u16 {
        let [_, _, a, b, c, d, e, f] = self.0[3].to_ne_bytes();
        let [g, h, ..] = self.0[4].to_ne_bytes();
        let (src, dst) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        checksum::address_sum(src, dst, self.proto())
    }
}

#[inline(always)]
fn tcp<F: Frame>(frame: &F, length: u32) -> Option<u16> {
    let tail: [u8; 8] = frame.peek(TCP_TAIL)?;
    let header_len = u32::from(tail[0] >> 4) * 4;
    if header_len < TCP_LEN || header_len > length {
        return None;
    }
    Some(u16::from_be_bytes([tail[4], tail[5]]))
}
