//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers: lengths that lie are errors, fragments and extensions are told.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::{Addr, Frame, Ip, proto, transport};
use crate::abi::Drop;

/// How many extension headers are walked.
const MAX_EXTENSIONS: usize = 6;
/// No header that we read starts beyond this offset; it bounds the verifier's arithmetic as well.
const MAX_OFFSET: u32 = 1024;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

#[inline(always)]
pub(super) fn parse_v4<F: Frame>(frame: &F, l3: u32, ip: &mut Ip) -> Result<(), Drop> {
    let header: Ipv4Hdr = frame.read(l3).ok_or(Drop::Malformed)?;
    let room = frame.len().saturating_sub(l3);
    let header_len = u32::from(header.ihl());
    let total = length(u32::from(u16::from_be_bytes(header.tot_len)), room, frame.is_gso());
    if header.version() != 4 || header_len < Ipv4Hdr::LEN as u32 || total < header_len || total > room {
        return Err(Drop::Malformed);
    }
    let frags = u16::from_be_bytes(header.frags);
    let offset = frags & 0x1fff;
    ip.src = Addr::v4(header.src_addr);
    ip.dst = Addr::v4(header.dst_addr);
    ip.family = 4;
    ip.proto = header.proto;
    ip.hop_limit = header.ttl;
    ip.fragment = frags & 0x3fff != 0;
    ip.later_fragment = offset != 0;
    ip.l4 = l3 + header_len;
    ip.l4_len = total - header_len;
    // A second fragment at eight bytes rewrites the flags of a TCP header (RFC 1858, RFC 3128).
    if offset == 1 && header.proto == proto::TCP {
        return Err(Drop::Malformed);
    }
    transport::fill(frame, ip)
}

/// The length that the header states; offloaded super-frames over 64 KiB state 0 (BIG TCP).
#[inline(always)]
fn length(stated: u32, room: u32, gso: bool) -> u32 {
    if stated == 0 && gso { room } else { stated }
}

#[inline(always)]
pub(super) fn parse_v6<F: Frame>(frame: &F, l3: u32, ip: &mut Ip) -> Result<(), Drop> {
    let header: Ipv6Hdr = frame.read(l3).ok_or(Drop::Malformed)?;
    let start = l3 + Ipv6Hdr::LEN as u32;
    let room = frame.len().saturating_sub(start);
    let length = length(u32::from(u16::from_be_bytes(header.payload_len)), room, frame.is_gso());
    if header.vcf[0] >> 4 != 6 || length > room {
        return Err(Drop::Malformed);
    }
    ip.src = Addr(header.src_addr);
    ip.dst = Addr(header.dst_addr);
    ip.family = 6;
    ip.proto = header.next_hdr;
    ip.hop_limit = header.hop_limit;
    ip.l4 = start;
    ip.l4_len = length;
    if is_extension(ip.proto) {
        walk(frame, ip)?;
    }
    transport::fill(frame, ip)
}

/// Whether the number stands for an extension header (IANA "IPv6 Extension Header Types"), readable or not. ESP is
/// taken as an upper layer: nothing behind it can be read, and rules may name it.
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | 135 | 139 | 140 | 253 | 254)
}

#[inline(never)]
fn walk<F: Frame>(frame: &F, ip: &mut Ip) -> Result<(), Drop> {
    ip.extensions = true;
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(ip.proto) {
            return Ok(());
        }
        if ip.l4 > MAX_OFFSET || ip.l4_len < 8 {
            return Err(if ip.l4_len < 8 { Drop::Malformed } else { Drop::Ipv6Extension });
        }
        let head: [u8; 8] = frame.read(ip.l4).ok_or(Drop::Malformed)?;
        let length = extension_length(&head, ip)?;
        if length > ip.l4_len {
            return Err(Drop::Malformed);
        }
        ip.proto = head[0];
        ip.l4 += length;
        ip.l4_len -= length;
        if ip.later_fragment {
            // What follows belongs to the middle of the datagram, whatever the number says.
            return if is_extension(ip.proto) { Err(Drop::Ipv6Extension) } else { Ok(()) };
        }
    }
    if is_extension(ip.proto) { Err(Drop::Ipv6Extension) } else { Ok(()) }
}

/// Length of the extension header `head`, noting a fragment.
#[inline(always)]
fn extension_length(head: &[u8; 8], ip: &mut Ip) -> Result<u32, Drop> {
    let units = u32::from(head[1]);
    match ip.proto {
        HOP_BY_HOP | DESTINATION => Ok((units + 1) * 8),
        // Segments left: the destination in the header is not the one it goes to in the end (RFC 8200, 4.4).
        ROUTING if head[3] == 0 => Ok((units + 1) * 8),
        AUTHENTICATION => Ok((units + 2) * 4),
        FRAGMENT if !ip.fragment => {
            let field = u16::from_be_bytes([head[2], head[3]]);
            ip.fragment = true;
            ip.later_fragment = field & 0xfff8 != 0;
            Ok(8)
        }
        _ => Err(Drop::Ipv6Extension),
    }
}
