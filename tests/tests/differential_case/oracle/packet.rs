//! Reads a frame as the policy's words do: what cannot be read, what always passes, and what is judged.

/// What a frame turns out to be.
pub(crate) enum Reading {
    /// Dropped whatever the policy: malformed, hidden, an extension header that is not walked.
    Unreadable,
    /// Not judged: ARP, control, other ethertypes.
    Passes,
    /// IPv4 or IPv6.
    Ip(Packet),
}

/// An IP packet.
pub(crate) struct Packet {
    pub(crate) source: Vec<u8>,
    pub(crate) destination: Vec<u8>,
    pub(crate) protocol: u8,
    hop_limit: u8,
    extended: bool,
    later_fragment: bool,
    upper: Vec<u8>,
}

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];
/// MPLS, unicast and multicast, and PPPoE sessions.
const HIDING: [u16; 3] = [0x8847, 0x8848, 0x8864];

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn read(frame: &[u8]) -> Reading {
    let mut at = 12;
    let mut tags = 0;
    let mut ethertype = word(frame, at);
    while ethertype.is_some_and(|kind| TAGS.contains(&kind)) {
        tags += 1;
        at += 4;
        ethertype = word(frame, at);
    }
    let (Some(ethertype), Some(body)) = (ethertype, frame.get(at + 2..)) else { return Reading::Unreadable };
    if tags > 1 {
        let readable = ethertype >= 0x600 && ![IPV4, IPV6, ARP].contains(&ethertype) && !HIDING.contains(&ethertype);
        return if readable && tags == 2 { Reading::Passes } else { Reading::Unreadable };
    }
    match ethertype {
        IPV4 => ipv4(body).map_or(Reading::Unreadable, Reading::Ip),
        IPV6 => ipv6(body).map_or(Reading::Unreadable, Reading::Ip),
        ARP if body.len() < 28 => Reading::Unreadable,
        _ if HIDING.contains(&ethertype) => Reading::Unreadable,
        ..0x600 => llc(body),
        _ => Reading::Passes,
    }
}

/// SNAP around IPv4, IPv6, ARP or a tag is not waved through.
fn llc(body: &[u8]) -> Reading {
    match body {
        [0xaa, 0xaa, 0x03, 0, 0, 0, hi, lo, ..] => {
            let inner = u16::from_be_bytes([*hi, *lo]);
            let hidden = [IPV4, IPV6, ARP].contains(&inner) || TAGS.contains(&inner) || HIDING.contains(&inner);
            if hidden { Reading::Unreadable } else { Reading::Passes }
        }
        [_, _, _, ..] => Reading::Passes,
        _ => Reading::Unreadable,
    }
}

fn ipv4(body: &[u8]) -> Option<Packet> {
    let (header, total) = (usize::from(body.first()? & 15) * 4, usize::from(word(body, 2)?));
    if body[0] >> 4 != 4 || header < 20 || total < header || total > body.len() {
        return None;
    }
    let offset = word(body, 6)? & 0x1fff;
    let packet = Packet {
        source: body.get(12..16)?.into(),
        destination: body.get(16..20)?.into(),
        protocol: body[9],
        hop_limit: body[8],
        extended: false,
        later_fragment: offset != 0,
        upper: body[header..total].into(),
    };
    packet.is_whole(word(body, 6)? & 0x2000 != 0).then_some(packet)
}

fn ipv6(body: &[u8]) -> Option<Packet> {
    let length = usize::from(word(body, 4)?);
    let mut upper = body.get(40..40 + length)?;
    let (mut next, mut extended, mut fragment, mut later) = (body[6], false, false, false);
    if body[0] >> 4 != 6 {
        return None;
    }
    loop {
        let length = match next {
            0 | 60 => (usize::from(*upper.get(1)?) + 1) * 8,
            43 if *upper.get(3)? == 0 => (usize::from(*upper.get(1)?) + 1) * 8,
            44 if !fragment => {
                fragment = true;
                later = word(upper, 2)? & 0xfff8 != 0;
                8
            }
            51 => (usize::from(*upper.get(1)?) + 2) * 4,
            // Mobility, HIP, shim6, experiments; a second fragment header; a source route that is not used up.
            43 | 44 | 135 | 139 | 140 | 253 | 254 => return None,
            _ => break,
        };
        extended = true;
        next = *upper.first()?;
        upper = upper.get(length..)?;
    }
    let packet = Packet {
        source: body.get(8..24)?.into(),
        destination: body.get(24..40)?.into(),
        protocol: next,
        hop_limit: body[7],
        extended,
        later_fragment: later,
        upper: upper.into(),
    };
    packet.is_whole(fragment).then_some(packet)
}

impl Packet {
    /// The upper header is there and its lengths do not lie; a later fragment has none.
    fn is_whole(&self, more_fragments: bool) -> bool {
        if self.later_fragment {
            return true;
        }
        let length = self.upper.len();
        match self.protocol {
            6 => length >= 20 && (20..=length).contains(&(usize::from(self.upper[12] >> 4) * 4)),
            17 => {
                let stated = word(&self.upper, 4).map_or(0, usize::from);
                length >= 8 && stated >= 8 && (more_fragments || stated <= length)
            }
            1 if self.source.len() == 4 => length >= 8,
            58 if self.source.len() == 16 => length >= 8,
            _ => true,
        }
    }

    /// IP multicast and broadcast are not judged.
    pub(crate) fn to_group(&self) -> bool {
        match self.destination[..] {
            [first, ..] if self.destination.len() == 16 => first == 0xff,
            [255, 255, 255, 255] => true,
            [first, ..] => (224..240).contains(&first),
            [] => false,
        }
    }

    /// Neighbour discovery and multicast listener messages; the generator makes no DHCP and no IGMP.
    pub(crate) fn is_control(&self) -> bool {
        if self.protocol != 58 || self.source.len() != 16 || self.later_fragment {
            return false;
        }
        match self.upper[..2] {
            [133..=137, 0] => self.hop_limit == 255 && !self.extended,
            [130..=132 | 143, _] => true,
            _ => false,
        }
    }

    /// Source and destination port (an echo request: identifier and 8), zeros for protocols without.
    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        match self.protocol {
            6 | 17 if self.later_fragment => None,
            6 | 17 => Some((word(&self.upper, 0)?, word(&self.upper, 2)?)),
            1 | 58 if self.later_fragment || !matches!(self.upper[0], 8 | 128) => None,
            1 | 58 => Some((word(&self.upper, 4)?, u16::from(self.upper[0]))),
            _ => Some((0, 0)),
        }
    }
}
