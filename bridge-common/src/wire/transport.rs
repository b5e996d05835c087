//! TCP, UDP, ICMP: ports, types, and headers that must be whole.

use network_types::{icmp::Icmpv4Hdr, tcp::TcpHdr, udp::UdpHdr};

use super::{Frame, Ip, proto};
use crate::abi::Drop;

/// Fills the upper-layer fields of `ip`. A first fragment must hold its whole upper header (RFC 1858, RFC 7112).
#[inline(always)]
pub(super) fn fill<F: Frame>(frame: &F, ip: &mut Ip) -> Result<(), Drop> {
    if ip.later_fragment {
        return Ok(());
    }
    match (ip.proto, ip.family) {
        (proto::TCP, _) => tcp(frame, ip),
        (proto::UDP, _) => udp(frame, ip),
        (proto::ICMP, 4) | (proto::ICMPV6, 6) => icmp(frame, ip),
        _ => Some(()),
    }
    .ok_or(Drop::Malformed)
}

#[inline(always)]
fn tcp<F: Frame>(frame: &F, ip: &mut Ip) -> Option<()> {
    let header: TcpHdr = frame.read(ip.l4)?;
    // The bit field's first byte holds the data offset, its second the flags (RFC 9293, 3.1).
    let words: [u8; 4] = frame.read(ip.l4 + 12)?;
    let header_len = u32::from(words[0] >> 4) * 4;
    if header_len < TcpHdr::LEN as u32 || header_len > ip.l4_len {
        return None;
    }
    ip.sport = u16::from_be_bytes(header.source);
    ip.dport = u16::from_be_bytes(header.dest);
    ip.checksum = u16::from_be_bytes(header.check);
    ip.tcp_flags = words[1];
    Some(())
}

#[inline(always)]
fn udp<F: Frame>(frame: &F, ip: &mut Ip) -> Option<()> {
    let header: UdpHdr = frame.read(ip.l4)?;
    let length = u32::from(u16::from_be_bytes(header.len));
    let fits = frame.is_gso() || ip.fragment || length <= ip.l4_len;
    if ip.l4_len < UdpHdr::LEN as u32 || length < UdpHdr::LEN as u32 || !fits {
        return None;
    }
    ip.sport = u16::from_be_bytes(header.src);
    ip.dport = u16::from_be_bytes(header.dst);
    ip.checksum = u16::from_be_bytes(header.check);
    Some(())
}

#[inline(always)]
fn icmp<F: Frame>(frame: &F, ip: &mut Ip) -> Option<()> {
    if ip.l4_len < Icmpv4Hdr::LEN as u32 {
        return None;
    }
    let header: Icmpv4Hdr = frame.read(ip.l4)?;
    ip.icmp_type = header.type_;
    ip.icmp_code = header.code;
    ip.sport = u16::from_be_bytes([header.data[0], header.data[1]]);
    Some(())
}
