//! The packet that an ICMP error quotes (RFC 792, RFC 4443): who sent what to whom.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use super::{Addr, Frame, Ip, proto};

/// No quoted header that we read starts beyond this offset.
const MAX_OFFSET: u32 = 512;

/// Whether it is an ICMP error: destination unreachable, time exceeded, parameter problem; ICMPv6: types 1 to 4.
#[inline(always)]
fn is_error(ip: &Ip) -> bool {
    ip.is_icmp() && if ip.family == 4 { matches!(ip.icmp_type, 3 | 11 | 12) } else { matches!(ip.icmp_type, 1..=4) }
}

/// Reads the quoted packet into `inner`: addresses, protocol, ports or ICMP type and identifier. `false` if this is no
/// error, or if it quotes too little: a quote that cannot be read opens nothing.
#[inline(never)]
pub fn quoted<F: Frame>(frame: &F, ip: &Ip, inner: &mut Ip) -> bool {
    if !is_error(ip) || ip.l4 > MAX_OFFSET || ip.l4_len < 8 {
        return false;
    }
    // It may hold an earlier frame's.
    *inner = Ip::default();
    read(frame, ip, inner).is_some()
}

#[inline(always)]
fn read<F: Frame>(frame: &F, ip: &Ip, inner: &mut Ip) -> Option<()> {
    let at = ip.l4 + 8;
    let header_len = if ip.family == 4 { quoted_v4(frame, at, inner)? } else { quoted_v6(frame, at, inner)? };
    if ip.l4_len - 8 < header_len + 8 {
        return None;
    }
    let head: [u8; 8] = frame.read(at + header_len)?;
    let icmp = matches!(inner.proto, proto::ICMP | proto::ICMPV6);
    inner.icmp_type = head[0];
    inner.sport = if icmp { u16::from_be_bytes([head[4], head[5]]) } else { u16::from_be_bytes([head[0], head[1]]) };
    inner.dport = u16::from_be_bytes([head[2], head[3]]);
    Some(())
}

#[inline(always)]
fn quoted_v4<F: Frame>(frame: &F, at: u32, inner: &mut Ip) -> Option<u32> {
    let header: Ipv4Hdr = frame.read(at)?;
    let length = u32::from(header.ihl());
    let later = u16::from_be_bytes(header.frags) & 0x1fff != 0;
    if header.version() != 4 || length < Ipv4Hdr::LEN as u32 || later {
        return None;
    }
    inner.src = Addr::v4(header.src_addr);
    inner.dst = Addr::v4(header.dst_addr);
    inner.family = 4;
    inner.proto = header.proto;
    Some(length)
}

#[inline(always)]
fn quoted_v6<F: Frame>(frame: &F, at: u32, inner: &mut Ip) -> Option<u32> {
    let header: Ipv6Hdr = frame.read(at)?;
    if header.vcf[0] >> 4 != 6 {
        return None;
    }
    inner.src = Addr(header.src_addr);
    inner.dst = Addr(header.dst_addr);
    inner.family = 6;
    inner.proto = header.next_hdr;
    Some(Ipv6Hdr::LEN as u32)
}
