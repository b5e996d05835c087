//! Telling a finished checksum from a partial one.
//!
//! With checksum offload a virtual device hands over frames whose TCP or UDP checksum field holds only the folded sum
//! of the pseudo-header; the rest is metadata, which XDP loses (net/core/xdp.c has no `csum_start`).

use super::{Addr, Ip, ports::is_tunnel, proto};

/// Whether a frame from a virtual device surely carries all its checksums: ICMP (summed by its sender in software),
/// and TCP or UDP with a checksum that is neither zero nor the bare pseudo-header's sum. Others may not.
#[inline(always)]
pub fn has_full_checksum(ip: &Ip) -> bool {
    if ip.fragment {
        return false;
    }
    match ip.proto {
        proto::ICMP | proto::ICMPV6 => ip.is_icmp(),
        proto::TCP => ip.checksum != 0 && ip.checksum != pseudo_sum(ip),
        proto::UDP => !is_tunnel(ip.dport) && ip.checksum != 0 && ip.checksum != pseudo_sum(ip),
        _ => false,
    }
}

/// Folded, not inverted, sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1), host byte order.
#[inline(always)]
fn pseudo_sum(ip: &Ip) -> u16 {
    fold(words(&ip.src) + words(&ip.dst) + proto_sum(ip.proto) + length_sum(ip.l4_len))
}

/// [`has_full_checksum`] of a TCP or UDP `checksum` as it lies in memory, over `length` bytes, no tunnel; `addresses` is an
/// [`address_sum`].
#[inline(always)]
pub fn is_full_checksum(checksum: u16, addresses: u16, length: u16) -> bool {
    // Neither is 0, so that one carry is all, and the sum is the one that `fold` gives.
    let sum = u64::from(addresses) + u64::from(length.to_be());
    let sum = (sum & 0xffff) + (sum >> 16);
    checksum != 0 && u64::from(checksum) != sum
}

/// The part of the pseudo-header's sum that does not depend on the length: 16 bits as they lie in memory, never 0.
#[inline(always)]
pub(super) fn address_sum(src: u32, dst: u32, proto: u8) -> u16 {
    fold(u64::from(src) + u64::from(dst) + proto_sum(proto)).to_be()
}

/// What the protocol number adds to the sum.
#[inline(always)]
fn proto_sum(proto: u8) -> u64 {
    u64::from(u32::from(proto).to_be())
}

#[inline(always)]
fn length_sum(length: u32) -> u64 {
    u64::from(length.to_be())
}

#[inline(always)]
fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    u16::from_be((sum as u16).wrapping_add((sum >> 16) as u16))
}

/// One's complement sums do not care about the order of bytes: add native words, swap once at the end (RFC 1071).
#[inline(always)]
fn words(addr: &Addr) -> u64 {
    let a = &addr.0;
    let word = |i: usize| u64::from(u32::from_ne_bytes([a[i], a[i + 1], a[i + 2], a[i + 3]]));
    word(0) + word(4) + word(8) + word(12)
}
